"""Retention: what is kept of a call, and for how long. Runs every six hours for each tenant, on one process at a time.

- After `retention.days` of the tenant (90; at least 7) without anything happening to it, a call goes: its row with
  the folded facts and numbers, the requests as they were received, deliveries, the journal with what was sent, popups,
  recordings. Only what is finished goes: a pending delivery is kept however old, a dead one until so many days after
  it died.
- A tombstone stays in its place: tenant, CallSid, connection, slot, the record's id and link in the CRM. It says that
  this call is closed for this connection: a late StatusCallback, a replay or a backfill writes nothing for it, neither
  a new record nor a change of an old one, and is not stored. A connection that was added since is not closed, so a
  backfill fills it. A delivery that died before it had written anything leaves no tombstone.
- A tombstone goes after 210 days; by then Exotel has forgotten the call too (it keeps six months,
  docs/reference/exotel.md §6), so no backfill can bring it up again.
- Contacts (the number, and which record of the CRM it is) go when no call of the number is left. The next call looks
  the caller up again.
- What was asked to be placed (numbers, the user's own words, idempotency keys) and the fate of text messages go after
  the same days. So do the rows that our links to recordings name: a link works no longer than its call is kept.
- Details of audit rows are emptied after the same days; who did what and when stays.

90 days are enough to find out that a mapping was wrong and to replay its calls, and half of what Exotel itself keeps,
from which a backfill makes older ones anew for a new connection. At least 7: retries go on for 28 h, and whoever reads
the dead letters may be away over a long weekend.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy import Connection

from connector.clock import Clock
from connector.observe import metrics
from connector.store.engine import space
from connector.store.engine.database import Database
from connector.store.queries import retention
from connector.store.queries.placements import forget_placements
from connector.store.queries.retention import Place, Prune, Unseen
from connector.tenants.model import Tenant

log = logging.getLogger(__name__)

T = TypeVar("T")
Change = Callable[[Connection, Sequence[T]], Sequence[int]]

EVERY_S: Final = 6 * 3600.0
TOMBSTONE_DAYS: Final = 210
_DAY_S: Final = 86400.0
#: What one transaction deletes: it holds the writer, and with it acknowledgements, for a few milliseconds. Old rows lie
#: scattered over the file, and their pages compete with the acknowledgements' for the disk: so few, and with rests.
_CALLS: Final = 5
_ROWS: Final = 50
_FREE_PAGES: Final = 32
#: Rows of one read.
_PAGE: Final = 200
#: After a transaction that deleted something, the writer is left to others for so
#: many times what it took: with 100, acknowledgements keep their time.
_REST: Final = 100.0
_REST_LEAST_S: Final = 0.05
_REST_MOST_S: Final = 1.0  # what took long has mostly waited for others
_PATIENCE_S: Final = 30.0


class Retention:
    """Deletes what is too old, a little at a time."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def prune(self, tenant: Tenant) -> None:
        """Deletes all that is too old of a tenant. Raises `StoreBusy`: the rest goes another time."""
        now = self._clock.now()
        before = now - tenant.retention_days * _DAY_S
        calls = await self._calls(tenant, before)
        contacts = await self._contacts(tenant, before)
        placements = await self._all(forget_placements, tenant.id, before)
        texts = await self._all(retention.forget_texts, tenant.id, before)
        audits = await self._all(retention.empty_audit, tenant.id, before)
        tombstones = await self._all(retention.expire_tombstones, now - TOMBSTONE_DAYS * _DAY_S)
        if calls or contacts or placements or texts or audits or tombstones:
            await self._give_back()
            log.info(
                "old calls pruned",
                extra={"tenant": tenant.sid, "calls": calls, "contacts": contacts, "expired": tombstones},
            )

    async def _calls(self, tenant: Tenant, before: float) -> int:
        count = 0
        place: Place | None = Place(0.0, 0)
        while place is not None:
            ids, place = await self._db.read(retention.old_calls, tenant.id, before, place, _PAGE)
            for some in _parts(ids, _CALLS):
                pruned = await self._write(retention.prune, Prune(some, before, self._clock.now()))
                metrics.pruned(pruned)
                count += pruned
        return count

    async def _contacts(self, tenant: Tenant, before: float) -> int:
        count = 0
        for connection in tenant.connections:
            after: str | None = ""
            while after is not None:
                numbers, after = await self._db.read(
                    retention.unseen_contacts, tenant.id, connection.id, before, after, _PAGE
                )
                for some in _parts(numbers, _ROWS):
                    wish = Unseen(tenant.id, connection.id, some, before)
                    count += await self._write(retention.forget_unseen, wish)
        return count

    async def _all(self, change: Change[tuple[Any, ...]], *row: Any) -> int:
        count = 0
        while (done := await self._write(change, (*row, _ROWS))) > 0:
            count += done
        return count

    async def _give_back(self) -> None:
        left = await self._db.read(space.spare)
        while left > 0:
            left = await self._write(space.give_back, _FREE_PAGES)
        self._db.empty_log()

    async def _write(self, change: Change[T], row: T) -> int:
        """One small transaction, and a rest after it."""
        began = time.perf_counter()
        result = await self._db.write_patiently(change, row, for_s=_PATIENCE_S)
        rest = _REST * (time.perf_counter() - began) if result else 0.0
        await asyncio.sleep(min(max(_REST_LEAST_S, rest), _REST_MOST_S))
        return result


def _parts(items: Sequence[T], size: int) -> Iterator[tuple[T, ...]]:
    for start in range(0, len(items), size):
        yield tuple(items[start : start + size])
