"""Looks: what calls still lack is asked of Exotel in lists of CallSids, never call by call.

A list may name 100 calls; Exotel advises 20 (docs/reference/exotel.md §6.4). We send up to 100: of the account's 200
requests a minute a list costs one whatever its length, and no page over a time window can cost less, since the window
holds the calls that lack nothing too. Up to 20 are due at most times, so that the advice is kept where it costs
nothing; a list that is refused is halved.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Final

from connector.clock import Clock
from connector.errors import ExotelRefused, NotFound
from connector.exotel.api import CallFilter, CallRecord, Exotel
from connector.exotel.details import event_of
from connector.pipeline.calls.lacks import VOICEMAIL
from connector.pipeline.completeness.intake import Intake
from connector.store.engine.database import Database
from connector.store.queries.looks import LOOKS_S, Look, all_looks, due_looks, looked, stage_at
from connector.tenants.model import Tenant

log = logging.getLogger(__name__)

_MOST: Final = 100
#: A URL of this length passes everywhere; CallSids are 32 characters, but nobody promises it.
_MOST_CHARACTERS: Final = 4000
#: Without dates Exotel looks through the last 31 days (docs/reference/exotel.md §6.4).
_REACH_S: Final = 30 * 86400.0


class Looks:
    """Asks for what calls lack."""

    def __init__(self, db: Database, intake: Intake, clock: Clock) -> None:
        self._db = db
        self._intake = intake
        self._clock = clock

    async def run(self, tenant: Tenant, exotel: Exotel, *, everything: bool = False) -> tuple[int, bool]:
        """Makes the looks that are due, or all, whatever their time.

        Returns how many calls were asked for, and whether Exotel had an answer: a 404 may as well say that there is
        nobody of this name. Raises what Exotel's client raises; what was asked for by then is not asked for again.
        """
        asked, is_answered = 0, False
        after = 0
        while looks := await self._next(tenant, after, everything=everything):
            after = looks[-1].call_id
            for some in _lists(looks):
                is_answered |= await self._look(tenant, exotel, some)
            asked += len(looks)
        return asked, is_answered

    async def _next(self, tenant: Tenant, after: int, *, everything: bool) -> list[Look]:
        now = self._clock.now()
        if everything:
            return await self._db.read(all_looks, tenant.id, after, now - _REACH_S, _MOST)
        return await self._db.read(due_looks, tenant.id, now, _MOST)

    async def _look(self, tenant: Tenant, exotel: Exotel, looks: Sequence[Look]) -> bool:
        found = await self._ask(exotel, [look.call_sid for look in looks if _askable(look.call_sid)])
        records = found or {}
        wanted = {look.call_sid for look in looks}
        await self._intake.answers(tenant, [record for sid, record in records.items() if sid in wanted])
        now = self._clock.now()
        stages = [(look, _stage(look, records.get(look.call_sid), now)) for look in looks]
        for look, stage in stages:
            record = records.get(look.call_sid)
            has_recording = record is not None and record.recording_url is not None
            if stage >= len(LOOKS_S) and VOICEMAIL in look.lacks.split(",") and not has_recording:
                await self._intake.no_recording(tenant, look.call_sid)
        await self._db.write(looked, [(look.call_id, stage) for look, stage in stages])
        return found is not None

    async def _ask(self, exotel: Exotel, sids: Sequence[str]) -> Mapping[str, CallRecord] | None:
        """Records by CallSid; None where there is none of any."""
        if not sids:
            return None
        try:
            page = await exotel.calls.page(CallFilter(sids=sids))
        except NotFound:
            return None
        except ExotelRefused as error:
            if len(sids) == 1:
                log.warning("Exotel takes no question about a call", extra={"call_sid": sids[0], "error": str(error)})
                return None
            half = len(sids) // 2
            return {**(await self._ask(exotel, sids[:half]) or {}), **(await self._ask(exotel, sids[half:]) or {})}
        return {record.sid: record for record in page.calls}


def _lists(looks: Sequence[Look]) -> list[list[Look]]:
    lists: list[list[Look]] = [[]]
    length = 0
    for look in looks:
        length += len(look.call_sid) + 1
        if length > _MOST_CHARACTERS:
            lists.append([])
            length = len(look.call_sid) + 1
        lists[-1].append(look)
    return lists


def _askable(call_sid: str) -> bool:
    """Whether a list can name the call: its id is whatever a request said, and these two join ids."""
    return not {",", ";"}.intersection(call_sid)


def _stage(look: Look, record: CallRecord | None, now: float) -> int:
    """How many looks are over. A settled record of an answered call without a recording ends them: it is not recorded.

    Should one come yet, the hourly sweep sees it.
    """
    stage = max(look.stage, stage_at(look.since, now))
    if not _askable(look.call_sid):
        return len(LOOKS_S)
    if record is not None and stage > 1:
        told = event_of(record)
        if told.event_type == "terminal" and told.answered and told.recording_url is None:
            return len(LOOKS_S)
    return stage
