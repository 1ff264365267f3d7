"""Accept: events stored, and the work that they open, many requests in one commit.

Of a call that retention pruned, no delivery is opened for a connection that a tombstone names (`retention`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from connector.store.rows import as_rows, rows_of


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


# A call that retention closed for every connection it could go to is not made again, so its event finds no place.
_NEW_CALL = text(
    "insert into call (tenant_id, call_sid, created_at) "  # noqa: S608
    f"select r.tenant_id, r.call_sid, r.at from {rows_of('tenant_id', 'call_sid', 'connection_id', 'at')} r "
    "where not exists (select 1 from tombstone t where t.tenant_id = r.tenant_id and t.call_sid = r.call_sid)"
    " or exists (select 1 from connection c where c.tenant_id = r.tenant_id and c.enabled"
    "  and (r.connection_id is null or c.id = r.connection_id)"
    "  and not exists (select 1 from tombstone t where t.tenant_id = r.tenant_id and t.call_sid = r.call_sid"
    "   and t.connection_id = c.id)) "
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
_DELIVERY_FIELDS = (
    *("tenant_id", "call_sid", "call_id", "connection_id", "reason", "priority", "due_at", "reopen_at", "at"),
)
# A delivery that nothing has failed yet is looked at earlier if the new event says so; one that waits for its retry
# keeps its time. What was finished or dead is opened again.
_NEW_DELIVERY = text(
    "insert into delivery (tenant_id, call_id, connection_id, state, reason, priority, due_at, reopen_at, created_at,"  # noqa: S608
    " updated_at) select r.tenant_id, r.call_id, r.connection_id, 'pending', r.reason, r.priority, r.due_at,"
    " r.reopen_at, r.at, r.at "
    f"from {rows_of(*_DELIVERY_FIELDS)} r "
    "where not exists (select 1 from tombstone t where t.tenant_id = r.tenant_id and t.call_sid = r.call_sid"
    " and t.connection_id = r.connection_id) on conflict (connection_id, call_id) do update set"
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
    """Stores events and opens their deliveries.

    For each whether it is new: an identical request is stored once, one of a call that retention closed not at all.
    """
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
