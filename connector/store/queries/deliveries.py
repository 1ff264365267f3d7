"""Claim: who works on which delivery, and what its attempt needs to know."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, bindparam, text

from connector.store.engine.dialects import LOCKED_DELIVERIES, SKIP_LOCKED
from connector.store.engine.held import GIVEN_BACK, HELD, TAKEN, free
from connector.store.engine.rows import as_list
from connector.store.queries.recordings import RecordingRow, of_calls


@dataclass(frozen=True, slots=True)
class Claim:
    """A wish for at most `limit` due deliveries of one connection and class."""

    connection_id: str
    priority: int
    limit: int
    holder: str
    now: float
    lease_until: float


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """A row of `event`, as folded."""

    id: int
    source: str
    connection_id: str | None
    kind: str
    method: str
    query: str
    content_type: str | None
    body: bytes | None
    received_at: float


@dataclass(slots=True)
class StepRow:
    """A row of the journal; see `schema.step`."""

    slot: str
    kind: str
    state: str
    reason: str | None = None
    doing: str | None = None
    ref_id: str | None = None
    url: str | None = None
    written: str | None = None
    sent: str | None = None
    subject: str | None = None
    started_at: float | None = None
    settle_at: float | None = None
    left_out: str = "[]"
    warning: str | None = None
    error: str | None = None
    version: int = 0


@dataclass(slots=True)
class Work:
    """A claimed delivery with all that its attempt needs."""

    id: int
    tenant_id: int
    call_id: int
    call_sid: str | None
    connection_id: str
    holder: str
    fence: int
    lease_until: float
    version: int
    priority: int
    attempts: int
    retried_s: float
    revision: int | None
    replay: str | None
    warnings: str
    call_created_at: float
    events: list[StoredEvent] = field(default_factory=list)
    steps: dict[str, StepRow] = field(default_factory=dict)
    #: Exotel's link -> the row that our own link names.
    recordings: dict[str, RecordingRow] = field(default_factory=dict)

    @property
    def claimant(self) -> str:
        """Whose a contact is that this claim finds out about."""
        return f"{self.holder}:{self.id}:{self.fence}"


_CLAIM = text(
    f"update delivery set {TAKEN}, fence = fence + 1, reason = 'running', updated_at = :now "  # noqa: S608
    "where id in (select id from delivery where state = 'pending' and connection_id = :connection_id"
    f" and priority = :priority and due_at <= :now and {free('delivery')}"
    f" order by due_at limit :limit {SKIP_LOCKED}) "
    "returning id, tenant_id, call_id, connection_id, fence, version, priority, attempts, retried_s, revision, replay,"
    " warnings"
)
_CALL_SIDS = text("select id, call_sid, created_at from call where id in :ids").bindparams(
    bindparam("ids", expanding=True)
)
_EVENTS = text(
    "select call_id, id, source, connection_id, kind, method, query, content_type, body, received_at "
    "from event where call_id in :ids"
).bindparams(bindparam("ids", expanding=True))
STEP_COLUMNS = (
    "slot, kind, state, reason, doing, ref_id, url, written, sent, subject, started_at, settle_at, left_out, warning,"
    " error, version"
)
_STEPS = text(f"select delivery_id, {STEP_COLUMNS} from step where delivery_id in :ids").bindparams(  # noqa: S608
    bindparam("ids", expanding=True)
)


def claim(connection: Connection, wishes: Sequence[Claim]) -> list[list[Work]]:
    """For each wish, the deliveries it got: nobody else opens them before the lease ends or they are given back."""
    granted: list[list[Work]] = []
    for wish in wishes:
        rows = connection.execute(
            _CLAIM,
            {
                "holder": wish.holder,
                "lease_until": wish.lease_until,
                "now": wish.now,
                "connection_id": wish.connection_id,
                "priority": wish.priority,
                "limit": wish.limit,
            },
        ).all()
        granted.append(
            [
                Work(
                    id=r.id,
                    tenant_id=r.tenant_id,
                    call_id=r.call_id,
                    call_sid=None,
                    connection_id=r.connection_id,
                    holder=wish.holder,
                    fence=r.fence,
                    lease_until=wish.lease_until,
                    version=r.version,
                    priority=r.priority,
                    attempts=r.attempts,
                    retried_s=r.retried_s,
                    revision=r.revision,
                    replay=r.replay,
                    warnings=r.warnings,
                    call_created_at=0.0,
                )
                for r in rows
            ]
        )
    load(connection, [work for works in granted for work in works])
    return granted


def load(connection: Connection, works: Sequence[Work]) -> None:
    """Fills in CallSid, events, journal and recordings."""
    if not works:
        return
    calls = sorted({work.call_id for work in works})
    sids = {row[0]: (row[1], row[2]) for row in connection.execute(_CALL_SIDS, {"ids": as_list(calls)})}
    events: dict[int, list[StoredEvent]] = defaultdict(list)
    for row in connection.execute(_EVENTS, {"ids": as_list(calls)}):
        events[row[0]].append(StoredEvent(*row[1:]))
    steps: dict[int, dict[str, StepRow]] = defaultdict(dict)
    for row in connection.execute(_STEPS, {"ids": as_list([work.id for work in works])}):
        steps[row[0]][row[1]] = StepRow(*row[1:])
    recordings = of_calls(connection, as_list(calls))
    for work in works:
        work.recordings = recordings.get(work.call_id, {})
        work.call_sid, work.call_created_at = sids[work.call_id]
        # An event that concerns one connection (what an agent did in its widget) is nobody else's business.
        work.events = [e for e in events[work.call_id] if e.connection_id in (None, work.connection_id)]
        work.steps = steps[work.id]


# --- look: what is due, by connection and class ---

# Jumps from connection to connection along the index of pending rows instead of reading them all.
_DUE = text(
    "with recursive busy(id) as ("
    " select min(connection_id) from delivery where state = 'pending'"
    " union all"
    " select (select min(connection_id) from delivery where state = 'pending' and connection_id > busy.id)"
    "  from busy where busy.id is not null"
    "), class(priority) as (select 1 union all select 2 union all select 3) "
    "select busy.id, class.priority, (select min(due_at) from delivery where state = 'pending'"
    "  and connection_id = busy.id and priority = class.priority and owner is null) "
    "from busy, class where busy.id is not null"
)
_LEASES = text("select connection_id, priority, lease_until from delivery where owner > '' and state = 'pending'")
_PROMOTE = text(
    "update delivery set priority = priority - 1 where id in (select id from delivery where state = 'pending'"  # noqa: S608
    " and connection_id = :connection_id and priority = :priority and due_at <= :before and owner is null"
    f" order by due_at limit 500 {SKIP_LOCKED})"
)


def due(connection: Connection) -> list[tuple[str, int, float]]:
    """(connection, class, when the first delivery may be claimed), for all that have work.

    What is claimed may be again when its lease ends: whoever holds it may be gone by then.
    """
    free = [(row[0], row[1], row[2]) for row in connection.execute(_DUE) if row[2] is not None]
    held: dict[tuple[str, int], float] = {}
    for connection_id, priority, lease_until in connection.execute(_LEASES):
        place = (connection_id, priority)
        held[place] = min(lease_until, held.get(place, lease_until))
    return [*free, *((*place, lease_until) for place, lease_until in held.items())]


def promote(connection: Connection, rows: Sequence[tuple[str, int, float]]) -> list[None]:
    """Lifts what (connection, class) has had due since before a time up one class, so that nothing starves."""
    for connection_id, priority, before in rows:
        connection.execute(_PROMOTE, {"connection_id": connection_id, "priority": priority, "before": before})
    return [None] * len(rows)


# --- while work runs, and when it is broken off ---

_RENEW = text(
    "update delivery set lease_until = :lease_until where id in (select id from delivery where id in :ids"  # noqa: S608
    f" and {HELD} {SKIP_LOCKED})"
).bindparams(bindparam("ids", expanding=True))
_RENEW_CONTACT = text(
    "update contact set lease_until = :lease_until where (connection_id, number) in"  # noqa: S608
    f" (select connection_id, number from contact where owner = :claimant {SKIP_LOCKED})"
)
_GIVE_BACK = text(
    f"update delivery set {GIVEN_BACK}, reason = 'waiting'"  # noqa: S608
    f" where id = :id and fence = :fence and {HELD} and state = 'pending'"
)


@dataclass(frozen=True, slots=True)
class Renewal:
    """Claims that are still worked on, all of one holder, and how long they are to hold."""

    holder: str
    works: Sequence[Work]
    lease_until: float


def renew(connection: Connection, rows: Sequence[Renewal]) -> list[None]:
    """Prolongs claims, and those on the contacts that they find out about; what was lost meanwhile is left alone.

    Rows that somebody writes at the moment are passed over: they have a turn the next time.
    """
    for row in rows:
        ids = as_list([work.id for work in row.works])
        connection.execute(_RENEW, {"lease_until": row.lease_until, "ids": ids, "holder": row.holder})
        for work in row.works:
            connection.execute(_RENEW_CONTACT, {"lease_until": row.lease_until, "claimant": work.claimant})
    return [None] * len(rows)


def give_back(connection: Connection, rows: Sequence[Work]) -> list[None]:
    """Ends claims that were broken off, so that others go on at once; what they began settles first, as always."""
    for work in sorted(rows, key=lambda work: (work.call_id, work.connection_id)):
        connection.execute(_GIVE_BACK, {"id": work.id, "fence": work.fence, "holder": work.holder})
    return [None] * len(rows)


# --- start, pause, older options ---

_RELEASE = text(
    f"update delivery set {GIVEN_BACK}, reason = 'waiting' where owner is not null and state = 'pending'"  # noqa: S608
)
# The dead process cannot send any more, so what it began is settled `settle_s` from now, not from its lease's end.
_SETTLE_STEPS = text(
    "update step set settle_at = :settle_at where state = 'started' and settle_at > :settle_at"
    " and delivery_id in (select id from delivery where owner is not null)"
)
_RELEASE_CONTACTS = text(
    f"update contact set {GIVEN_BACK}, settle_at = case when settle_at > :settle_at"  # noqa: S608
    " then :settle_at else settle_at end where owner is not null"
)


def release_all(connection: Connection, rows: Sequence[tuple[float]]) -> list[int]:
    """Gives back every claim of a process that is gone (SQLite: there is one process). `rows`: (settle_at,)."""
    released = []
    for (settle_at,) in rows:
        connection.execute(_SETTLE_STEPS, {"settle_at": settle_at})
        released.append(connection.execute(_RELEASE).rowcount)
        connection.execute(_RELEASE_CONTACTS, {"settle_at": settle_at})
    return released


_MARK = text(
    "update delivery set reason = :reason where id in (select id from delivery where state = 'pending'"  # noqa: S608
    " and owner is null and reason = :was and connection_id = :connection_id"
    f" {LOCKED_DELIVERIES})"
)


_RESTORED_AT = text("select restored_at from config")
_REVISION = text("select options from revision where connection_id = :connection_id and number = :number")


def restored_at(connection: Connection) -> float | None:
    """When the backup was made that this store was restored from; None where it is no restored copy."""
    found: float | None = connection.execute(_RESTORED_AT).scalar()
    return found


def revision_options(connection: Connection, connection_id: str, number: int) -> str | None:
    """The options of a revision, as JSON; None where it is gone."""
    found: str | None = connection.execute(_REVISION, {"connection_id": connection_id, "number": number}).scalar()
    return found


def mark(connection: Connection, rows: Sequence[Mapping[str, str]]) -> list[None]:
    """Renames the reason of a connection's waiting deliveries: reason, was, connection_id."""
    connection.execute(_MARK, list(rows))
    return [None] * len(rows)
