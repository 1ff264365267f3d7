"""Placements that nobody knows the outcome of, looked for among the calls that Exotel has.

Bulk details list a call only once it is over (docs/reference/exotel.md §6.4), so an empty look proves nothing before
the longest call would have ended. Until then five looks are enough: most calls tell of themselves by their callback.
"""

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from connector.clock import Clock
from connector.errors import ConfigError, CrmError, CrmUnavailable, StoreBusy
from connector.exotel.api import CallFilter, CallRecord, Exotel
from connector.phone import is_number
from connector.pipeline.click_to_call.placing import FIRST_LOOK_S, Placing
from connector.rounds import every
from connector.store.engine.database import Database
from connector.store.queries import placements
from connector.store.queries.placements import Placement, Verdict
from connector.tenants.directory import Directories
from connector.tenants.model import Tenant

log = logging.getLogger(__name__)

#: Looks, in seconds after the call was asked for; after the last empty one the call was never placed: Exotel's longest
#: takes four hours, and its record a quarter of an hour to settle.
LOOKS_S: Final = (FIRST_LOOK_S, 300.0, 900.0, 3600.0, 4 * 3600.0 + 1200.0)
#: Exotel's time of a call's creation lies within these seconds of ours: clocks differ, Connect takes half a minute.
_BEFORE_S, _AFTER_S = 60.0, 150.0
_AGAIN_S: Final = 60.0
_LEASE_S: Final = 120.0
_MOST: Final = 50
#: Of one request: numbers that a filter takes (docs/reference/exotel.md §6.4), and how far apart its calls may lie.
_NUMBERS: Final = 5
_SPAN_S: Final = 3600.0
_LOOK_EVERY_S: Final = 5.0


class Unsure:
    """Finds out what became of placements."""

    def __init__(
        self,
        db: Database,
        placing: Placing,
        client: Callable[[Tenant], Exotel],
        directories: Directories,
        clock: Clock,
        learned: Callable[[Tenant, Sequence[CallRecord]], Awaitable[None]],
    ) -> None:
        """`learned` takes the records of calls that were found, so that nobody has to ask for them again."""
        self._db = db
        self._placing = placing
        self._client = client
        self._directories = directories
        self._clock = clock
        self._learned = learned

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Unsure"]:
        """Looks whenever something is due."""
        async with every(_LOOK_EVERY_S, self._look_if_due, name="unsure calls", first_s=0):
            yield self

    async def _look_if_due(self) -> None:
        due_at = await self._db.read(placements.next_look)
        if due_at is not None and due_at <= self._clock.now():
            await self.look()

    async def look(self) -> int:
        """Looks once for everything that is due, and says how much that was. Raises `StoreBusy`."""
        now = self._clock.now()
        rows = await self._db.write(placements.claim_looks, (now, now + _LEASE_S, _MOST))
        for tenant_id in dict.fromkeys(row.tenant_id for row in rows):
            tenant = self._directories.current.tenants_by_id.get(tenant_id)
            mine = [row for row in rows if row.tenant_id == tenant_id]
            for together in _batches(mine):
                await self._look_for(tenant, together)
        return len(rows)

    async def _look_for(self, tenant: Tenant | None, rows: Sequence[Placement]) -> None:
        now = self._clock.now()
        found: dict[int, CallRecord] = {}
        not_before = now + _AGAIN_S
        looked = False
        if tenant is not None:
            try:
                records = [
                    record async for page in self._client(tenant).calls.pages(_filter(rows)) for record in page.calls
                ]
                since = rows[0].created_at - _BEFORE_S
                taken = await self._db.read(placements.taken_sids, tenant.id, since)
                found = assign(rows, [record for record in records if record.sid not in taken])
                looked = True
            except (CrmError, ConfigError) as error:
                log.warning("Exotel could not be asked for a call", extra={"tenant": tenant.sid, "error": str(error)})
                if isinstance(error, CrmUnavailable):
                    not_before = max(not_before, now + (error.retry_after_s or 0.0))
        for row in rows:
            if row.id in found:
                await self._placing.bind(row, found[row.id].sid)
                continue
            next_at = next((row.created_at + after for after in LOOKS_S if row.created_at + after > now), None)
            if not looked:
                verdict = Verdict(row.id, "unknown", now, look_at=not_before)
            elif next_at is None:
                log.warning("a call was never placed", extra={"placement": row.token})
                verdict = Verdict(row.id, "not_placed", now)
            else:
                verdict = Verdict(row.id, "unknown", now, look_at=next_at)
            with contextlib.suppress(StoreBusy):  # its lease ends, and it is looked for again
                await self._db.write(placements.settle_placement, verdict)
        if tenant is not None and found:
            await self._learned(tenant, list(found.values()))


def assign(rows: Sequence[Placement], records: Sequence[CallRecord]) -> dict[int, CallRecord]:
    """Placement's id -> its record: by the token where it is told, else by From, To and the nearest time.

    A record is one placement's at most; who asked first chooses first.
    """
    free = {record.sid: record for record in records}
    found: dict[int, CallRecord] = {}
    for row in rows:
        named = next((sid for sid, record in free.items() if record.custom_field == row.token), None)
        fitting = [(abs(apart), sid) for sid, record in free.items() if (apart := _apart_s(row, record)) is not None]
        sid = named or min(fitting, default=(0.0, None))[1]
        if sid is not None:
            found[row.id] = free.pop(sid)
    return found


def _apart_s(row: Placement, record: CallRecord) -> float | None:
    """Seconds from the wish to the record's creation; None where the record is another call's."""
    if record.direction == "inbound" or record.created_at is None:
        return None
    if _folded(record.from_number) != _folded(row.agent_number) or record.to_number != row.customer:
        return None
    apart = record.created_at.timestamp() - row.created_at
    return apart if -_BEFORE_S <= apart <= _AFTER_S else None


def _folded(number: str | None) -> str | None:
    return number if number is None or is_number(number) else number.casefold()


def _batches(rows: Sequence[Placement]) -> Iterator[list[Placement]]:
    """Rows that one request asks for, oldest first."""
    together: list[Placement] = []
    for row in rows:
        more = [*together, row]
        if (
            len({one.customer for one in more}) > _NUMBERS
            or len({one.agent_number for one in more}) > _NUMBERS
            or row.created_at - more[0].created_at > _SPAN_S
        ):
            yield together
            more = [row]
        together = more
    if together:
        yield together


def _filter(rows: Sequence[Placement]) -> CallFilter:
    agents = dict.fromkeys(row.agent_number for row in rows)
    return CallFilter(
        to=tuple(dict.fromkeys(row.customer for row in rows)),
        # `sip:` is no number that Exotel's filter takes.
        from_=tuple(agents) if all(map(is_number, agents)) else (),
        created_from=datetime.fromtimestamp(rows[0].created_at - _BEFORE_S, UTC),
        created_until=datetime.fromtimestamp(rows[-1].created_at + _AFTER_S, UTC),
    )
