"""Pipeline: accept on one side, deliveries on the other, and what people ask of both (replay, check, resume)."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import aiohttp

from connector.adapter import Adapter
from connector.clock import SYSTEM, Clock
from connector.errors import ConfigError, StoreBusy
from connector.exotel.api import Exotel
from connector.exotel.api.records import User
from connector.exotel.model import ORDERS
from connector.outbound import session
from connector.pipeline.applets.lines import Lines
from connector.pipeline.applets.owners import ContactOwners
from connector.pipeline.applets.routing import Routing
from connector.pipeline.calls.accept import Received, event_of, store
from connector.pipeline.click_to_call.placing import FIRST_LOOK_S, Placing
from connector.pipeline.click_to_call.unsure import Unsure
from connector.pipeline.click_to_call.wish import DialWish
from connector.pipeline.completeness.intake import Intake
from connector.pipeline.completeness.reconcile import Reconciler
from connector.pipeline.delivery import replay as replaying
from connector.pipeline.delivery.contacts import Contacts
from connector.pipeline.delivery.dispatch import CAP, SLOTS, Dispatcher
from connector.pipeline.delivery.replay import Replayed, ReplayWish
from connector.pipeline.delivery.runner import Runner
from connector.pipeline.delivery.targets import Targets
from connector.pipeline.gates.accounts import Accounts
from connector.pipeline.gates.exotel import ExotelAccounts
from connector.pipeline.gates.gate import Gate
from connector.pipeline.gates.hosts import PrivateHosts
from connector.pipeline.gates.replicas import Replicas
from connector.pipeline.recordings.fetch import Recordings
from connector.pipeline.recordings.links import LinkMaker
from connector.pipeline.recordings.orders import Recorder
from connector.rounds import every
from connector.store.engine.database import Database
from connector.store.queries import deliveries
from connector.store.queries.placements import Placement, give_up_placing
from connector.store.secrets import SecretBox
from connector.tenants.directory import Directories
from connector.tenants.model import Connection, Tenant

log = logging.getLogger(__name__)

_PROBE_LOOK_S: Final = 5.0
#: What another replica wrote of a gate is in force here after at most so long, and the time of a read.
_GATES_LOOK_S: Final = 0.5
#: A dead process's unsure writes settle for this long after a start; the longest that an adapter may declare.
_SETTLE_AT_START_S: Final = 15.0


class Pipeline:
    """Everything between an accepted request and the CRMs. Its parts are there once it runs."""

    #: Adapters and gates.
    accounts: Accounts
    #: The tenants' clients of Exotel.
    exotel: ExotelAccounts
    #: Carries out orders to record calls.
    recorder: Recorder
    #: The tenants' recordings.
    recordings: Recordings
    #: Whom Connect applets ring.
    routing: Routing
    #: What asks Exotel.
    reconciler: Reconciler
    #: Claims due work.
    dispatcher: Dispatcher
    #: Places calls.
    placing: Placing
    #: Looks for placed calls of unknown outcome.
    unsure: Unsure

    def __init__(
        self,
        db: Database,
        box: SecretBox,
        directories: Directories,
        *,
        home_url: Callable[[], str],
        public_url: str | None = None,
        link_url: Callable[[type[Adapter[Any]]], str | None] = lambda _adapter: None,
        clock: Clock = SYSTEM,
        slots: int = SLOTS,
        cap: int = CAP,
    ) -> None:
        self._db = db
        self._box = box
        self._directories = directories
        self._home_url = home_url
        self._public_url = public_url
        self._links = LinkMaker(box, link_url)
        self._clock = clock
        self._slots = slots
        self._cap = cap
        self._side_tasks: set[asyncio.Task[None]] = set()

    # --- life ---

    @contextlib.asynccontextmanager
    async def running(self, deliver: bool = True, reconcile: bool = False) -> AsyncIterator["Pipeline"]:
        """Opens the client session and works. With `deliver` False events are accepted and kept.

        `reconcile`: Exotel is asked for what calls lack, and for calls that nothing told of.
        """
        restored_at = await self._db.read(deliveries.restored_at)
        if self._db.single_process:
            await self._db.write(deliveries.release_all, (self._clock.now() + _SETTLE_AT_START_S,))
            await self._db.write(give_up_placing, (self._clock.now() + FIRST_LOOK_S,))
        async with (
            session(PrivateHosts(self._directories, self._home_url)) as client,
            Replicas(self._db, self._clock).running() as replicas,
        ):
            self._make_parts(client, replicas, restored_at)
            await self.accounts.look()
            self._directories.on_change.append(self._changed)
            try:
                async with contextlib.AsyncExitStack() as stack:
                    await stack.enter_async_context(every(_PROBE_LOOK_S, self.accounts.probe, name="probes"))
                    await stack.enter_async_context(self.unsure.running())
                    if not self._db.single_process:
                        await stack.enter_async_context(every(_GATES_LOOK_S, self.accounts.look, name="gates"))
                    if deliver:
                        await stack.enter_async_context(self.dispatcher.running())
                        await stack.enter_async_context(self.recorder.running())
                    if reconcile:
                        await stack.enter_async_context(self.reconciler.running())
                    yield self
            finally:
                self._directories.on_change.remove(self._changed)
                await self.placing.stop()
                for task in self._side_tasks:
                    task.cancel()
                await asyncio.gather(*self._side_tasks, return_exceptions=True)
                await self.accounts.ended()
                await self.routing.close()

    def _make_parts(self, client: aiohttp.ClientSession, replicas: Replicas, restored_at: float | None) -> None:
        db, directories, clock = self._db, self._directories, self._clock
        self.accounts = Accounts(
            db,
            client,
            self._box,
            self._home_url,
            directories,
            clock,
            replicas,
            self._wake_account,
        )
        self.exotel = ExotelAccounts(db, client, directories, clock, self.accounts.buckets)
        self.recorder = Recorder(db, self._client, directories, clock, self._public_url)
        self.recordings = Recordings(self.exotel)
        self.reconciler = Reconciler(db, directories, self.exotel, self.accept, clock)
        contacts = Contacts(db, clock)
        self.routing = Routing(
            db, ContactOwners(contacts, self.accounts.urgent, clock), Lines(self._list_users, clock), clock
        )
        runner = Runner(
            db,
            Targets(db, directories, self._links, self.reconciler.answers),
            self.accounts,
            contacts,
            self.recordings,
            self._gate_changed,
            clock,
            restored_at=restored_at,
        )
        self.dispatcher = Dispatcher(db, self.accounts, runner.run, clock, slots=self._slots, cap=self._cap)
        self.placing = Placing(db, self._client, self._accept, self._public_url, clock)
        learned = Intake(db, self._accept, clock).answers
        self.unsure = Unsure(db, self.placing, self._client, directories, clock, learned)

    async def _list_users(self, tenant: Tenant) -> list[User]:
        return await self._client(tenant).people.list_users()

    # --- accept ---

    async def accept(self, received: Received) -> None:
        """Returns once the event is durable. Raises `StoreBusy`: it is not, and nothing of it was kept."""
        if received.kind == "status":
            await self._recognise(received)
        await self._accept(received)

    async def _recognise(self, received: Received) -> None:
        """Where it is the callback of a call that we placed, says so first: the fold then knows the user's words."""
        try:
            await self.placing.recognise(self._directories.current.tenants_by_id[received.tenant_id], received)
        except StoreBusy as error:
            # Exotel may not tell it again: what matters is that the callback is kept. The call is found by its numbers.
            log.warning("a placed call was not recognised", extra={"error": str(error)})

    async def _accept(self, received: Received) -> None:
        directory = self._directories.current
        tenant = directory.tenants_by_id[received.tenant_id]
        event = event_of(received, tenant, self.accounts.paused())
        if not await store(self._db, event):
            return
        if received.kind in ORDERS:
            self.recorder.wake()
        for connection_id, priority, due_at, _reopen_at, _reason in event.deliveries:
            self.dispatcher.wake(connection_id, priority, due_at - received.received_at)

    # --- for people ---

    def adapter(self, connection: Connection) -> Adapter[Any]:
        """The connection's adapter, within its account's quota. Raises `ConfigError`."""
        return self.accounts.adapter(connection)

    async def place(self, tenant: Tenant, wish: DialWish, who: str) -> Placement:
        """Places a call; see `click_to_call.placing`. Raises `Declined`, `StoreBusy`."""
        return await self.placing.place(tenant, wish, who)

    async def replay(self, wish: ReplayWish, *, dry_run: bool = False) -> list[Replayed]:
        """Plans calls anew under the newest options; see `delivery.replay`."""
        if dry_run:
            return await self._db.read(
                replaying.preview, self._directories.current, wish, self._clock.now(), self._links
            )
        queued = await self._db.write(replaying.enqueue, (self._directories.current, wish, self._clock.now()))
        for one in queued:
            self._wake_connection(self._directories.current.connections[one.connection_id])
        return queued

    # --- inside ---

    def _client(self, tenant: Tenant) -> Exotel:
        return self.exotel.client(tenant, "caller")

    def _wake_connection(self, connection: Connection) -> None:
        for priority in (1, 2, 3):
            self.dispatcher.wake(connection.id, priority)

    def _gate_changed(self, gate: Gate) -> None:
        """Stores the gate beside the work; looks again when its circuit closes."""
        self._aside(self.accounts.store(gate))
        self._wake_account(gate.account, gate.waits_s())

    def _wake_account(self, account: str, in_s: float = 0.0) -> None:
        """Looks for work of an account that lets more through, in so many seconds."""
        if in_s > 0:
            asyncio.get_running_loop().call_later(in_s + 0.01, self._wake_account, account)
            return
        for connection in self._directories.current.accounts.get(account, ()):
            self._wake_connection(connection)

    def _changed(self, _directory: object) -> None:
        self.accounts.forget_adapters()
        self.exotel.forget()
        # New credentials may be what a paused account waited for.
        if self.accounts.paused():
            self._aside(self.accounts.probe(due_only=False))

    def _aside(self, work: Any) -> None:
        async def guarded() -> None:
            try:
                await work
            except (StoreBusy, ConfigError) as error:
                log.warning("a gate could not be stored", extra={"error": str(error)})

        task = asyncio.get_running_loop().create_task(guarded())
        self._side_tasks.add(task)
        task.add_done_callback(self._side_tasks.discard)
