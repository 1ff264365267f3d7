"""The API for machines: calls, deliveries, replay; health and metrics.

Every operation stands in `OPERATIONS` with its scope and models, from which routes, checks and OpenAPI follow. Tokens
of a tenant see that tenant's calls; what belongs to others is answered 404, as if it were not there.
"""

import asyncio
import base64
import functools
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import hdrs, web
from pydantic import BaseModel, ValidationError

from connector.access.users import NUMBERS
from connector.errors import ConfigError, Declined, IngressError, StoreBusy
from connector.exotel.token import is_token
from connector.observe import metrics
from connector.phone import parse_number
from connector.pipeline.click_to_call.wish import Wish
from connector.pipeline.completeness import statement as statements
from connector.pipeline.delivery.replay import PRUNED, without_numbers
from connector.store.engine.database import single
from connector.store.queries import recordings, revocations, trail, views
from connector.store.queries.views import TokenRow
from connector.web import shown
from connector.web.answers import API_HEADERS, Handler, Refused, busy, declined, problem, refusal
from connector.web.api.agents import list_agents, list_devices, put_agents, set_device
from connector.web.api.openapi import Described, document
from connector.web.api.shapes import (
    AgentLines,
    Agents,
    AgentsAsked,
    AgentsPut,
    CallAsked,
    CallDetails,
    Calls,
    CallsAsked,
    CallWished,
    Deliveries,
    DeliveriesAsked,
    Devices,
    DevicesAsked,
    DeviceSet,
    Placed,
    RecordingAsked,
    RecordingRevoked,
    Replay,
    ReplayAsked,
    StatementAsked,
    StatementOut,
)
from connector.web.auth import Scope, authenticate, not_found, the_tenant
from connector.web.body import read_body
from connector.web.keys import CLOCK, DATABASE, DIRECTORIES, PIPELINE

log = logging.getLogger(__name__)

_READY_TIMEOUT_S: Final = 2.0
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
_LONGEST_KEY: Final = 255


@dataclass(frozen=True, slots=True)
class Operation(Described):
    """An operation of the API: how it is described, who may ask for it, what answers."""

    scope: Scope
    run: Callable[[web.Request, TokenRow, Any], Awaitable[BaseModel]]


async def list_calls(request: web.Request, token: TokenRow, asked: CallsAsked) -> Calls:
    """Calls, newest first."""
    tenant_id = await _tenant_id(request, token, asked.tenant)
    query = functools.partial(
        views.calls,
        customers=_spellings(request, tenant_id, asked.number),
        since=asked.since.timestamp() if asked.since else None,
        before=_read_cursor(asked.cursor, float, int),
        limit=asked.limit,
    )
    rows = await request.app[DATABASE].read(query, tenant_id)
    last = rows[-1] if len(rows) == asked.limit else None
    tenants, numbers = request.app[DIRECTORIES].current.tenants, NUMBERS in token.scopes
    return Calls(
        calls=[shown.call(row, tenants.get(row.tenant), numbers=numbers) for row in rows],
        next_cursor=_cursor(last.created_at, last.id) if last else None,
    )


async def get_call(request: web.Request, token: TokenRow, asked: CallAsked) -> CallDetails:
    """One call, by its CallSid or by the id that placing it gave: its events, deliveries and records.

    Of one that retention deleted, the records that were written.
    """
    db, named = request.app[DATABASE], request.match_info["call_sid"]
    if is_token(named):
        tenant_id = await _tenant_id(request, token, asked.tenant)
        found = await db.read(views.placed, tenant_id, named)
        if found is None:
            raise not_found("call", "call_sid")
        row, sid = found
        tenant = await the_tenant(request, token, sid)
        if row.call_sid is None:
            return shown.asked_for(row, tenant, numbers=NUMBERS in token.scopes)
        named = row.call_sid
    else:
        tenant = await the_tenant(request, token, asked.tenant)
    view = await db.read(views.call, tenant.id, named)
    if view is None:
        left = await db.read(views.pruned_call, tenant.id, named)
        if left is None:
            raise not_found("call", "call_sid")
        return shown.pruned(left)
    # Reading numbers takes a while, and hooks are answered meanwhile.
    read = functools.partial(shown.details, view, tenant, numbers=NUMBERS in token.scopes)
    return await asyncio.to_thread(read)


async def place_call(request: web.Request, token: TokenRow, asked: CallWished) -> Placed:
    """Rings an agent and then the number; a wish that is repeated with its `Idempotency-Key` rings nobody again."""
    tenant = await the_tenant(request, token, asked.tenant)
    wish = Wish(asked.connection, asked.agent, asked.number, asked.custom_field, _idempotency_key(request))
    return shown.placed(await request.app[PIPELINE].place(tenant, wish, f"api:{token.id}"))


