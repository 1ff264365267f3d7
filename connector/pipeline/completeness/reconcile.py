"""Reconcile: whatever Exotel knows of a tenant's calls and we do not is asked for, in bulk, until nothing is missing.

Two jobs per tenant, each on one replica at a time: looks and the hourly sweep every 30 s, and backfills behind them.
"""

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from connector.backoff import Backoff
from connector.clock import Clock
from connector.errors import ConfigError, CrmError, RateLimited
from connector.exotel.api import Exotel
from connector.pipeline.calls.accept import Received
from connector.pipeline.completeness import statement
from connector.pipeline.completeness.intake import Intake
from connector.pipeline.completeness.looks import Looks
from connector.pipeline.completeness.sweep import EVERY_S as SWEEP_S
from connector.pipeline.completeness.sweep import LAG_S, Sweeper
from connector.pipeline.gates.exotel import ExotelAccounts
from connector.pipeline.upkeep.periodic import Periodic, Tenants
from connector.rounds import every
from connector.store.engine.database import Database, single
from connector.store.queries import sweeps, totals
from connector.store.queries.sweeps import Sweep
from connector.tenants.model import Tenant

log = logging.getLogger(__name__)

EVERY_S: Final = 30.0
#: Exotel did not answer: asked again after so long, doubled each time, up to the longest.
_REST: Final = Backoff(30.0, 300.0, sure=1.0)
#: An answer is noted again after so long.
_NOTED_S: Final = 600.0


@dataclass(slots=True)
class _Rest:
    """Exotel's trouble with a tenant: how often in a row, and until when it is left alone."""

    failures: int = 0
    until: float = 0.0


class Reconciler:
    """Both jobs. `accept` is how events enter; `exotel` has the tenants' clients."""

    def __init__(
        self,
        db: Database,
        tenants: Tenants,
        exotel: ExotelAccounts,
        accept: Callable[[Received], Awaitable[None]],
        clock: Clock,
    ) -> None:
        self._db = db
        self._exotel = exotel
        self._clock = clock
        intake = Intake(db, accept, clock)
        self._looks = Looks(db, intake, clock)
        self._sweeper = Sweeper(db, intake, clock)
        self._rests: dict[int, _Rest] = {}
        self._answering: frozenset[int] = frozenset()
        self.jobs = (
            Periodic(
                "reconcile",
                self.reconcile,
                every_s=EVERY_S,
                db=db,
                directories=tenants,
                clock=clock,
                which=self.to_ask,
            ),
            Periodic(
                "backfill",
                self.backfill,
                every_s=EVERY_S,
                db=db,
                directories=tenants,
                clock=clock,
                at_once=2,
                which=self.with_backfill,
            ),
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Reconciler"]:
        """Works until left."""
        await self.look_who_answers()
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(every(EVERY_S, self.look_who_answers, name="reconcile-watch"))
            for job in self.jobs:
                await stack.enter_async_context(job.running())
            yield self

    def answers(self, tenant_id: int) -> bool:
        """Whether Exotel answers what is asked about this tenant's calls, as any replica found out last."""
        return tenant_id in self._answering

    async def look_who_answers(self) -> None:
        """Reads what the replicas found out."""
        rows = await self._db.read(sweeps.hourly_sweeps)
        self._answering = frozenset(
            row.tenant_id for row in rows if row.answered_at is not None and row.trouble is None
        )

    async def to_ask(self) -> frozenset[int]:
        """Ids of the tenants that `reconcile` has something to do for. Raises `StoreBusy`."""
        now = self._clock.now()
        return await self._db.read(sweeps.tenants_to_ask, now, now - LAG_S - SWEEP_S)

    async def with_backfill(self) -> frozenset[int]:
        """Ids of the tenants that `backfill` has something to do for. Raises `StoreBusy`."""
        return await self._db.read(sweeps.tenants_with_backfill)

    async def reconcile(self, tenant: Tenant) -> None:
        """Looks that are due, the hour that is over, and what people asked for meanwhile."""
        wishes = [one for one in await self._open(tenant) if one.kind in ("due", "now")]
        if not self._may_ask(tenant, wished=bool(wishes)):
            return
        exotel = self._exotel.client(tenant, "reconcile")
        hourly = await self._db.write(single(sweeps.ensure_hourly), (tenant.id, self._clock.now()))
        try:
            asked, is_answered = await self._looks.run(
                tenant, exotel, everything=any(one.kind == "now" for one in wishes)
            )
            before, swept = await self._sweeper.hourly(tenant, exotel, at_once=bool(wishes))
        except RateLimited as error:
            log.info("the rest of it waits for Exotel's quota", extra={"tenant": tenant.sid, "error": str(error)})
            return
        except (CrmError, ConfigError) as error:
            await self._failed(tenant, hourly, error)
            return
        if is_answered or swept:
            await self._succeeded(tenant, hourly)
        now = self._clock.now()
        if swept:
            await self._keep_totals(tenant, before.done_at, now)
        after = await self._db.read(sweeps.get_sweep, hourly.id)
        for wish in wishes:
            found, made = after.found - hourly.found + asked, after.made - hourly.made
            await self._db.write(single(sweeps.progress), (wish.id, now, found, made, now))
            await self._db.write(single(sweeps.finish), (wish.id, now))

    async def backfill(self, tenant: Tenant) -> None:
        """The tenant's backfills, oldest first, each as far as quota and CRMs let it."""
        exotel: Exotel | None = None
        for sweep in await self._open(tenant):
            if sweep.kind != "backfill":
                continue
            if not self._may_ask(tenant):
                return
            exotel = exotel or self._exotel.client(tenant, "backfill")
            try:
                if not await self._sweeper.backfill(tenant, exotel, sweep):
                    return
            except RateLimited:
                return
            except (CrmError, ConfigError) as error:
                await self._failed(tenant, sweep, error)
                return
            await self._keep_totals(tenant, sweep.from_at, sweep.until_at or self._clock.now())

    async def _keep_totals(self, tenant: Tenant, begin: float, end: float) -> None:
        found = await self._db.read(statement.to_keep, tenant, begin, end)
        await self._db.write(single(totals.keep), (tenant.id, found, self._clock.now()))

    async def _open(self, tenant: Tenant) -> list[Sweep]:
        return await self._db.read(sweeps.open_sweeps, tenant.id)

    def _may_ask(self, tenant: Tenant, *, wished: bool = False) -> bool:
        if not tenant.api_key.get_secret_value() or not any(one.enabled for one in tenant.connections):
            return False
        rest = self._rests.get(tenant.id)
        return wished or rest is None or rest.until <= self._clock.now()

    async def _failed(self, tenant: Tenant, sweep: Sweep, error: CrmError | ConfigError) -> None:
        rest = self._rests.setdefault(tenant.id, _Rest())
        rest.failures += 1
        rest.until = self._clock.now() + _REST.wait_s(rest.failures)
        self._answering -= {tenant.id}
        level = logging.WARNING if rest.failures == 1 else logging.DEBUG
        log.log(level, "Exotel tells nothing of the calls", extra={"tenant": tenant.sid, "error": error.message})
        await self._db.write(single(sweeps.answered), (sweep.id, error.message, self._clock.now()))

    async def _succeeded(self, tenant: Tenant, hourly: Sweep) -> None:
        self._rests.pop(tenant.id, None)
        self._answering |= {tenant.id}
        now = self._clock.now()
        if hourly.trouble is not None or now - (hourly.answered_at or 0.0) > _NOTED_S:
            await self._db.write(single(sweeps.answered), (hourly.id, None, now))
