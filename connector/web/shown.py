"""The store's rows as the API shows them: times in UTC, credentials hidden wherever a request echoed them."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from connector.errors import IngressError
from connector.exotel import parse_request
from connector.exotel.model import ORDERS
from connector.exotel.wire import merge
from connector.pipeline.replay import Replayed
from connector.redact import redact, redact_all
from connector.store.views import CallRow, CallView, DeliveryRow, EventRow, PrunedCall, RecordRow
from connector.web.schemas import (
    CallDetails,
    CallOut,
    ChangeOut,
    DeliveryOut,
    EventOut,
    ListedDelivery,
    OrderOut,
    RecordOut,
    ReplayedCall,
)


def call(row: CallRow) -> CallOut:
    """A call as the last attempt folded it."""
    summary = redact_all(json.loads(row.summary)) if row.summary else {}
    known = {"tenant": row.tenant, "call_sid": row.call_sid, "created_at": _time(row.created_at)}
    return CallOut.model_validate({**summary, **known})


def details(view: CallView, country: str) -> CallDetails:
    """A call with its events read anew; `country` is the tenant's."""
    return CallDetails(
        call=call(view.call),
        events=[event(row, country) for row in view.events],
        deliveries=[delivery(row) for row in view.deliveries],
        records=[record(row) for row in view.records],
    )


def pruned(left: PrunedCall) -> CallDetails:
    """What retention left of a call: that it was there, and the records that were written."""
    of_call = CallOut(
        tenant=left.tenant,
        call_sid=left.call_sid,
        created_at=_time(left.created_at),
        pruned_at=_time(left.pruned_at),
    )
    return CallDetails(call=of_call, events=[], deliveries=[], records=[record(row) for row in left.records])


def event(row: EventRow, country: str) -> EventOut:
    """An event, and what the parser makes of it today. Only Exotel's own requests have facts."""
    query = parse_qsl(row.query, keep_blank_values=True)
    kind, facts = row.kind, None
    if row.source == "exotel":
        try:
            read = parse_request(
                event=row.kind,
                method=row.method,
                query=query,
                content_type=row.content_type,
                body=row.body or b"",
                country=country,
            )
        except IngressError:
            pass  # an older version accepted what this one does not read; `raw` shows it
        else:
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