async def list_deliveries(request: web.Request, token: TokenRow, asked: DeliveriesAsked) -> Deliveries:
    """Deliveries, newest first."""
    tenant_id = await _tenant_id(request, token, asked.tenant)
    before = _read_cursor(asked.cursor, int)
    query = functools.partial(
        views.deliveries, state=asked.state, before=before[0] if before else None, limit=asked.limit
    )
    rows = await request.app[DATABASE].read(query, tenant_id)
    last = rows[-1] if len(rows) == asked.limit else None
    return Deliveries(
        deliveries=[shown.listed_delivery(row) for row in rows], next_cursor=_cursor(last.id) if last else None
    )


async def replay(request: web.Request, token: TokenRow, asked: ReplayAsked) -> Replay:
    """Plans calls anew under the newest options and writes what differs, or with `dry_run` only tells."""
    tenant = await the_tenant(request, token, asked.tenant)
    db = request.app[DATABASE]
    connection = tenant.connection(asked.connection) if asked.connection is not None else None
    if asked.connection is not None and (connection is None or not connection.enabled):
        raise Refused("unknown_connection", "The account has no enabled connection of this name.", "connection")
    if asked.call_sid is not None and not await db.read(views.has_call, tenant.id, asked.call_sid):
        if await db.read(views.pruned_call, tenant.id, asked.call_sid) is not None:
            raise Refused("pruned", PRUNED, "call_sid")
        raise not_found("call", "call_sid")
    replayed = await request.app[PIPELINE].replay(
        tenant.id,
        call_sid=asked.call_sid,
        since=asked.from_.timestamp() if asked.from_ else None,
        until=asked.to.timestamp() if asked.to else None,
        connection_id=connection.id if connection else None,
        dry_run=asked.dry_run,
        recreate=asked.recreate,
    )
    if not asked.dry_run:
        detail = asked.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        await db.write(single(trail.record), (f"api:{token.id}", "replay", tenant.id, detail))
    elif NUMBERS not in token.scopes:
        replayed = await db.read(without_numbers, tenant, replayed)
    return Replay(dry_run=asked.dry_run, calls=[shown.replayed(one) for one in replayed])


async def revoke_recording(request: web.Request, token: TokenRow, asked: RecordingAsked) -> RecordingRevoked:
    """Withdraws the links to a call's recordings, for good; needs the scope `replay`, like all that changes records."""
    tenant = await the_tenant(request, token, asked.tenant)
    call_sid = request.match_info["call_sid"]
    db = request.app[DATABASE]
    if not await db.read(recordings.recordings, tenant.id, call_sid):
        raise not_found("recording", "call_sid")
    revoked = await db.write(revocations.revoke, (tenant.id, call_sid, f"api:{token.id}", request.app[CLOCK].now()))
    return RecordingRevoked(call_sid=call_sid, revoked=revoked)


async def statement(request: web.Request, token: TokenRow, asked: StatementAsked) -> StatementOut:
    """A day's calls at Exotel, and what became of them: written, not due by policy, missing, and why."""
    tenant = await the_tenant(request, token, asked.tenant)
    if asked.connection is not None and tenant.connection(asked.connection) is None:
        raise Refused("unknown_connection", "The account has no connection of this name.", "connection")
    day = asked.day or statements.today(tenant, request.app[CLOCK].now())
    found = await request.app[DATABASE].read(statements.statement, tenant, day)
    return shown.statement(found, tenant.time_zone, asked.connection)


OPERATIONS: Final = (
    Operation("GET", "/api/v1/statement", statement, StatementAsked, StatementOut, "read", statement),
    Operation("GET", "/api/v1/calls", list_calls, CallsAsked, Calls, "read", list_calls),
    Operation(
        "POST",
        "/api/v1/calls",
        place_call,
        CallWished,
        Placed,
        "call",
        place_call,
        status=202,
        headers={IDEMPOTENCY_KEY: "1 to 255 characters of your own for this one wish."},
        refusals={
            "403": "The token's scopes do not include this, or the agent may not place calls.",
            "409": "Not at this time (`Retry-After` says when), or CONNECTOR_PUBLIC_URL is not set.",
            "422": "Exotel refused, in its words; or the key was used for another wish.",
            "429": "Exotel takes no more requests of the account for now; ask again after `Retry-After` seconds.",
            "503": "The store is busy, or Exotel cannot be reached; nobody was rung, try again after `Retry-After`.",
        },
    ),
    Operation("GET", "/api/v1/calls/{call_sid}", get_call, CallAsked, CallDetails, "read", get_call),
    Operation("GET", "/api/v1/deliveries", list_deliveries, DeliveriesAsked, Deliveries, "read", list_deliveries),
    Operation("GET", "/api/v1/agents", list_agents, AgentsAsked, Agents, "read", list_agents),
    Operation("PUT", "/api/v1/agents", put_agents, AgentsPut, AgentLines, "call", put_agents, query=AgentsAsked),
    Operation("GET", "/api/v1/devices", list_devices, DevicesAsked, Devices, "read", list_devices),
    Operation("PUT", "/api/v1/devices", set_device, DeviceSet, Devices, "call", set_device),
    Operation("POST", "/api/v1/replay", replay, ReplayAsked, Replay, "replay", replay),
    Operation(
        "DELETE",
        "/api/v1/recordings/{call_sid}",
        revoke_recording,
        RecordingAsked,
        RecordingRevoked,
        "replay",
        revoke_recording,
    ),
)


