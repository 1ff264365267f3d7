"""Sweeps: spans of Exotel's time that are gone through, their progress, and what is known of the calls in them.

Times are Unix seconds. Progress moves forward only, so that two who worked at once by mistake lose nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, text

from connector.store.engine.rows import as_rows, rows_of


@dataclass(frozen=True, slots=True)
class Sweep:
    """A row of `sweep`."""

    id: int
    tenant_id: int
    kind: str
    state: str
    from_at: float
    until_at: float | None
    done_at: float
    answered_at: float | None
    trouble: str | None
    found: int
    made: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What the store has of a CallSid that Exotel named: `lacks` is empty where nothing is missing of the call.

    `told`: connections that have a delivery for it, or a tombstone of one; `call_id` None: the call is not here (any
    more).
    """

    call_id: int | None
    lacks: str
    told: frozenset[str]


_COLUMNS = "id, tenant_id, kind, state, from_at, until_at, done_at, answered_at, trouble, found, made"
_OPEN = text(
    f"select {_COLUMNS} from sweep where tenant_id = :tenant_id and state = 'open' order by id"  # noqa: S608
)
_ONE = text(f"select {_COLUMNS} from sweep where id = :id")  # noqa: S608
_HOURLY = text(f"select {_COLUMNS} from sweep where kind = 'hourly' order by tenant_id")  # noqa: S608
_INSERT = text(
    "insert into sweep (tenant_id, kind, state, from_at, until_at, done_at, created_at, updated_at)"
    " values (:tenant_id, :kind, 'open', :from_at, :until_at, :done_at, :now, :now) returning id"
)
_PROGRESS = text(
    "update sweep set done_at = case when done_at > :done_at then done_at else :done_at end,"
    " found = found + :found, made = made + :made, trouble = null, updated_at = :now where id = :id"
)
_BEGIN = text("update sweep set done_at = :done_at, until_at = :until_at, updated_at = :now where id = :id")
_END = text("update sweep set until_at = null, updated_at = :now where id = :id")
_FINISH = text("update sweep set state = 'done', updated_at = :now where id = :id")
_ANSWERED = text("update sweep set answered_at = :at, trouble = :trouble, updated_at = :now where id = :id")
_TROUBLE = text("update sweep set trouble = :trouble, updated_at = :now where id = :id")
# Whoever has no hourly sweep that is at rest has not begun, was interrupted, or has an hour behind.
_TO_ASK = text(
    "select tenant.id from tenant where exists (select 1 from look where look.tenant_id = tenant.id"
    " and look.due_at is not null and look.due_at <= :now)"
    " or exists (select 1 from sweep where sweep.tenant_id = tenant.id and sweep.state = 'open'"
    " and sweep.kind in ('due', 'now'))"
    " or not exists (select 1 from sweep where sweep.tenant_id = tenant.id and sweep.state = 'open'"
    " and sweep.kind = 'hourly' and sweep.until_at is null and sweep.done_at > :hour_before)"
)
_WITH_BACKFILL = text("select distinct tenant_id from sweep where kind = 'backfill' and state = 'open'")
_TENANT_SINCE = text("select created_at from tenant where id = :id")


def open_sweeps(connection: Connection, tenant_id: int) -> list[Sweep]:
    """The tenant's unfinished sweeps, oldest first."""
    return [Sweep(*row) for row in connection.execute(_OPEN, {"tenant_id": tenant_id})]


def tenants_to_ask(connection: Connection, now: float, hour_before: float) -> frozenset[int]:
    """Ids of the tenants with a look that is due, a wish, or an hour not gone through: one that ended before then."""
    return frozenset(connection.execute(_TO_ASK, {"now": now, "hour_before": hour_before}).scalars())


def tenants_with_backfill(connection: Connection) -> frozenset[int]:
    """Ids of the tenants with an unfinished backfill."""
    return frozenset(connection.execute(_WITH_BACKFILL).scalars())


def hourly_sweeps(connection: Connection) -> list[Sweep]:
    """Every tenant's hourly sweep."""
    return [Sweep(*row) for row in connection.execute(_HOURLY)]


def get_sweep(connection: Connection, sweep_id: int) -> Sweep:
    """One sweep as it stands."""
    return Sweep(*connection.execute(_ONE, {"id": sweep_id}).one())


def ensure_hourly(connection: Connection, tenant_id: int, now: float) -> Sweep:
    """The tenant's hourly sweep; the first one begins when the tenant came. Only under the tenant's lease."""
    found = next((one for one in open_sweeps(connection, tenant_id) if one.kind == "hourly"), None)
    if found is not None:
        return found
    since = float(connection.execute(_TENANT_SINCE, {"id": tenant_id}).scalar() or now)
    return get_sweep(connection, add_sweep(connection, tenant_id, "hourly", min(since, now), None, now))


