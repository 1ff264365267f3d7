"""Periodic: work that is done for each tenant every so often, by one process at a time, however many there are.

Each (job, tenant) is a lease in the store, held while the work runs and given back with the time of the next run. A
process that dies loses it within a minute. One that freezes may wake up beside its successor: what a job does has to
be repeatable, and is cancelled as soon as the loss is noticed.
"""

import asyncio
import contextlib
import logging
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Container
from typing import Final, Protocol

from connector.clock import Clock
from connector.errors import ConnectorError, StoreBusy
from connector.rounds import every
from connector.store.engine.database import Database
from connector.store.engine.held import Hold
from connector.store.queries import leases
from connector.tenants.model import Directory, Tenant

log = logging.getLogger(__name__)

_LEASE_S: Final = 60.0
_RENEW_EVERY_S: Final = 15.0
#: How often it is seen whether a tenant's turn has come; no request to the store.
_LOOK_EVERY_S: Final = 1.0
#: With a request to the store: this part of the job's period.
_ASK_EVERY: Final = 1 / 6
#: A run that failed is tried again after so long, or after the job's own period where that is shorter.
_AGAIN_S: Final = 300.0
#: Replicas that started together drift apart: each period is up to this share longer or shorter.
_JITTER: Final = 0.1


class Tenants(Protocol):
    """Whose turns there are; `Directories` is one."""

    @property
    def current(self) -> Directory:
        """The tenants as they are now."""


class Periodic:
    """Runs `work(tenant)` every `every_s` seconds for each tenant, while holding the lease `<name>:<SID>`.

    `which` says for whom there is something to do (ids of tenants): the others' turns are left out, since a lease and a
    look for each of thousands would cost more than all that they find. Without it there is for everybody.

    At most `at_once` tenants' turns run at the same time in this process. What `work` raises is logged, and the next
    run comes all the same.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[Tenant], Awaitable[None]],
        *,
        every_s: float,
        db: Database,
        directories: Tenants,
        clock: Clock,
        at_once: int = 4,
        which: Callable[[], Awaitable[Container[int]]] | None = None,
    ) -> None:
        self._name = name
        self._work = work
        self._every_s = every_s
        self._db = db
        self._directories = directories
        self._clock = clock
        self._which = which
        self._look_every_s = _LOOK_EVERY_S if which is None else max(_LOOK_EVERY_S, _ASK_EVERY * every_s)
        self._holder = uuid.uuid4().hex[:12]
        self._slots = asyncio.Semaphore(at_once)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        #: Tenant's id -> when to ask for its lease again.
        self._ask_at: dict[int, float] = {}

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Periodic"]:
        """Works; on leaving, what runs is cancelled and its lease given back for another process to go on at once."""
        name = f"periodic-{self._name}"
        try:
            async with every(self._look_every_s, self.look, name=name, first_s=_LOOK_EVERY_S, spread=0.5):
                yield self
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def look(self) -> None:
        """Starts the turn of every tenant whose time has come. Raises `StoreBusy`."""
        busy = await self._which() if self._which is not None else None
        now = self._clock.now()
        tenants = self._directories.current.tenants_by_id
        self._ask_at = {id_: at for id_, at in self._ask_at.items() if id_ in tenants}
        for tenant in tenants.values():
            if busy is not None and tenant.id not in busy:
                continue
            if tenant.id not in self._tasks and self._ask_at.get(tenant.id, now) <= now:
                self._tasks[tenant.id] = asyncio.create_task(self._turn(tenant), name=f"{self._name}:{tenant.sid}")

    async def idle(self) -> None:
        """Returns once no turn runs in this process."""
        while self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    async def _turn(self, tenant: Tenant) -> None:
        try:
            async with self._slots:
                await self._claim_and_run(tenant)
        except Exception as error:
            self._failed(tenant, error, self._soon())
        finally:
            del self._tasks[tenant.id]

    async def _claim_and_run(self, tenant: Tenant) -> None:
        name = f"{self._name}:{tenant.sid}"
        now = self._clock.now()
        standing = await self._db.write(leases.claim, Hold(name, self._holder, now, now + _LEASE_S))
        if not standing.granted:
            self._ask_at[tenant.id] = max(standing.free_at, now + _LOOK_EVERY_S)
            return
        due_at = now  # cancelled: whoever is there next goes on at once
        try:
            if await self._held(name, tenant):
                due_at = self._next(now)
        except Exception as error:
            due_at = self._soon()
            self._failed(tenant, error, due_at)
        finally:
            self._ask_at[tenant.id] = due_at
            await self._db.write(leases.release, (name, self._holder, due_at))

    async def _held(self, name: str, tenant: Tenant) -> bool:
        """Does the work while the lease is renewed. False where the lease was lost, and the work given up."""
        work = asyncio.ensure_future(self._work(tenant))
        try:
            until = self._clock.now() + _LEASE_S
            while True:
                done, _ = await asyncio.wait({work}, timeout=_RENEW_EVERY_S)
                if done:
                    await work
                    return True
                now = self._clock.now()
                try:
                    is_held = await self._db.write(leases.renew, Hold(name, self._holder, now, now + _LEASE_S))
                    until = now + _LEASE_S
                except StoreBusy:
                    is_held = now < until
                if not is_held:
                    log.warning("a periodic job lost its lease", extra={"job": self._name, "tenant": tenant.sid})
                    return False
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    def _next(self, began: float) -> float:
        return began + self._every_s * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - spread, not secrecy

    def _soon(self) -> float:
        return self._clock.now() + min(self._every_s, _AGAIN_S)

    def _failed(self, tenant: Tenant, error: Exception, again_at: float) -> None:
        self._ask_at[tenant.id] = again_at
        fields = {
            "job": self._name,
            "tenant": tenant.sid,
            "error": f"{type(error).__name__}: {error}",
            "again_in_s": round(again_at - self._clock.now()),
        }
        # Anything but an error of ours by name is a fault of ours: its traceback says where.
        log.error(
            "a periodic job failed; it runs again",
            extra=fields,
            exc_info=None if isinstance(error, ConnectorError) else error,
        )
