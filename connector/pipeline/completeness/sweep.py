"""Sweeping: Exotel's own list of calls is gone through span by span, so that no call is missed, whoever was down.

Hourly, from where the last sweep ended; a backfill likewise over the months that it was asked for. Progress is stored
after every page, so that an outage of Exotel or of ours is caught up, and work that was killed goes on where it was.
"""

import logging
from datetime import datetime, timedelta
from typing import Final

from connector.clock import Clock
from connector.exotel.api import CallFilter, Exotel
from connector.exotel.wire import IST
from connector.pipeline.completeness.intake import Intake
from connector.store.engine.database import Database, single
from connector.store.queries import sweeps
from connector.store.queries.sweeps import Sweep
from connector.tenants.model import Tenant

log = logging.getLogger(__name__)

EVERY_S: Final = 3600.0
#: Calls of the last minutes are left to the next sweep: they still run, or their records settle
#: (docs/reference/exotel.md §6.3).
LAG_S: Final = 300.0
#: The end of the last sweep is gone through again: what ended, or was listed, a little late.
OVERLAP_S: Final = 600.0
#: A call that began before the overlap and was not listed had lasted this long at least. Such calls are few, so that
#: hours of them cost a request.
LONG_S: Final = 720
_LONGEST_CALL_S: Final = 4 * 3600.0
#: Exotel takes a month at most (docs/reference/exotel.md §6.4).
_SLICE: Final = timedelta(days=28)
#: Six months are kept (docs/reference/exotel.md §6.4).
KEPT_S: Final = 183 * 86400.0
#: A backfill waits while a connection has so many late deliveries: fresh calls must not stand behind old ones.
_MOST_WAITING: Final = 400


class Sweeper:
    """Goes through spans of Exotel's time."""

    def __init__(self, db: Database, intake: Intake, clock: Clock) -> None:
        self._db = db
        self._intake = intake
        self._clock = clock

    async def hourly(self, tenant: Tenant, exotel: Exotel, *, at_once: bool = False) -> tuple[Sweep, bool]:
        """The tenant's next hour, and whatever is behind. `at_once`: up to this moment, whether an hour is over or not.

        Returns the sweep as it was before, and whether anything was gone through. Raises what Exotel's client raises.
        """
        now = self._clock.now()
        sweep = await self._db.write(single(sweeps.ensure_hourly), (tenant.id, now))
        end = now - LAG_S
        if sweep.until_at is None:
            if not at_once and end < sweep.done_at + EVERY_S:
                return sweep, False
            begin = max(sweep.done_at - OVERLAP_S, now - KEPT_S)
            await self._long_calls(tenant, exotel, sweep, begin)
            await self._db.write(single(sweeps.begin), (sweep.id, begin, end, now))
        else:  # an outage, or the quota, ended the last one midway
            begin, end = sweep.done_at, max(sweep.until_at, end if at_once else 0.0)
        await self._through(tenant, exotel, sweep, begin, now if at_once else end, known_until=end)
        await self._db.write(single(sweeps.end), (sweep.id, self._clock.now()))
        return sweep, True

    async def _long_calls(self, tenant: Tenant, exotel: Exotel, sweep: Sweep, before: float) -> None:
        wanted = CallFilter(created_from=_ist(before - _LONGEST_CALL_S), created_until=_ist(before), longer_s=LONG_S)
        async for page in exotel.calls.pages(wanted):
            made = await self._intake.page(tenant, page.calls)
            await self._progress(sweep, sweep.done_at, len(page.calls), made)

    async def backfill(self, tenant: Tenant, exotel: Exotel, sweep: Sweep) -> bool:
        """Goes on with a backfill. False where it waits for the CRMs; it goes on from there."""
        until = sweep.until_at if sweep.until_at is not None else self._clock.now()
        through = await self._through(tenant, exotel, sweep, sweep.done_at, until, known_until=until, gently=True)
        if through:
            await self._db.write(single(sweeps.finish), (sweep.id, self._clock.now()))
        return through

    async def _through(
        self,
        tenant: Tenant,
        exotel: Exotel,
        sweep: Sweep,
        begin: float,
        end: float,
        *,
        known_until: float,
        gently: bool = False,
    ) -> bool:
        """`known_until`: up to when what was seen counts as complete. `gently`: in the way of nobody."""
        at = _ist(begin)
        while at <= _ist(end):
            if gently and await self._is_crowded(tenant):
                return False
            until = min(at + _SLICE, _ist(end))
            async for page in exotel.calls.pages(CallFilter(created_from=at, created_until=until)):
                made = await self._intake.page(tenant, page.calls, fill_in=gently)
                began = [record.created_at.timestamp() for record in page.calls if record.created_at is not None]
                done_at = min(max(began, default=at.timestamp()), known_until)
                await self._progress(sweep, done_at, len(page.calls), made)
                if gently and page.cursor is not None and await self._is_crowded(tenant):
                    return False
            await self._progress(sweep, min(until.timestamp(), known_until), 0, 0)
            at = until + timedelta(seconds=1)  # both ends are included
        return True

    async def _progress(self, sweep: Sweep, done_at: float, found: int, made: int) -> None:
        if made:
            log.info(
                "calls were made from Exotel's records alone",
                extra={"calls": made, "of": found, "sweep": sweep.kind},
            )
        await self._db.write(single(sweeps.progress), (sweep.id, done_at, found, made, self._clock.now()))

    async def _is_crowded(self, tenant: Tenant) -> bool:
        enabled = [connection.id for connection in tenant.connections if connection.enabled]
        return await self._db.read(sweeps.waiting, enabled, _MOST_WAITING) >= _MOST_WAITING


def _ist(at: float) -> datetime:
    """To the second, as Exotel asks for it."""
    return datetime.fromtimestamp(int(at), IST)
