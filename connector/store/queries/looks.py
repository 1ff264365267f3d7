"""Looks: what calls still lack, and when Exotel is asked for it. Written with the finish of a delivery."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from connector.store.engine.rows import as_rows, rows_of

#: Seconds from a call's last event to each look: its record settles within about 2 minutes, a recording is there after
#: about 5, stragglers come within the hour (docs/reference/exotel.md §6.3, §9, §11.7). Then never again.
LOOKS_S: Final = (120.0, 330.0, 900.0, 3600.0)


@dataclass(frozen=True, slots=True)
class Lack:
    """What a call lacks after an attempt; empty: nothing. `since`: its last event; `first`: the look to begin with."""

    lacks: str
    since: float
    first: int = 0


@dataclass(frozen=True, slots=True)
class Look:
    """A call to be asked for. `stage`: how many looks are over."""

    call_id: int
    call_sid: str
    lacks: str
    since: float
    stage: int


def stage_at(since: float, now: float) -> int:
    """How many looks are over once one was made at `now`: those that were missed meanwhile are not made up for."""
    return bisect_right(LOOKS_S, now - since)


_OFFSET = " ".join(f"when {stage} then {offset}" for stage, offset in enumerate(LOOKS_S))
_GREATER = "case when look.stage > excluded.stage then look.stage else excluded.stage end"
_WRITE_LOOK = text(
    "insert into look (call_id, tenant_id, lacks, since, stage, due_at) "  # noqa: S608
    f"select r.call_id, r.tenant_id, r.lacks, r.since, r.stage, r.since + case r.stage {_OFFSET} end "
    f"from {rows_of('call_id', 'tenant_id', 'lacks', 'since', 'stage')} r where true "
    "on conflict (call_id) do update set lacks = excluded.lacks, since = excluded.since,"
    f" stage = {_GREATER}, due_at = excluded.since + case {_GREATER} {_OFFSET} end"
)
_NOTHING_LACKS = text(f"delete from look where call_id in (select r.call_id from {rows_of('call_id')} r)")  # noqa: S608
_LOOKS = (
    "select look.call_id, call.call_sid, look.lacks, look.since, look.stage"
    " from look join call on call.id = look.call_id where look.tenant_id = :tenant_id and call.call_sid is not null"
)
# An index by tenant and time: what is due of one tenant, however many calls the others have.
_DUE_LOOKS = text(f"{_LOOKS} and look.due_at <= :now and look.due_at is not null order by look.due_at limit :most")
_ALL_LOOKS = text(f"{_LOOKS} and look.call_id > :after and look.since > :since order by look.call_id limit :most")
_LOOKED = text(
    f"update look set stage = r.stage, due_at = look.since + case r.stage {_OFFSET} end "  # noqa: S608
    f"from {rows_of('call_id', 'stage')} r where look.call_id = r.call_id"
)


def write_lacks(connection: Connection, rows: Sequence[tuple[int, int, Lack]]) -> None:
    """What calls lack now: (call id, tenant id, lack). The looks that were made stay made."""
    lacking = [
        {"call_id": call_id, "tenant_id": tenant_id, "lacks": lack.lacks, "since": lack.since, "stage": lack.first}
        for call_id, tenant_id, lack in rows
        if lack.lacks
    ]
    complete = [{"call_id": call_id} for call_id, _, lack in rows if not lack.lacks]
    if lacking:
        # One row per call: two deliveries of one call may finish in one commit.
        connection.execute(_WRITE_LOOK, as_rows(list({row["call_id"]: row for row in lacking}.values())))
    if complete:
        connection.execute(_NOTHING_LACKS, as_rows(complete))


def due_looks(connection: Connection, tenant_id: int, now: float, most: int) -> list[Look]:
    """The tenant's calls whose look is due, longest due first."""
    rows = connection.execute(_DUE_LOOKS, {"tenant_id": tenant_id, "now": now, "most": most})
    return [Look(*row) for row in rows]


def all_looks(connection: Connection, tenant_id: int, after: int, since: float, most: int) -> list[Look]:
    """The tenant's calls that lack something, whatever the time of their look, by id from `after` on.

    `since`: only calls with an event after that time.
    """
    rows = connection.execute(_ALL_LOOKS, {"tenant_id": tenant_id, "after": after, "since": since, "most": most})
    return [Look(*row) for row in rows]


def looked(connection: Connection, rows: Sequence[Sequence[tuple[int, int]]]) -> list[None]:
    """Notes that looks were made; each row is a list of (call id, how many are over now)."""
    values = {call_id: {"call_id": call_id, "stage": stage} for some in rows for call_id, stage in some}
    if values:
        connection.execute(_LOOKED, as_rows(list(values.values())))
    return [None] * len(rows)