async def healthz(_request: web.Request) -> web.Response:
    """The process runs."""
    return web.json_response({"status": "ok"}, headers=API_HEADERS)


async def readyz(request: web.Request) -> web.Response:
    """The store answers, so that events can be accepted; a CRM that is down is the queue's matter."""
    try:
        async with asyncio.timeout(_READY_TIMEOUT_S):
            await request.app[DATABASE].read(views.alive)
    except (StoreBusy, TimeoutError) as error:
        return busy(error if isinstance(error, StoreBusy) else StoreBusy("The store did not answer in time."))
    return web.json_response({"status": "ready"}, headers=API_HEADERS)


async def prometheus(request: web.Request) -> web.Response:
    """Metrics, for an operator's token."""
    db = request.app[DATABASE]
    token = await authenticate(request, db, "read")
    if token.tenant_id is not None:
        raise Refused("not_found", "There is nothing at this address.")
    now = request.app[CLOCK].now()
    backlog, gates = await db.read(views.backlog, now), await db.read(views.gates, now)
    body = metrics.exposition(backlog, gates)
    return web.Response(body=body, headers={**API_HEADERS, hdrs.CONTENT_TYPE: metrics.CONTENT_TYPE})


async def openapi(_request: web.Request) -> web.Response:
    """This API in OpenAPI's words; no secret, so open."""
    return web.json_response(document(OPERATIONS), headers=API_HEADERS)


def add_api(app: web.Application) -> None:
    """Adds the API's routes, health and metrics."""
    for operation in OPERATIONS:
        app.router.add_route(operation.method, operation.path, _guarded(_serving(operation)))
    app.router.add_get("/api/v1/openapi.json", openapi)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", _guarded(prometheus))


def _serving(operation: Operation) -> Handler:
    async def serve(request: web.Request) -> web.Response:
        token = await authenticate(request, request.app[DATABASE], operation.scope)
        if any("\0" in part for part in request.match_info.values()):  # no database looks for it
            raise Refused("not_found", "There is nothing at this address.")
        asked = await _read(request, operation)
        answer = await operation.run(request, token, asked)
        return web.Response(
            status=operation.status,
            text=answer.model_dump_json(),
            content_type="application/json",
            headers=API_HEADERS,
        )

    return serve


def _guarded(handler: Handler) -> Handler:
    async def guarded(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except IngressError as error:
            return refusal(error)
        except Declined as error:
            return declined(error, request.app[CLOCK].now())
        except ConfigError as error:
            return problem(400, "invalid", error.message, error.field)
        except StoreBusy as error:
            return busy(error)

    return guarded


async def _read(request: web.Request, operation: Operation) -> BaseModel:
    """The query, or the body where there may be one, as its model. Raises `Refused` that names the field."""
    model = operation.asks
    try:
        if request.method in (hdrs.METH_GET, hdrs.METH_DELETE):
            return model.model_validate(dict(request.query))
        asked = model.model_validate_json(await read_body(request))
        if operation.query is None or not request.query:
            return asked
        return model.model_validate({**asked.model_dump(exclude_unset=True, by_alias=True), **request.query})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        if first["type"] == "json_invalid":
            raise Refused("unreadable", "The body is not JSON.") from None
        raise Refused("invalid", first["msg"], ".".join(map(str, first["loc"])) or None) from None


async def _tenant_id(request: web.Request, token: TokenRow, sid: str | None) -> int | None:
    """The tenant to ask for; None, all of them, is an operator's alone."""
    if sid is None:
        return token.tenant_id
    return (await the_tenant(request, token, sid)).id


def _idempotency_key(request: web.Request) -> str | None:
    key = request.headers.get(IDEMPOTENCY_KEY)
    if key is not None and not (0 < len(key) <= _LONGEST_KEY and key.isascii() and key.isprintable()):
        raise Refused("invalid", f"A key has 1 to {_LONGEST_KEY} plain characters.", IDEMPOTENCY_KEY)
    return key


def _spellings(request: web.Request, tenant_id: int | None, number: str | None) -> tuple[str, ...]:
    """What the number that is searched for may be stored as."""
    if number is None:
        return ()
    directory = request.app[DIRECTORIES].current
    tenants = directory.tenants_by_id
    own = None if tenant_id is None else tenants.get(tenant_id)
    countries = {tenant.country for tenant in tenants.values()} if own is None else {own.country}
    found = {parse_number(number, country) for country in countries}
    return tuple({number.strip(), *filter(None, found)})


def _cursor(*values: float) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def _read_cursor(cursor: str | None, *types: type) -> Any:
    if cursor is None:
        return None
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if [type(value) for value in values] == list(types):
            return tuple(values)
    except (ValueError, TypeError):
        pass
    raise Refused("invalid", "This is no cursor of this list.", "cursor")
