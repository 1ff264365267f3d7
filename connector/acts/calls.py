"""Calls: listed, looked at in full, placed."""

import asyncio
import contextlib
import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl

from connector.acts.asker import Asker, act, tenant_id_of, the_tenant
from connector.acts.deliveries import KnownDelivery, known_delivery, no_call
from connector.acts.office import Office
from connector.errors import Declined, IngressError
from connector.exotel import details as details_
from connector.exotel import parse_request
from connector.exotel.model import ORDERS, CallEvent
from connector.exotel.token import is_token
from connector.exotel.wire import merge
from connector.observe.redact import redact, redact_all
from connector.phone import parse_number
from connector.pipeline.click_to_call.placing import refusal_of
from connector.pipeline.click_to_call.wish import DialWish
from connector.store.queries import lists, views
from connector.store.queries.placements import Placement
from connector.store.queries.views import CallRow, CallView, EventRow, PrunedCall, RecordRow
from connector.tenants.model import Directory, Tenant

#: Parameters that name the ends of a call, in small letters.
_PARTIES: Final = frozenset({"from", "to", "callfrom", "callto"})
_NOT_PLACED: Final = "Exotel has no trace of this call, although its longest call would be over: nobody was rung."
_LONGEST_KEY: Final = 255


@dataclass(frozen=True, slots=True)
class ListCalls:
    """Which calls. `number`: the customer's, in any spelling; `before`: (created_at, id) of the last one seen."""

    tenant: str | None = None
    number: str | None = None
    since: float | None = None
    before: tuple[float, int] | None = None
    limit: int = 50
    #: Whether the records that were made are looked up too.
    with_records: bool = False


@dataclass(frozen=True, slots=True)
class GetCall:
    """One call: its CallSid, or the id that placing it gave. An operator names the tenant of a CallSid."""

    tenant: str | None
    named: str


@dataclass(frozen=True, slots=True)
class PlaceCall:
    """A call to be placed; `connection` may be left out where the tenant has one that is enabled.

    `idempotency_key`: the asker's own word for this one wish, which rings nobody again when it is repeated.
    """

    tenant: str | None
    agent: str
    number: str
    connection: str | None = None
    custom_field: str | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class KnownCall:
    """A call as the last attempt folded it, no `facts` before the first. Credentials and masked numbers are hidden.

    `pruned_at`: when retention deleted all of it but which records were written.
    """

    id: int
    tenant: str
    call_sid: str | None
    created_at: float
    facts: Mapping[str, Any]
    records: Sequence[RecordRow] = ()
    pruned_at: float | None = None


@dataclass(frozen=True, slots=True)
class KnownOrder:
    """What became of an order to record the call: `state` is pending, done or failed; `reason`: why."""

    state: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class KnownEvent:
    """One thing learned of a call. `raw`: every parameter as it came; `facts`: what the parser makes of it today.

    `order`: where it is an order to record the call, or to stop.
    """

    kind: str
    source: str
    connection: str | None
    received_at: float
    facts: dict[str, Any] | None
    raw: dict[str, Any]
    order: KnownOrder | None = None


@dataclass(frozen=True, slots=True)
class WholeCall:
    """A call with all that hangs on it. `id`, `state` and `reason` are those of a call that was placed here."""

    call: KnownCall
    id: str | None = None
    state: str | None = None
    reason: str | None = None
    events: Sequence[KnownEvent] = ()
    deliveries: Sequence[KnownDelivery] = ()
    records: Sequence[RecordRow] = ()


@act("read")
async def list_calls(office: Office, asker: Asker, wish: ListCalls) -> list[KnownCall]:
    """Calls, newest first."""
    tenant_id = await tenant_id_of(office, asker, wish.tenant)
    directory = await office.directory()
    query = functools.partial(
        views.calls,
        customers=_spellings(directory, tenant_id, wish.number),
        since=wish.since,
        before=wish.before,
        limit=wish.limit,
    )
    rows = await office.db.read(query, tenant_id)
    found = [_known_call(row, directory.tenants.get(row.tenant), asker) for row in rows]
    if not wish.with_records:
        return found
    records = await office.db.read(lists.records, [row.id for row in rows])
    return [replace(one, records=_cleaned(records.get(one.id, ()))) for one in found]


@act("read")
async def get_call(office: Office, asker: Asker, wish: GetCall) -> WholeCall:
    """One call: its events, deliveries and records; of one that retention deleted, the records that were written."""
    db, named = office.db, wish.named
    if is_token(named):
        found = await db.read(views.placed, await tenant_id_of(office, asker, wish.tenant), named)
        if found is None:
            raise Declined("not_found", f"There is no call {named!r}.", "call_sid")
        row, sid = found
        tenant = await the_tenant(office, asker, sid)
        if row.call_sid is None:
            return _asked_for(row, tenant, asker)
        named = row.call_sid
    else:
        tenant = await the_tenant(office, asker, wish.tenant)
    view = await db.read(views.call, tenant.id, named)
    if view is None:
        left = await db.read(views.pruned_call, tenant.id, named)
        if left is None:
            raise no_call(tenant, named)
        return _pruned(left)
    # Reading numbers takes a while, and hooks are answered meanwhile.
    return await asyncio.to_thread(_whole, view, tenant, asker)


