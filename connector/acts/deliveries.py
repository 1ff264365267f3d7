"""Deliveries, a call for a connection: listed, and written again under the newest options."""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from connector.acts.asker import Asker, act, tenant_id_of, the_tenant
from connector.acts.office import Office
from connector.errors import Declined
from connector.observe.redact import redact, redact_all
from connector.pipeline.delivery.replay import PRUNED, Replayed, ReplayWish, without_numbers
from connector.store.engine.database import single
from connector.store.queries import trail, views
from connector.store.queries.views import DeliveryFilter, DeliveryRow
from connector.tenants.model import Tenant


@dataclass(frozen=True, slots=True)
class ListDeliveries:
    """Which deliveries; `before`: id of the last one seen."""

    tenant: str | None = None
    state: DeliveryFilter | None = None
    before: int | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class WriteAgain:
    """Which calls are planned anew: one, or those first heard of in a span (Unix times); of which connection."""

    tenant: str | None
    call_sid: str | None = None
    since: float | None = None
    until: float | None = None
    connection: str | None = None
    #: Only tell what would be written; no CRM is asked.
    dry_run: bool = False
    #: Make records anew that people deleted in the CRM.
    recreate: bool = False


@dataclass(frozen=True, slots=True)
class KnownDelivery:
    """One call for one connection, credentials hidden. `due_at`: when it is looked at next, where it is pending."""

    id: int
    tenant: str
    call_sid: str | None
    connection: str
    adapter: str
    state: str
    reason: str | None
    attempts: int
    last_error: str | None
    warnings: Sequence[str]
    due_at: float | None
    updated_at: float


@act("read")
async def list_deliveries(office: Office, asker: Asker, wish: ListDeliveries) -> list[KnownDelivery]:
    """Deliveries, newest first."""
    tenant_id = await tenant_id_of(office, asker, wish.tenant)
    query = functools.partial(views.deliveries, state=wish.state, before=wish.before, limit=wish.limit)
    return [known_delivery(row) for row in await office.db.read(query, tenant_id)]


@act("replay")
async def replay(office: Office, asker: Asker, wish: WriteAgain) -> list[Replayed]:
    """Plans calls anew under the newest options and writes what differs, or with `dry_run` only tells."""
    tenant = await the_tenant(office, asker, wish.tenant)
    connection = tenant.enabled_connection(wish.connection) if wish.connection is not None else None
    if wish.call_sid is not None and not await office.db.read(views.has_call, tenant.id, wish.call_sid):
        if await office.db.read(views.pruned_call, tenant.id, wish.call_sid) is not None:
            raise Declined("pruned", PRUNED, "call_sid")
        raise no_call(tenant, wish.call_sid)
    connection_id = connection.id if connection is not None else None
    replayed = ReplayWish(tenant.id, wish.call_sid, wish.since, wish.until, connection_id, wish.recreate)
    found = await office.means.replay(replayed, dry_run=wish.dry_run)
    if not wish.dry_run:
        await office.db.write(single(trail.record), (asker.name, "replay", tenant.id, _detail(tenant.sid, wish)))
    elif not asker.sees_numbers:
        found = await office.db.read(without_numbers, tenant, found)
    return [replace(one, changes=redact_all(one.changes)) for one in found]


def no_call(tenant: Tenant, call_sid: str) -> Declined:
    """The refusal of a call that the tenant does not have."""
    return Declined("not_found", f"{tenant.sid} has no call {call_sid!r}.", "call_sid")


def known_delivery(row: DeliveryRow) -> KnownDelivery:
    """A row as people see it."""
    return KnownDelivery(
        id=row.id,
        tenant=row.tenant,
        call_sid=row.call_sid,
        connection=row.connection,
        adapter=row.adapter,
        state=row.state,
        reason=row.reason,
        attempts=row.attempts,
        last_error=None if row.last_error is None else redact(row.last_error),
        warnings=redact_all(json.loads(row.warnings)),
        due_at=row.due_at if row.state == "pending" else None,
        updated_at=row.updated_at,
    )


def _detail(sid: str, wish: WriteAgain) -> Mapping[str, Any]:
    span = {"from": wish.since, "to": wish.until}
    times = {name: datetime.fromtimestamp(at, UTC).isoformat() for name, at in span.items() if at is not None}
    given = {"call_sid": wish.call_sid, "connection": wish.connection, "recreate": wish.recreate or None}
    return {"tenant": sid, **times, **{name: value for name, value in given.items() if value is not None}}
