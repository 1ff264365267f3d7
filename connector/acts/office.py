"""What acts work with: the parts of a running service, or those that a command opens beside it."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp

from connector.adapter import Adapter
from connector.clock import SYSTEM, Clock
from connector.config import Config
from connector.outbound import session
from connector.pipeline.calls.accept import Received, event_of
from connector.pipeline.calls.accept import store as keep
from connector.pipeline.click_to_call.placing import Placing
from connector.pipeline.click_to_call.wish import DialWish
from connector.pipeline.delivery import replay as replaying
from connector.pipeline.delivery.replay import Replayed, ReplayWish
from connector.pipeline.gates.exotel import ExotelAccounts
from connector.pipeline.gates.hosts import PrivateHosts
from connector.pipeline.recordings.links import LinkMaker
from connector.store.engine.clock import DatabaseClock
from connector.store.engine.database import Database
from connector.store.opening import Store
from connector.store.queries.placements import Placement
from connector.store.secrets import SecretBox
from connector.tenants.check import make_adapter
from connector.tenants.directory import Directories
from connector.tenants.model import Connection, Directory, Tenant


class Means(Protocol):
    """What an act has others do. A running `Pipeline` is one, as are a command's `OwnMeans`."""

    @property
    def exotel(self) -> ExotelAccounts:
        """The tenants' clients of Exotel."""

    def adapter(self, connection: Connection) -> Adapter[Any]:
        """The connection's adapter. Raises `ConfigError`."""

    async def place(self, tenant: Tenant, wish: DialWish, who: str) -> Placement:
        """Places a call. Raises `Declined`, `StoreBusy`."""

    async def replay(self, wish: ReplayWish, *, dry_run: bool = False) -> list[Replayed]:
        """Plans calls anew, and opens their deliveries again unless it is a dry run."""


@dataclass(frozen=True, slots=True)
class Office:
    """Where acts are carried out."""

    config: Config
    db: Database
    box: SecretBox
    directories: Directories
    clock: Clock
    means: Means

    async def directory(self) -> Directory:
        """The tenants; loaded where nobody has done so yet."""
        current = self.directories.current
        return current if current.version >= 0 else await self.directories.refresh()


class OwnMeans:
    """A command's own: it asks Exotel itself, and leaves deliveries in the store.

    There a running service finds them within a second or so; where none runs, the next start does.
    """

    def __init__(
        self,
        db: Database,
        box: SecretBox,
        directories: Directories,
        config: Config,
        clock: Clock,
        client: aiohttp.ClientSession,
    ) -> None:
        self.exotel = ExotelAccounts(db, client, directories, clock)
        self._db = db
        self._box = box
        self._config = config
        self._directories = directories
        self._clock = clock
        self._links = LinkMaker(
            box, lambda adapter: config.public_url or (config.home_url if adapter.read_at_home else None)
        )
        self._placing = Placing(
            db, lambda tenant: self.exotel.client(tenant, "caller"), self.accept, config.public_url, clock
        )

    async def accept(self, received: Received) -> None:
        """Stores an event and opens the deliveries of its call. Raises `StoreBusy`."""
        tenant = self._directories.current.tenants_by_id[received.tenant_id]
        await keep(self._db, event_of(received, tenant, frozenset()))

    def adapter(self, connection: Connection) -> Adapter[Any]:
        """See `Means.adapter`; outside of quota and pause, which are the service's."""
        return make_adapter(self.exotel.session, connection, self._box, self._config)

    async def place(self, tenant: Tenant, wish: DialWish, who: str) -> Placement:
        """See `Means.place`."""
        return await self._placing.place(tenant, wish, who)

    async def replay(self, wish: ReplayWish, *, dry_run: bool = False) -> list[Replayed]:
        """See `Means.replay`."""
        directory, now = self._directories.current, self._clock.now()
        if dry_run:
            return await self._db.read(replaying.preview, directory, wish, now, self._links)
        return await self._db.write(replaying.enqueue, (directory, wish, now))


@contextlib.asynccontextmanager
async def office_on(store: Store, config: Config) -> AsyncIterator[Office]:
    """The office of a command, on an open store; beside a running service, or without one."""
    directories = Directories(store.db, store.box)
    async with contextlib.AsyncExitStack() as stack:
        db = await stack.enter_async_context(store.db.running())
        clock = SYSTEM if db.single_process else await stack.enter_async_context(DatabaseClock(db).running())
        client = await stack.enter_async_context(session(PrivateHosts(directories, lambda: config.home_url)))
        means = OwnMeans(db, store.box, directories, config, clock, client)
        yield Office(config, db, store.box, directories, clock, means)
