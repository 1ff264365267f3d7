"""The store's rows as the API shows them: times in UTC, credentials hidden wherever a request echoed them."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl

from connector.errors import IngressError
from connector.exotel import details as details_
from connector.exotel import parse_request
from connector.exotel.model import ORDERS, CallEvent
from connector.exotel.wire import merge
from connector.observe.redact import redact, redact_all
from connector.phone import parse_number
from connector.pipeline.click_to_call.placing import refusal_of
from connector.pipeline.completeness.statement import Statement, numbers
from connector.pipeline.delivery.replay import Replayed
from connector.store.queries.placements import Placement
from connector.store.queries.views import CallRow, CallView, DeliveryRow, EventRow, PrunedCall, RecordRow
from connector.tenants.model import Tenant
from connector.web.api.shapes import (
    CallDetails,
    CallOut,
    ChangeOut,
    ConnectionTotal,
    DeliveryOut,
    EventOut,
    ListedDelivery,
    OrderOut,
    Placed,
    RecordOut,
    ReplayedCall,
    StatementOut,
)

#: Parameters that name the ends of a call, in small letters.
_PARTIES: Final = frozenset({"from", "to", "callfrom", "callto"})
_NOT_PLACED: Final = "Exotel has no trace of this call, although its longest call would be over: nobody was rung."


def call(row: CallRow, tenant: Tenant | None, *, numbers: bool) -> CallOut:
    """A call as the last attempt folded it. `numbers`: whoever looks sees those that the tenant masks."""
    summary = redact_all(json.loads(row.summary)) if row.summary else {}
    if tenant is not None and tenant.mask is not None and not numbers:
        named = [summary["customer_number"]] if summary.get("customer_number") else []
        summary = tenant.mask.hidden(summary, named, tenant.country)
    known = {"tenant": row.tenant, "call_sid": row.call_sid, "created_at": _time(row.created_at)}
    return CallOut.model_validate({**summary, **known})


def details(view: CallView, tenant: Tenant, *, numbers: bool) -> CallDetails:
    """A call with its events read anew; `numbers` as in `call`."""
    events = [event(row, tenant.country) for row in view.events]
    if tenant.mask is not None and not numbers:
        named = _customers(view.call, events, tenant)
        hidden = [tenant.mask.hidden({"facts": one.facts, "raw": one.raw}, named, tenant.country) for one in events]
        events = [one.model_copy(update=parts) for one, parts in zip(events, hidden, strict=True)]
    placement, known = view.placement, view.call
    if known.summary is None and placement is not None:
        known = _wished(placement, known.tenant)
    return CallDetails(
        id=placement.token if placement is not None else None,
        call_sid=view.call.call_sid,
        state=placement.state if placement is not None else None,
        call=call(known, tenant, numbers=numbers),
        events=events,
        deliveries=[delivery(row) for row in view.deliveries],
        records=[record(row) for row in view.records],
    )


def asked_for(row: Placement, tenant: Tenant, *, numbers: bool) -> CallDetails:
    """A call that was asked for and has no CallSid (yet); `numbers` as in `call`."""
    refused = refusal_of(row)
    reason = refused.message if refused is not None else _NOT_PLACED if row.state == "not_placed" else None
    return CallDetails(
        id=row.token,
        call_sid=None,
        state=row.state,
        reason=_text(reason),
        call=call(_wished(row, tenant.sid), tenant, numbers=numbers),
        events=[],
        deliveries=[],
        records=[],
    )


def _wished(row: Placement, sid: str) -> CallRow:
    """What is known of a call before anything came of it, as a fold would tell it."""
    facts = {
        "direction": "outbound",
        "customer_number": row.customer,
        "exophone": row.caller_id,
        "agent_number": row.agent_number,
        "custom_field": row.custom_field,
    }
    return CallRow(
        id=0,
        tenant_id=row.tenant_id,
        tenant=sid,
        call_sid=row.call_sid,
        created_at=row.created_at,
        summary=json.dumps(facts),
    )


def placed(row: Placement) -> Placed:
    """What became of a wish so far. What another request is placing at this moment is nobody's knowledge yet."""
    state = "unknown" if row.state == "placing" else row.state
    return Placed.model_validate({"id": row.token, "call_sid": row.call_sid, "state": state})


def pruned(left: PrunedCall) -> CallDetails:
    """What retention left of a call: that it was there, and the records that were written."""
    of_call = CallOut(
        tenant=left.tenant,
        call_sid=left.call_sid,
        created_at=_time(left.created_at),
        pruned_at=_time(left.pruned_at),
    )
    records = [record(row) for row in left.records]
    return CallDetails(call_sid=left.call_sid, call=of_call, events=[], deliveries=[], records=records)


