"""Accept: events stored, and the work that they open, many requests in one commit.

On PostgreSQL it is one statement, carried out without a transaction around it: a process that freezes in the middle of
an accept holds no row of anybody's, and an accept whose answer is lost is asked again and found to be stored.

Of a call that retention pruned, no delivery is opened for a connection that a tombstone names (`queries.retention`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from connector.store.engine.rows import as_json, as_rows, rows_of
from connector.store.engine.writer import one_statement


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


_BURIED = "(select 1 from tombstone t where t.tenant_id = r.tenant_id and t.call_sid = r.call_sid"
# A call that is closed for every connection it could go to is not made again, so that its event finds no place.
# `(select … limit 1) is null` and not `not exists`: for that PostgreSQL may read all tombstones into a hash.
_IS_OPEN = (
    f"({_BURIED} limit 1) is null or exists (select 1 from connection c where c.tenant_id = r.tenant_id"  # noqa: S608
    " and c.enabled and (r.connection_id is null or c.id = r.connection_id)"
    f" and {_BURIED} and t.connection_id = c.id limit 1) is null))"
)
_OPENS = f"{_BURIED} and t.connection_id = r.connection_id limit 1) is null"
_NEW_CALL = text(
    "insert into call (tenant_id, call_sid, created_at) "  # noqa: S608
    f"select r.tenant_id, r.call_sid, r.at from {rows_of('tenant_id', 'call_sid', 'event.connection_id', 'at')} r "
    f"where {_IS_OPEN} on conflict (tenant_id, call_sid) do nothing"
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
_REOPENED = (
    "on conflict (connection_id, call_id) do update set version = delivery.version + excluded.version,"
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
_DELIVERY_FIELDS = (
    *("tenant_id", "call_sid", "call_id", "connection_id", "reason", "priority", "due_at", "reopen_at", "at"),
)
_NEW_DELIVERY = text(
    "insert into delivery (tenant_id, call_id, connection_id, state, reason, priority, due_at, reopen_at, created_at,"  # noqa: S608
    " updated_at) select tenant_id, call_id, connection_id, 'pending', reason, priority, due_at, reopen_at, at, at "
    f"from {rows_of(*_DELIVERY_FIELDS)} r "
    f"where {_OPENS} {_REOPENED}"
)


_AT_ONCE = text(
    f"with given as (select r.*, {_IS_OPEN} as is_open from jsonb_to_recordset(cast(:events as jsonb)) as"  # noqa: S608
    "  r(tenant_id bigint, call_sid text, source text, connection_id text, kind text, dedup text, method text,"
    "  query text, content_type text, body text, at double precision)), "
    "wanted as (select * from jsonb_to_recordset(cast(:deliveries as jsonb)) as r(dedup text, tenant_id bigint,"
    "  call_sid text, connection_id text, reason text, priority bigint, due_at double precision,"
    f"  reopen_at double precision, at double precision) where {_OPENS}), "
    "made as (insert into call (tenant_id, call_sid, created_at) select tenant_id, call_sid, min(at) from given"
    "  where is_open group by tenant_id, call_sid order by tenant_id, call_sid"
    "  on conflict (tenant_id, call_sid) do nothing returning id, tenant_id, call_sid), "
    "known as (select id, tenant_id, call_sid from made union all"
    "  select call.id, call.tenant_id, call.call_sid from call join (select distinct tenant_id, call_sid from given) g"
    "  on call.tenant_id = g.tenant_id and call.call_sid = g.call_sid), "
    f"stored as (insert into event (tenant_id, call_id, {_EVENT_COLUMNS}, body, received_at)"
    "  select g.tenant_id, known.id, g.source, g.connection_id, g.kind, g.dedup, g.method, g.query, g.content_type,"
    "  decode(g.body, 'hex'), g.at from given g join known on known.tenant_id = g.tenant_id"
    "  and known.call_sid = g.call_sid order by known.id, g.dedup"
    "  on conflict (call_id, dedup) do nothing returning dedup, call_id), "
    # Several events of a call come together as one change: a row is touched once by a statement.
    "opened as (insert into delivery (tenant_id, call_id, connection_id, state, reason, priority, version, due_at,"
    "  reopen_at, created_at, updated_at) select min(w.tenant_id), stored.call_id, w.connection_id, 'pending',"
    "  min(w.reason), min(w.priority), count(*), min(w.due_at), min(w.reopen_at), min(w.at), max(w.at)"
    "  from wanted w join stored on stored.dedup = w.dedup group by stored.call_id, w.connection_id"
    f"  order by stored.call_id, w.connection_id {_REOPENED}) "
    "select g.dedup, known.id is not null or not g.is_open as is_settled, stored.dedup is not null as is_new"
    " from given g left join known on known.tenant_id = g.tenant_id and known.call_sid = g.call_sid"
    " left join stored on stored.dedup = g.dedup"
)


@one_statement
def accept(connection: Connection, events: Sequence[NewEvent]) -> list[bool]:
    """Stores events and opens their deliveries.

    For each whether it is new: an identical request is stored once, one of a call that retention closed not at all.
    """
    if connection.dialect.name == "postgresql":
        return _accept_at_once(connection, events)
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
                    "call_sid": e.call_sid,
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


def _accept_at_once(connection: Connection, events: Sequence[NewEvent]) -> list[bool]:
    open_: dict[str, NewEvent] = {}
    for e in events:
        open_.setdefault(e.dedup, e)  # twice in one batch: the first is the new one
    new: set[str] = set()
    has_failed = False
    while open_:
        try:
            answer = connection.execute(
                _AT_ONCE,
                {
                    "events": as_json(
                        [{**_event(e), "body": e.body.hex() if e.body else None} for e in open_.values()]
                    ),
                    "deliveries": as_json([wanted for e in open_.values() for wanted in _wanted(e)]),
                },
            ).all()
        except IntegrityError:
            # Retention deleted a call that the statement had seen, and that is closed by now: it looks again, once.
            if has_failed:
                raise
            has_failed = True
            continue
        for dedup, is_settled, is_new in answer:
            # Another process made the call after this statement began, so that it saw neither: it looks again.
            if is_settled:
                del open_[dedup]
            if is_new:
                new.add(dedup)
    results = []
    for e in events:
        results.append(e.dedup in new)
        new.discard(e.dedup)
    return results


def _wanted(e: NewEvent) -> list[dict[str, Any]]:
    return [
        {
            "dedup": e.dedup,
            "tenant_id": e.tenant_id,
            "call_sid": e.call_sid,
            "connection_id": connection_id,
            "priority": priority,
            "due_at": due_at,
            "reopen_at": reopen_at,
            "reason": reason,
            "at": e.received_at,
        }
        for connection_id, priority, due_at, reopen_at, reason in e.deliveries
    ]


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