@act("call")
async def place_call(office: Office, asker: Asker, wish: PlaceCall) -> Placement:
    """Rings an agent and then the number."""
    tenant = await the_tenant(office, asker, wish.tenant)
    key = wish.idempotency_key
    if key is not None and not (0 < len(key) <= _LONGEST_KEY and key.isascii() and key.isprintable()):
        raise Declined("invalid", f"A key has 1 to {_LONGEST_KEY} plain characters.", "Idempotency-Key")
    name = tenant.enabled_connection(wish.connection).name
    dial = DialWish(name, wish.agent, wish.number, wish.custom_field, key)
    return await office.means.place(tenant, dial, asker.name)


def _spellings(directory: Directory, tenant_id: int | None, number: str | None) -> tuple[str, ...]:
    """What the number that is searched for may be stored as."""
    if number is None:
        return ()
    tenants = directory.tenants_by_id
    own = None if tenant_id is None else tenants.get(tenant_id)
    countries = {tenant.country for tenant in tenants.values()} if own is None else {own.country}
    found = {parse_number(number, country) for country in countries}
    return tuple({number.strip(), *filter(None, found)})


def _known_call(row: CallRow, tenant: Tenant | None, asker: Asker) -> KnownCall:
    facts: dict[str, Any] = redact_all(json.loads(row.summary)) if row.summary else {}
    if tenant is not None and tenant.mask is not None and not asker.sees_numbers:
        named = [facts["customer_number"]] if facts.get("customer_number") else []
        facts = tenant.mask.hidden(facts, named, tenant.country)
    return KnownCall(row.id, row.tenant, row.call_sid, row.created_at, facts)


def _whole(view: CallView, tenant: Tenant, asker: Asker) -> WholeCall:
    events = [read_event(row, tenant.country) for row in view.events]
    if tenant.mask is not None and not asker.sees_numbers:
        named = _customers(view.call, events, tenant)
        hidden = [tenant.mask.hidden({"facts": one.facts, "raw": one.raw}, named, tenant.country) for one in events]
        events = [replace(one, **parts) for one, parts in zip(events, hidden, strict=True)]
    placement, row = view.placement, view.call
    if row.summary is None and placement is not None:
        row = _wished(placement, row.tenant)
    return WholeCall(
        call=_known_call(row, tenant, asker),
        id=placement.token if placement is not None else None,
        state=placement.state if placement is not None else None,
        events=events,
        deliveries=[known_delivery(one) for one in view.deliveries],
        records=_cleaned(view.records),
    )


def _asked_for(row: Placement, tenant: Tenant, asker: Asker) -> WholeCall:
    """A call that was asked for and has no CallSid (yet)."""
    refused = refusal_of(row)
    reason = redact(refused.message) if refused is not None else _NOT_PLACED if row.state == "not_placed" else None
    return WholeCall(_known_call(_wished(row, tenant.sid), tenant, asker), row.token, row.state, reason)


def _wished(row: Placement, sid: str) -> CallRow:
    """What is known of a call before anything came of it, as a fold would tell it."""
    facts = {
        "direction": "outbound",
        "customer_number": row.customer,
        "exophone": row.caller_id,
        "agent_number": row.agent_number,
        "custom_field": row.custom_field,
    }
    return CallRow(0, row.tenant_id, sid, row.call_sid, row.created_at, json.dumps(facts))


def _pruned(left: PrunedCall) -> WholeCall:
    """What retention left of a call: that it was there, and the records that were written."""
    call = KnownCall(0, left.tenant, left.call_sid, left.created_at, {}, pruned_at=left.pruned_at)
    return WholeCall(call, records=_cleaned(left.records))


def _customers(row: CallRow, events: Sequence[KnownEvent], tenant: Tenant) -> set[str]:
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


def read_event(row: EventRow, country: str) -> KnownEvent:
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
        facts = {name: _plain(value) for name, value in read if name not in ("raw", "kind") and value is not None}
    known = KnownEvent(
        kind=kind,
        source=row.source,
        connection=row.connection,
        received_at=row.received_at,
        facts=redact_all(facts),
        raw=redact_all(merge(query, row.content_type, row.body or b"")),
    )
    if kind not in ORDERS:
        return known
    reason = None if row.order_reason is None else redact(row.order_reason)
    return replace(known, order=KnownOrder(row.order_state or "pending", reason))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, list):
        return [one.model_dump(mode="json", exclude_none=True) if hasattr(one, "model_dump") else one for one in value]
    return value


def _cleaned(rows: Sequence[RecordRow]) -> tuple[RecordRow, ...]:
    """Records without the credentials that a CRM's words may have echoed."""
    return tuple(
        replace(one, warning=one.warning and redact(one.warning), error=one.error and redact(one.error)) for one in rows
    )