def add_sweep(
    connection: Connection, tenant_id: int, kind: str, from_at: float, until_at: float | None, now: float
) -> int:
    """Opens a sweep and returns its id."""
    values = {"tenant_id": tenant_id, "kind": kind, "from_at": from_at, "until_at": until_at, "done_at": from_at}
    return int(connection.execute(_INSERT, {**values, "now": now}).scalar_one())


def progress(connection: Connection, sweep_id: int, done_at: float, found: int, made: int, now: float) -> None:
    """Everything that began before `done_at` was seen; `found` and `made` are added up. Nothing is in the way."""
    values = {"id": sweep_id, "done_at": done_at, "found": found, "made": made, "now": now}
    connection.execute(_PROGRESS, values)


def begin(connection: Connection, sweep_id: int, done_at: float, until_at: float, now: float) -> None:
    """The hourly sweep goes from one time to another; `end` says that it got there."""
    connection.execute(_BEGIN, {"id": sweep_id, "done_at": done_at, "until_at": until_at, "now": now})


def end(connection: Connection, sweep_id: int, now: float) -> None:
    """The hourly sweep is through for now."""
    connection.execute(_END, {"id": sweep_id, "now": now})


def finish(connection: Connection, sweep_id: int, now: float) -> None:
    """The sweep is done."""
    connection.execute(_FINISH, {"id": sweep_id, "now": now})


def answered(connection: Connection, sweep_id: int, trouble: str | None, now: float) -> None:
    """Notes that Exotel answered, or with `trouble` that it did not and why."""
    values = {"id": sweep_id, "trouble": trouble, "now": now}
    connection.execute(_TROUBLE if trouble else _ANSWERED, values if trouble else {**values, "at": now})


# --- the calls that Exotel names ---

_SEEN = text(
    "select call.call_sid, call.id, look.lacks, delivery.connection_id"
    " from call left join look on look.call_id = call.id left join delivery on delivery.call_id = call.id"
    " where call.tenant_id = :tenant_id and call.call_sid in :sids"
).bindparams(bindparam("sids", expanding=True))
_TOMBS = text(
    "select call_sid, connection_id from tombstone where tenant_id = :tenant_id and call_sid in :sids"
).bindparams(bindparam("sids", expanding=True))
_AGES = text("select id, created_at from connection where tenant_id = :tenant_id")
_BILLED = text(
    f"update call set billed_at = r.billed_at from {rows_of('tenant_id', 'call_sid', 'billed_at')} r"  # noqa: S608
    " where call.tenant_id = r.tenant_id and call.call_sid = r.call_sid"
    " and (call.billed_at is null or call.billed_at <> r.billed_at)"
)
_WAITING = text(
    "select count(*) from (select 1 from delivery where connection_id = :connection_id and state = 'pending'"
    " and priority = 3 limit :most) waiting"
)


def seen(connection: Connection, tenant_id: int, sids: Sequence[str]) -> dict[str, Seen]:
    """What the store has of these CallSids; those it never heard of are left out."""
    values = {"tenant_id": tenant_id, "sids": list(sids)}
    calls: dict[str, tuple[int | None, str]] = {}
    told: dict[str, set[str]] = {}
    for sid, connection_id in connection.execute(_TOMBS, values):
        calls[sid] = (None, "")
        told.setdefault(sid, set()).add(connection_id)
    for sid, call_id, lacks, connection_id in connection.execute(_SEEN, values):
        calls[sid] = (call_id, lacks or "")
        told.setdefault(sid, set()).update([connection_id] if connection_id is not None else [])
    return {sid: Seen(call_id, lacks, frozenset(told[sid])) for sid, (call_id, lacks) in calls.items()}


def connection_ages(connection: Connection, tenant_id: int) -> dict[str, float]:
    """Connection id -> when it was added."""
    return {row.id: row.created_at for row in connection.execute(_AGES, {"tenant_id": tenant_id})}


def mark_billed(connection: Connection, rows: Sequence[Sequence[tuple[int, str, float]]]) -> list[None]:
    """Notes when calls began by Exotel's record; each row is a list of (tenant id, CallSid, Unix time)."""
    values = {(t, sid): {"tenant_id": t, "call_sid": sid, "billed_at": at} for some in rows for t, sid, at in some}
    if values:
        connection.execute(_BILLED, as_rows(list(values.values())))
    return [None] * len(rows)


def waiting(connection: Connection, connection_ids: Sequence[str], most: int) -> int:
    """The longest line of late work that a connection has, counted up to `most`."""
    counts = [
        int(connection.execute(_WAITING, {"connection_id": one, "most": most}).scalar_one()) for one in connection_ids
    ]
    return max(counts, default=0)
