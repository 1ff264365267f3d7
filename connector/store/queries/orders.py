"""Orders to record a call: the event is the order, a row of `recording_order` what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from connector.store.engine.held import GIVEN_BACK, HELD, TAKEN, free
from connector.store.queries.deliveries import StoredEvent


@dataclass(frozen=True, slots=True)
class Order:
    """An order that is open. `kind`: record_start or record_stop; `attempts`: tries before this one."""

    event_id: int
    tenant_id: int
    call_id: int
    call_sid: str
    kind: str
    received_at: float
    attempts: int
    due_at: float
    lease_until: float | None


@dataclass(frozen=True, slots=True)
class OrderClaim:
    """A wish to carry out a call's open orders: all of them or none, so that nobody overtakes another's."""

    event_ids: tuple[int, ...]
    holder: str
    now: float
    lease_until: float


@dataclass(frozen=True, slots=True)
class OrderFinish:
    """What became of an order. `state`: pending (again at `due_at`), done, failed."""

    event_id: int
    holder: str
    state: str
    reason: str | None
    now: float
    due_at: float


# The condition on `kind` is the partial index's, to the letter.
_OPEN_ORDERS = text(
    "select event.id, event.tenant_id, event.call_id, call.call_sid, event.kind, event.received_at,"
    " coalesce(o.attempts, 0), coalesce(o.due_at, 0), o.lease_until"
    " from event join call on call.id = event.call_id left join recording_order o on o.event_id = event.id"
    " where event.kind in ('record_start', 'record_stop') and event.received_at > :since"
    " and (o.state is null or o.state = 'pending') and call.call_sid is not null"
    " order by event.received_at, event.id limit :most"
)
_CLAIM_ORDER = text(
    "insert into recording_order (event_id, state, attempts, due_at, owner, lease_until, updated_at)"  # noqa: S608
    " values (:event_id, 'pending', 1, :lease_until, :holder, :lease_until, :now)"
    f" on conflict (event_id) do update set {TAKEN}, attempts = recording_order.attempts + 1, updated_at = :now"
    f" where recording_order.state = 'pending' and {free('recording_order')} returning event_id"
)
_RELEASE_ORDER = text(
    f"update recording_order set {GIVEN_BACK}, attempts = attempts - 1, due_at = :now"  # noqa: S608
    f" where event_id = :event_id and {HELD}"
)
_EVENTS_OF_CALL = text(
    "select id, source, connection_id, kind, method, query, content_type, body, received_at from event"
    " where call_id = :call_id order by id"
)
_FINISH_ORDER = text(
    f"update recording_order set state = :state, reason = :reason, due_at = :due_at, {GIVEN_BACK},"  # noqa: S608
    f" updated_at = :now where event_id = :event_id and {HELD}"
)


def open_orders(connection: Connection, since: float, most: int) -> list[Order]:
    """Orders that came after `since` and are not carried out, oldest first, whoever works on them."""
    return [Order(*row) for row in connection.execute(_OPEN_ORDERS, {"since": since, "most": most})]


def events_of(connection: Connection, call_id: int) -> list[StoredEvent]:
    """Every event of a call, as it came."""
    return [StoredEvent(*row) for row in connection.execute(_EVENTS_OF_CALL, {"call_id": call_id})]


def claim_orders(connection: Connection, claims: Sequence[OrderClaim]) -> list[bool]:
    """For each: whether the call's orders are the holder's until the lease ends."""
    granted = []
    for claim in claims:
        values = {"holder": claim.holder, "now": claim.now, "lease_until": claim.lease_until}
        got = [
            event_id
            for event_id in sorted(claim.event_ids)
            if connection.execute(_CLAIM_ORDER, {**values, "event_id": event_id}).first() is not None
        ]
        granted.append(len(got) == len(claim.event_ids))
        if not granted[-1]:
            for event_id in got:
                connection.execute(_RELEASE_ORDER, {"event_id": event_id, "holder": claim.holder, "now": claim.now})
    return granted


def finish_orders(connection: Connection, finishes: Sequence[OrderFinish]) -> list[None]:
    """Writes what became of orders; of one whose lease was lost, whoever holds it now writes it."""
    for one in finishes:
        values = {"event_id": one.event_id, "holder": one.holder, "state": one.state, "reason": one.reason}
        connection.execute(_FINISH_ORDER, {**values, "now": one.now, "due_at": one.due_at})
    return [None] * len(finishes)
