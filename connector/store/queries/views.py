"""Queries of the API, the command line and the metrics: what people ask, never what the pipeline decides by.

Each takes a connection and gives plain rows, newest first. `tenant_id` None means all tenants and is only ever passed
for an operator: the filter sits in the SQL, so that no caller can forget it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Connection, Select, and_, case, false, func, literal_column, not_, or_, select

from connector.observe.metrics import Backlog, Gates
from connector.store import schema
from connector.store.queries.placements import Placement, find_placement, placement_of_call

DeliveryFilter = Literal["pending", "retrying", "done", "dead"]

_call, _delivery, _step, _event = schema.call.c, schema.delivery.c, schema.step.c, schema.event.c
_tenant, _connection, _tombstone = schema.tenant.c, schema.connection.c, schema.tombstone.c


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A bearer token that is in force. `tenant_id` None: an operator's."""

    id: int
    user: str
    tenant_id: int | None
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class CallRow:
    """A call as lists show it; `summary` is the fold's JSON, None before the first attempt."""

    id: int
    tenant_id: int
    tenant: str
    call_sid: str | None
    created_at: float
    summary: str | None


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event as it was received."""

    kind: str
    source: str
    connection: str | None
    method: str
    query: str
    content_type: str | None
    body: bytes | None
    received_at: float
    #: Of an order to record the call: pending, done or failed, and why; None where it is none, or is just accepted.
    order_state: str | None = None
    order_reason: str | None = None


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """A delivery. `warnings` is a JSON list; `due_at` is when it is looked at next, where it is pending."""

    id: int
    tenant: str
    call_sid: str | None
    connection: str
    adapter: str
    state: str
    reason: str | None
    attempts: int
    last_error: str | None
    warnings: str
    due_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class RecordRow:
    """A record in a CRM, as the journal has it; `state` is `pruned` where retention left no more than this of it."""

    connection: str
    slot: str
    kind: str
    id: str
    url: str | None
    state: str
    warning: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class CallView:
    """A call with all that hangs on it, oldest events first. `placement`: where it was placed here."""

    call: CallRow
    placement: Placement | None
    events: tuple[EventRow, ...]
    deliveries: tuple[DeliveryRow, ...]
    records: tuple[RecordRow, ...]


@dataclass(frozen=True, slots=True)
class PrunedCall:
    """What retention left of a call."""

    tenant: str
    call_sid: str
    created_at: float
    pruned_at: float
    records: tuple[RecordRow, ...]


def token(connection: Connection, hash_: str) -> TokenRow | None:
    """The token with this SHA-256 (hex), unless it was revoked."""
    api_token, user = schema.api_token.c, schema.user.c
    query = (
        select(api_token.id, user.name, user.tenant_id, api_token.scopes)
        .join_from(schema.api_token, schema.user)
        .where(api_token.hash == hash_, api_token.revoked_at.is_(None))
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else TokenRow(row[0], row[1], row[2], frozenset(row[3].split(",")))


def calls(
    connection: Connection,
    tenant_id: int | None,
    *,
    customers: Sequence[str] = (),
    since: float | None = None,
    before: tuple[float, int] | None = None,
    limit: int = 50,
) -> list[CallRow]:
    """Calls, newest first. `customers`: spellings of one number; `before`: (created_at, id) of the last one seen."""
    query = _calls()
    if customers:
        # With the tenants named, the index on (tenant, customer) serves an operator's search too.
        query = query.where(_call.customer.in_(customers), _call.tenant_id.in_(select(_tenant.id)))
    if tenant_id is not None:
        query = query.where(_call.tenant_id == tenant_id)
        newest = [_call.created_at.desc(), _call.id.desc()]
        if before is not None:
            at, id_ = before
            query = query.where(or_(_call.created_at < at, and_(_call.created_at == at, _call.id < id_)))
    else:
        # No index orders all tenants' calls by time; ids rise with it.
        newest = [_call.id.desc()]
        if before is not None:
            query = query.where(_call.id < before[1])
    if since is not None:
        query = query.where(_call.created_at >= since)
    return [CallRow(*row) for row in connection.execute(query.order_by(*newest).limit(limit))]


def call(connection: Connection, tenant_id: int, call_sid: str) -> CallView | None:
    """One call with its events, deliveries and records."""
    query = _calls().where(_call.tenant_id == tenant_id, _call.call_sid == call_sid)
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    found = CallRow(*row)
    events: Select[Any] = (
        select(
            _event.kind,
            _event.source,
            _connection.name,
            _event.method,
            _event.query,
            _event.content_type,
            _event.body,
            _event.received_at,
            schema.recording_order.c.state,
            schema.recording_order.c.reason,
        )
        .join_from(schema.event, schema.connection, isouter=True)
        .join(schema.recording_order, schema.recording_order.c.event_id == _event.id, isouter=True)
        .where(_event.call_id == found.id)
        .order_by(_event.id)
    )
    records = (
        select(
            _connection.name, _step.slot, _step.kind, _step.ref_id, _step.url, _step.state, _step.warning, _step.error
        )
        .join_from(schema.step, schema.delivery)
        .join(schema.connection, _connection.id == _delivery.connection_id)
        .where(_delivery.call_id == found.id, _step.ref_id.is_not(None))
        .order_by(_connection.name, _step.slot)
    )
    deliveries = _deliveries().where(_delivery.call_id == found.id).order_by(_connection.name)
    return CallView(
        call=found,
        placement=placement_of_call(connection, tenant_id, call_sid),
        events=tuple(EventRow(*row) for row in connection.execute(events)),
        deliveries=tuple(DeliveryRow(*row) for row in connection.execute(deliveries)),
        records=(
            *(RecordRow(*row) for row in connection.execute(records)),
            # A call that came up again after it was pruned, for a connection that it had not been delivered to.
            *_buried(connection, tenant_id, call_sid),
        ),
    )


def placed(connection: Connection, tenant_id: int | None, token: str) -> tuple[Placement, str] | None:
    """A call that was asked for, by its public id, and its tenant's SID."""
    found = find_placement(connection, token)
    if found is None or tenant_id not in (None, found.tenant_id):
        return None
    sid: str = connection.execute(select(_tenant.sid).where(_tenant.id == found.tenant_id)).scalar_one()
    return found, sid


