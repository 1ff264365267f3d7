"""The pipeline's statements: accept, claim, journal, contacts. Constant texts, many rows each.

Every function here runs inside a transaction of `Database`. Those that change something take many rows and answer one
result per row, so that the writer can put what is asked for at the same time into one commit.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, text

from connector.errors import LeaseLost
from connector.store.rows import as_rows, rows_of

# --- accept ---


@dataclass(frozen=True, slots=True)
class NewEvent:
    """A request to be stored, and the deliveries that it opens.

    `deliveries`: (connection id, priority class, due_at, due_at if it had been finished, reason for pending).
    """

    tenant_id: int
    call_sid: str
    kind: str
    source: str
    connection_id: str | None
    dedup: str
    method: str
    query: str
    content_type: str | None
    body: bytes | None
    received_at: float
    deliveries: tuple[tuple[str, int, float, float, str], ...]


_NEW_CALL = text(
    "insert into call (tenant_id, call_sid, created_at) "  # noqa: S608
    f"select tenant_id, call_sid, at from {rows_of('tenant_id', 'call_sid', 'at')} where true "
    "on conflict (tenant_id, call_sid) do nothing"
)
_EVENT_COLUMNS = "source, connection_id, kind, dedup, method, query, content_type"
_NEW_EVENT = text(
    f"insert into event (tenant_id, call_id, {_EVENT_COLUMNS}, body, received_at) "  # noqa: S608
    "select r.tenant_id, call.id, r.source, r.connection_id, r.kind, r.dedup, r.method, r.query, r.content_type,"
    " cast(null as blob), r.at "
    f"from {rows_of('tenant_id', 'call_sid', *_EVENT_COLUMNS.split(', '), 'at')} r "
    "join call on call.tenant_id = r.tenant_id and call.call_sid = r.call_sid where true "
    "on conflict (call_id, dedup) do nothing returning dedup, call_id"
)
_BODY = text("update event set body = :body where call_id = :call_id and dedup = :dedup")
# A delivery that nothing has failed yet is looked at earlier if the new event says so; one that waits for its retry
# keeps its time. What was finished or dead is opened again.
_NEW_DELIVERY = text(
    "insert into delivery (tenant_id, call_id, connection_id, state, reason, priority, due_at, reopen_at, created_at,"  # noqa: S608
    " updated_at) select tenant_id, call_id, connection_id, 'pending', reason, priority, due_at, reopen_at, at, at "
    f"from {rows_of('tenant_id', 'call_id', 'connection_id', 'reason', 'priority', 'due_at', 'reopen_at', 'at')} "
    "where true on conflict (connection_id, call_id) do update set"
    " version = delivery.version + 1,"
    " priority = case when delivery.state = 'pending' and delivery.priority < excluded.priority"
    "  then delivery.priority else excluded.priority end,"
    " due_at = case when delivery.state <> 'pending' then excluded.reopen_at"
    "  when delivery.attempts > 0 or delivery.due_at < excluded.due_at then delivery.due_at"
    "  else excluded.due_at end,"
    " reason = case when delivery.state = 'pending' then delivery.reason else excluded.reason end,"
    " attempts = case when delivery.state = 'dead' then 0 else delivery.attempts end,"
    " retried_s = case when delivery.state = 'dead' then 0 else delivery.retried_s end,"
    " state = 'pending', updated_at = excluded.updated_at"
)


def accept(connection: Connection, events: Sequence[NewEvent]) -> list[bool]:
    """Stores events and opens their deliveries. For each: whether it was new (an identical request is stored once)."""
    given = as_rows([_event(e) for e in events])
    connection.execute(_NEW_CALL, given)
    stored: dict[str, int] = {row[0]: row[1] for row in connection.execute(_NEW_EVENT, given)}
    new = []
    deliveries = []
    bodies = []
    for e in events:
        call_id = stored.pop(e.dedup, None)  # twice in one batch: the first is the new one
        new.append(call_id is not None)
        if call_id is None:
            continue
        if e.body is not None:
            bodies.append({"body": e.body, "call_id": call_id, "dedup": e.dedup})
        for connection_id, priority, due_at, reopen_at, reason in e.deliveries:
            deliveries.append(
                {
                    "tenant_id": e.tenant_id,
                    "call_id": call_id,
                    "connection_id": connection_id,
                    "priority": priority,
                    "due_at": due_at,
                    "reopen_at": reopen_at,
                    "reason": reason,
                    "at": e.received_at,
                }
            )
    if bodies:
        connection.execute(_BODY, bodies)
    if deliveries:
        connection.execute(_NEW_DELIVERY, as_rows(deliveries))
    return new


def _event(e: NewEvent) -> dict[str, Any]:
    return {
        "tenant_id": e.tenant_id,
        "call_sid": e.call_sid,
        "source": e.source,
        "connection_id": e.connection_id,
        "kind": e.kind,
        "dedup": e.dedup,
        "method": e.method,
        "query": e.query,
        "content_type": e.content_type,
        "at": e.received_at,
    }


# --- claim ---


@dataclass(frozen=True, slots=True)
class Claim:
    """A wish for at most `limit` due deliveries of one connection and class."""

    connection_id: str
    priority: int
    limit: int
    owner: str
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
    owner: str
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


_CLAIM = text(
    "update delivery set owner = :owner, fence = fence + 1, lease_until = :lease_until, reason = 'running',"
    " updated_at = :now "
    "where id in (select id from delivery where state = 'pending' and connection_id = :connection_id"
    " and priority = :priority and due_at <= :now and (owner is null or lease_until <= :now)"
    " order by due_at limit :limit) "
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
_STEP_COLUMNS = (
    "slot, kind, state, reason, doing, ref_id, url, written, sent, subject, started_at, settle_at, left_out, warning,"
    " error, version"
)
_STEPS = text(f"select delivery_id, {_STEP_COLUMNS} from step where delivery_id in :ids").bindparams(  # noqa: S608
    bindparam("ids", expanding=True)
)


def claim(connection: Connection, wishes: Sequence[Claim]) -> list[list[Work]]:
    """For each wish, the deliveries it got: nobody else opens them before the lease ends or they are given back."""
    granted: list[list[Work]] = []
    for wish in wishes:
        rows = connection.execute(
            _CLAIM,
            {
                "owner": wish.owner,
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
                    owner=wish.owner,
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
    """Fills in CallSid, events and journal."""
    if not works:
        return
    calls = sorted({work.call_id for work in works})
    sids = {row[0]: (row[1], row[2]) for row in connection.execute(_CALL_SIDS, {"ids": calls})}
    events: dict[int, list[StoredEvent]] = defaultdict(list)
    for row in connection.execute(_EVENTS, {"ids": calls}):
        events[row[0]].append(StoredEvent(*row[1:]))
    steps: dict[int, dict[str, StepRow]] = defaultdict(dict)
    for row in connection.execute(_STEPS, {"ids": [work.id for work in works]}):
        steps[row[0]][row[1]] = StepRow(*row[1:])
    for work in works:
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
    "  and connection_id = busy.id and priority = class.priority) "
    "from busy, class where busy.id is not null"
)
_PROMOTE = text(
    "update delivery set priority = priority - 1 where id in (select id from delivery where state = 'pending'"
    " and connection_id = :connection_id and priority = :priority and due_at <= :before and owner is null"
    " order by due_at limit 500)"
)


def due(connection: Connection) -> list[tuple[str, int, float]]:
    """(connection, class, when its first delivery is due), for all that have work; claimed ones count as well."""
    return [(row[0], row[1], row[2]) for row in connection.execute(_DUE) if row[2] is not None]


def promote(connection: Connection, rows: Sequence[tuple[str, int, float]]) -> list[None]:
    """Lifts what (connection, class) has had due since before a time up one class, so that nothing starves."""
    for connection_id, priority, before in rows:
        connection.execute(_PROMOTE, {"connection_id": connection_id, "priority": priority, "before": before})
    return [None] * len(rows)


# --- journal ---


@dataclass(frozen=True, slots=True)
class Finish:
    """How a claim ends. `due_at` counts for `pending` only."""

    state: str
    reason: str | None
    due_at: float
    attempts: int
    retried_s: float
    last_error: str | None
    warnings: str
    revision: int | None
    summary: str | None
    customer: str | None


@dataclass(frozen=True, slots=True)
class ContactRow:
    """A row of `contact` to be written; a lease of None gives it free."""

    connection_id: str
    number: str
    state: str
    kind: str | None = None
    ref_id: str | None = None
    url: str | None = None
    owner: str | None = None
    lease_until: float | None = None
    settle_at: float | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class JournalWrite:
    """What one attempt writes at one boundary between two requests; nothing of it if the claim was lost."""

    work: Work
    now: float
    steps: tuple[StepRow, ...] = ()
    contact: ContactRow | None = None
    finish: Finish | None = None
    lease_until: float | None = None


_HELD = text("select id, fence, owner, version from delivery where id in :ids").bindparams(
    bindparam("ids", expanding=True)
)
_STEP_FIELDS = ("delivery_id", *_STEP_COLUMNS.split(", "), "updated_at")
_WRITE_STEP = text(
    f"insert into step ({', '.join(_STEP_FIELDS)}) select {', '.join(_STEP_FIELDS)} "  # noqa: S608
    f"from {rows_of(*_STEP_FIELDS)} where true "
    "on conflict (delivery_id, slot) do update set kind = excluded.kind, state = excluded.state,"
    " reason = excluded.reason, doing = excluded.doing, ref_id = excluded.ref_id, url = excluded.url,"
    " written = excluded.written, sent = excluded.sent, subject = excluded.subject, started_at = excluded.started_at,"
    " settle_at = excluded.settle_at, left_out = excluded.left_out, warning = excluded.warning,"
    " error = excluded.error, version = excluded.version, updated_at = excluded.updated_at"
)
_CONTACT_FIELDS = (
    *("connection_id", "number", "state", "kind", "ref_id", "url", "owner", "lease_until", "settle_at", "note"),
    "updated_at",
)
_WRITE_CONTACT = text(
    f"insert into contact ({', '.join(_CONTACT_FIELDS)}) select {', '.join(_CONTACT_FIELDS)} "  # noqa: S608
    f"from {rows_of(*_CONTACT_FIELDS)} where true "
    "on conflict (connection_id, number) do update set state = excluded.state, kind = excluded.kind,"
    " ref_id = excluded.ref_id, url = excluded.url, owner = excluded.owner, lease_until = excluded.lease_until,"
    " settle_at = excluded.settle_at, note = excluded.note, updated_at = excluded.updated_at"
)
_RENEW = text(
    f"update delivery set lease_until = r.lease_until from {rows_of('id', 'lease_until')} r where delivery.id = r.id"  # noqa: S608
)
_FINISH_FIELDS = (
    *("state", "reason", "due_at", "attempts", "retried_s", "last_error", "warnings", "revision", "replay", "priority"),
    "updated_at",
)
_FINISH = text(
    "update delivery set owner = null, lease_until = null, "  # noqa: S608
    f"{', '.join(f'{name} = r.{name}' for name in _FINISH_FIELDS)} "
    f"from {rows_of('id', *_FINISH_FIELDS)} r where delivery.id = r.id"
)
_SUMMARY = text(
    f"update call set summary = r.summary, customer = r.customer from {rows_of('call_id', 'summary', 'customer')} r "  # noqa: S608
    "where call.id = r.call_id"
)


def write_journal(connection: Connection, rows: Sequence[JournalWrite]) -> list[LeaseLost | bool]:
    """Writes what each claim learned. `LeaseLost` where the claim is not held any more: nothing of it was written.

    True where a finish was overtaken by an event: the delivery is due again at once.
    """
    held = {row.id: row for row in connection.execute(_HELD, {"ids": sorted({write.work.id for write in rows})})}
    results: list[LeaseLost | bool] = []
    steps: list[dict[str, Any]] = []
    contacts: list[dict[str, Any]] = []
    renewals: list[dict[str, Any]] = []
    finishes: list[dict[str, Any]] = []
    summaries: list[dict[str, Any]] = []
    for write in rows:
        work = write.work
        mine = held.get(work.id)
        if mine is None or mine.fence != work.fence or mine.owner != work.owner:
            results.append(LeaseLost("The claim ended; whoever holds the call now goes on."))
            continue
        for row in write.steps:
            steps.append(_step(work.id, row, write.now))
        if write.contact is not None:
            contacts.append(_contact(write.contact, write.now))
        if write.lease_until is not None:
            renewals.append({"id": work.id, "lease_until": write.lease_until})
        overtaken = False
        if write.finish is not None:
            overtaken = mine.version != work.version
            finishes.append(_finish(work, write.finish, write.now, overtaken=overtaken))
            if write.finish.summary is not None:
                summaries.append(
                    {
                        "summary": write.finish.summary,
                        "customer": write.finish.customer,
                        "call_id": work.call_id,
                    }
                )
        results.append(overtaken)
    for statement, values in (
        (_WRITE_STEP, steps),
        (_WRITE_CONTACT, contacts),
        (_RENEW, renewals),
        (_FINISH, finishes),
        (_SUMMARY, summaries),
    ):
        if values:
            connection.execute(statement, as_rows(values))
    return results


def _step(delivery_id: int, row: StepRow, now: float) -> dict[str, Any]:
    return {
        "delivery_id": delivery_id,
        "slot": row.slot,
        "kind": row.kind,
        "state": row.state,
        "reason": row.reason,
        "doing": row.doing,
        "ref_id": row.ref_id,
        "url": row.url,
        "written": row.written,
        "sent": row.sent,
        "subject": row.subject,
        "started_at": row.started_at,
        "settle_at": row.settle_at,
        "left_out": row.left_out,
        "warning": row.warning,
        "error": row.error,
        "version": row.version,
        "updated_at": now,
    }


def _contact(row: ContactRow, now: float) -> dict[str, Any]:
    return {
        "connection_id": row.connection_id,
        "number": row.number,
        "state": row.state,
        "kind": row.kind,
        "ref_id": row.ref_id,
        "url": row.url,
        "owner": row.owner,
        "lease_until": row.lease_until,
        "settle_at": row.settle_at,
        "note": row.note,
        "updated_at": now,
    }


def _finish(work: Work, finish: Finish, now: float, *, overtaken: bool) -> dict[str, Any]:
    # An event came while the work ran: its facts were not in the fold, so the last word is not spoken. A delivery
    # that waits for its retry keeps its time; the retry will fold the new event too.
    again = overtaken and not (finish.state == "pending" and finish.reason in ("retrying", "quota", "paused"))
    return {
        "id": work.id,
        "state": "pending" if again else finish.state,
        "reason": "waiting" if again else finish.reason,
        "due_at": now if again else finish.due_at,
        "attempts": finish.attempts,
        "retried_s": finish.retried_s,
        "last_error": finish.last_error,
        "warnings": finish.warnings,
        "revision": finish.revision,
        "replay": work.replay if again or finish.state == "pending" else None,
        "priority": work.priority,
        "updated_at": now,
    }


# --- contacts: one row per (connection, number), one claim at a time ---


@dataclass(frozen=True, slots=True)
class ContactClaim:
    """A wish to know, or to find out, who the caller is."""

    connection_id: str
    number: str
    owner: str
    now: float
    lease_until: float


_CONTACT = text(
    "select state, kind, ref_id, url, owner, lease_until, settle_at, note from contact "
    "where connection_id = :connection_id and number = :number"
)
_FORGET_CONTACT = text(
    "delete from contact where connection_id = :connection_id and number = :number and ref_id = :ref_id"
)


def claim_contact(connection: Connection, wishes: Sequence[ContactClaim]) -> list[ContactRow]:
    """The row as it is. Its `owner` is the wish's if it may now find out; `done` rows are shared by all."""
    found = []
    for wish in wishes:
        key = {"connection_id": wish.connection_id, "number": wish.number}
        row = connection.execute(_CONTACT, key).one_or_none()
        if row is not None and row.state == "done":
            found.append(
                ContactRow(wish.connection_id, wish.number, "done", row.kind, row.ref_id, row.url, note=row.note)
            )
            continue
        if row is not None and row.lease_until is not None and row.lease_until > wish.now and row.owner != wish.owner:
            found.append(
                ContactRow(wish.connection_id, wish.number, row.state, owner=row.owner, lease_until=row.lease_until)
            )
            continue
        mine = ContactRow(
            wish.connection_id,
            wish.number,
            # `started` without a living owner is an unsure write, and stays one until it is looked up.
            row.state if row is not None else "looking",
            kind=row.kind if row is not None else None,
            owner=wish.owner,
            lease_until=wish.lease_until,
            settle_at=row.settle_at if row is not None else None,
        )
        connection.execute(_WRITE_CONTACT, as_rows([_contact(mine, wish.now)]))
        found.append(mine)
    return found