def _customers(row: CallRow, events: Sequence[EventOut], tenant: Tenant) -> set[str]:
    """Numbers that a call's events name, less those that are known to be the tenant's own."""
    named = {json.loads(row.summary).get("customer_number")} if row.summary else set()
    own = {*tenant.exophones, *(agent.phone for connection in tenant.connections for agent in connection.agents)}
    for one in events:
        facts = one.facts or {}
        parties = (value for name, value in one.raw.items() if name.replace(" ", "").lower() in _PARTIES)
        named |= {parse_number(str(value), tenant.country) for value in parties}
        named |= {facts.get("customer_number"), *facts.get("other_numbers", ())}
        own |= {facts.get("exophone"), facts.get("agent_number")} - {facts.get("customer_number")}
    return {number for number in named - own if number}


def event(row: EventRow, country: str) -> EventOut:
    """An event, and what the parser makes of it today. Exotel's requests and records have facts."""
    query = parse_qsl(row.query, keep_blank_values=True)
    kind, facts = row.kind, None
    read: CallEvent | None = None
    if row.source == "details" and row.kind == details_.RECORD:
        read = details_.read_details(row.body or b"{}", country)
    elif row.source in ("exotel", "connect"):
        # An older version accepted what this one does not read; `raw` shows it.
        with contextlib.suppress(IngressError):
            read = parse_request(
                event=row.kind,
                method=row.method,
                query=query,
                content_type=row.content_type,
                body=row.body or b"",
                country=country,
            )
    if read is not None:
        kind = read.kind
        facts = {name: _shown(value) for name, value in read if name not in ("raw", "kind") and value is not None}
    return EventOut(
        kind=kind,
        source=row.source,
        connection=row.connection,
        received_at=_time(row.received_at),
        facts=redact_all(facts),
        raw=redact_all(merge(query, row.content_type, row.body or b"")),
        order=_order(row) if kind in ORDERS else None,
    )


def _order(row: EventRow) -> OrderOut:
    return OrderOut.model_validate({"state": row.order_state or "pending", "reason": _text(row.order_reason)})


def delivery(row: DeliveryRow) -> DeliveryOut:
    """A delivery of a call."""
    return DeliveryOut.model_validate(_delivery(row))


def listed_delivery(row: DeliveryRow) -> ListedDelivery:
    """A delivery among those of many calls."""
    return ListedDelivery.model_validate({**_delivery(row), "tenant": row.tenant, "call_sid": row.call_sid})


def record(row: RecordRow) -> RecordOut:
    """A record in a CRM."""
    return RecordOut(
        connection=row.connection,
        slot=row.slot,
        kind=row.kind,
        id=row.id,
        url=row.url,
        state=row.state,
        warning=_text(row.warning),
        error=_text(row.error),
    )


def replayed(one: Replayed) -> ReplayedCall:
    """What a replay does for one call and connection."""
    changes = [ChangeOut.model_validate(redact_all(change)) for change in one.changes]
    return ReplayedCall(call_sid=one.call_sid, connection=one.connection, queued=one.queued, changes=changes)


def _delivery(row: DeliveryRow) -> Mapping[str, Any]:
    return {
        "connection": row.connection,
        "adapter": row.adapter,
        "state": row.state,
        "reason": row.reason,
        "attempts": row.attempts,
        "last_error": _text(row.last_error),
        "warnings": redact_all(json.loads(row.warnings)),
        "due_at": _time(row.due_at) if row.state == "pending" else None,
        "updated_at": _time(row.updated_at),
    }


def _shown(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, list):
        return [one.model_dump(mode="json", exclude_none=True) if hasattr(one, "model_dump") else one for one in value]
    return value


def _text(text: str | None) -> str | None:
    return None if text is None else redact(text)


def _time(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def statement(found: Statement, time_zone: str, connection: str | None) -> StatementOut:
    """A day's statement; with `connection` of that one alone."""
    shown = found.total if connection is None else found.connections[connection]
    return StatementOut(
        tenant=found.tenant,
        day=found.day,
        time_zone=time_zone,
        connection=connection,
        **numbers(shown),
        connections=[]
        if connection is not None
        else [ConnectionTotal(connection=name, **numbers(one)) for name, one in found.connections.items()],
        missing_calls=list(found.missing_calls),
        unconfirmed=found.unconfirmed,
        checked_until=_time(found.checked_until) if found.checked_until is not None else None,
        is_checked=found.is_checked,
        is_kept=found.is_kept,
    )