def pruned_call(connection: Connection, tenant_id: int, call_sid: str) -> PrunedCall | None:
    """What is left of a call that retention deleted; None where nothing is known of it."""
    query = (
        select(
            _tenant.sid, func.min(func.coalesce(_tombstone.call_at, _tombstone.made_at)), func.max(_tombstone.made_at)
        )
        .join_from(schema.tombstone, schema.tenant)
        .where(_tombstone.tenant_id == tenant_id, _tombstone.call_sid == call_sid)
        .group_by(_tenant.sid)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    return PrunedCall(row[0], call_sid, row[1], row[2], tuple(_buried(connection, tenant_id, call_sid)))


def _buried(connection: Connection, tenant_id: int, call_sid: str) -> list[RecordRow]:
    name = func.coalesce(_connection.name, _tombstone.connection_id)
    query = (
        select(name, _tombstone.slot, _tombstone.kind, _tombstone.ref_id, _tombstone.url)
        .join_from(schema.tombstone, schema.connection, _connection.id == _tombstone.connection_id, isouter=True)
        .where(_tombstone.tenant_id == tenant_id, _tombstone.call_sid == call_sid, _tombstone.ref_id.is_not(None))
        .order_by(name, _tombstone.slot)
    )
    return [RecordRow(*row, state="pruned", warning=None, error=None) for row in connection.execute(query)]


def customers(connection: Connection, tenant_id: int, call_sids: Sequence[str]) -> dict[str, tuple[str]]:
    """CallSid -> the customer's number, for those of these calls of which it is known."""
    query = select(_call.call_sid, _call.customer).where(
        _call.tenant_id == tenant_id, _call.call_sid.in_(call_sids), _call.customer.is_not(None)
    )
    return {call_sid: (customer,) for call_sid, customer in connection.execute(query)}


def has_call(connection: Connection, tenant_id: int, call_sid: str) -> bool:
    """Whether the tenant has this call."""
    query = select(_call.id).where(_call.tenant_id == tenant_id, _call.call_sid == call_sid)
    return connection.execute(query).first() is not None


def deliveries(
    connection: Connection,
    tenant_id: int | None,
    *,
    state: DeliveryFilter | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[DeliveryRow]:
    """Deliveries, newest first; `retrying` are those pending for that reason. `before`: id of the last one seen."""
    query = _deliveries()
    if state is not None:
        query = query.where(_delivery.state == _word("pending" if state == "retrying" else state))
    if state == "retrying":
        query = query.where(_delivery.reason == "retrying")
    if tenant_id is not None:
        query = query.where(_delivery.tenant_id == tenant_id)
    newest: ColumnElement[int] = _delivery.id
    if state not in (None, "done"):
        # What is pending or dead is little, and has partial indexes; a sum keeps the planner from walking all ids.
        newest = _delivery.id + literal_column("0")
    if before is not None:
        query = query.where(newest < before)
    return [DeliveryRow(*row) for row in connection.execute(query.order_by(newest.desc()).limit(limit))]


def alive(connection: Connection) -> bool:
    """Whether the store answers, with this schema."""
    connection.execute(select(schema.config.c.version))
    return True


def backlog(connection: Connection, now: float) -> list[Backlog]:
    """What is pending or dead, by adapter and reason."""
    gate = schema.gate.c
    is_free = or_(_delivery.owner.is_(None), _delivery.lease_until <= now)
    lets_through = and_(_connection.enabled, not_(func.coalesce(gate.paused, false())))
    is_closed = func.coalesce(gate.open_until, 0) <= now
    is_due = and_(_delivery.state == _word("pending"), _delivery.due_at <= now, is_free, lets_through, is_closed)
    rows: list[Backlog] = []
    # One state at a time: each has a partial index of its own, so that what is done is not counted over.
    for state in ("pending", "dead"):
        query = (
            select(
                _connection.adapter,
                _delivery.reason,
                func.count(),
                func.count(case((is_due, 1))),
                func.min(case((is_due, _delivery.due_at))),
            )
            .join_from(schema.delivery, schema.connection)
            .join(schema.gate, gate.account == _connection.account, isouter=True)
            .where(_delivery.state == _word(state))
            .group_by(_connection.adapter, _delivery.reason)
        )
        for adapter, reason, count, due, due_at in connection.execute(query):
            waited_s = now - due_at if due_at is not None else 0.0
            rows.append(Backlog(adapter, state, reason, count, due, waited_s))
    return rows


def gates(connection: Connection, now: float) -> list[Gates]:
    """The accounts' gates, by adapter."""
    gate = schema.gate.c
    state = case((gate.paused, "paused"), (gate.open_until > now, "broken"), else_="open")
    accounts = select(_connection.adapter, _connection.account).distinct().subquery()
    query = (
        select(accounts.c.adapter, state, func.count())
        .join_from(accounts, schema.gate, gate.account == accounts.c.account, isouter=True)
        .group_by(accounts.c.adapter, state)
    )
    return [Gates(*row) for row in connection.execute(query)]


def _calls() -> Select[Any]:
    return select(_call.id, _call.tenant_id, _tenant.sid, _call.call_sid, _call.created_at, _call.summary).join_from(
        schema.call, schema.tenant
    )


def _deliveries() -> Select[Any]:
    return (
        select(
            _delivery.id,
            _tenant.sid,
            _call.call_sid,
            _connection.name,
            _connection.adapter,
            _delivery.state,
            _delivery.reason,
            _delivery.attempts,
            _delivery.last_error,
            _delivery.warnings,
            _delivery.due_at,
            _delivery.updated_at,
        )
        .join_from(schema.delivery, schema.call)
        .join(schema.tenant, _tenant.id == _delivery.tenant_id)
        .join(schema.connection, _connection.id == _delivery.connection_id)
    )


def _word(state: str) -> Any:
    # A partial index is found by a literal only: SQLite cannot prove that a bound value matches it.
    return literal_column(f"'{_STATES[state]}'")


_STATES: Final = {state: state for state in ("pending", "done", "dead")}