def forget_contacts(connection: Connection, rows: Sequence[tuple[str, str, str]]) -> list[None]:
    """Clears (connection, number, ref): the record is gone from the CRM, the next call looks anew."""
    for connection_id, number, ref_id in rows:
        connection.execute(_FORGET_CONTACT, {"connection_id": connection_id, "number": number, "ref_id": ref_id})
    return [None] * len(rows)


# --- start, gate ---

_RELEASE = text(
    "update delivery set owner = null, lease_until = null, reason = 'waiting'"
    " where owner is not null and state = 'pending'"
)
# The dead process cannot send any more, so what it began is settled `settle_s` from now, not from its lease's end.
_SETTLE_STEPS = text(
    "update step set settle_at = :settle_at where state = 'started' and settle_at > :settle_at"
    " and delivery_id in (select id from delivery where owner is not null)"
)
_RELEASE_CONTACTS = text(
    "update contact set owner = null, lease_until = null, settle_at = case when settle_at > :settle_at"
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


_GATES = text("select account, paused, reason, probe_at, open_until, failures from gate")
_WRITE_GATE = text(
    "insert into gate (account, paused, reason, probe_at, open_until, failures, updated_at) "
    "values (:account, :paused, :reason, :probe_at, :open_until, :failures, :now) "
    "on conflict (account) do update set paused = excluded.paused, reason = excluded.reason,"
    " probe_at = excluded.probe_at, open_until = excluded.open_until, failures = excluded.failures,"
    " updated_at = excluded.updated_at"
)
_MARK = text(
    "update delivery set reason = :reason where state = 'pending' and owner is null and reason = :was"
    " and connection_id = :connection_id"
)


def gates(connection: Connection) -> list[Mapping[str, Any]]:
    """All gates' rows."""
    return [dict(row) for row in connection.execute(_GATES).mappings()]


def write_gates(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> list[None]:
    """Stores gates: account, paused, reason, probe_at, open_until, failures, now."""
    connection.execute(_WRITE_GATE, list(rows))
    return [None] * len(rows)


def mark(connection: Connection, rows: Sequence[Mapping[str, str]]) -> list[None]:
    """Renames the reason of a connection's waiting deliveries: reason, was, connection_id."""
    connection.execute(_MARK, list(rows))
    return [None] * len(rows)


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
