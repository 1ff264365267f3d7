"""The API for machines: calls, deliveries, replay; health and metrics.

Every operation stands in `OPERATIONS` with its scope and models, from which routes, checks and OpenAPI follow. Tokens
of a tenant see that tenant's calls; what belongs to others is answered 404, as if it were not there.
"""

import asyncio
import base64
import functools
import json
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import hdrs, web
from pydantic import BaseModel, ValidationError

from connector import metrics
from connector.errors import ConfigError, IngressError, StoreBusy
from connector.phone import parse_number
from connector.pipeline.replay import PRUNED
from connector.store import trail, views
from connector.store.database import single
from connector.store.views import TokenRow
from connector.tenants import Tenant
from connector.web import shown
from connector.web.answers import API_HEADERS, Handler, Refused, busy, problem, refusal
from connector.web.auth import Scope, authenticate
from connector.web.body import read_body
from connector.web.keys import DATABASE, DIRECTORIES, PIPELINE
from connector.web.openapi import Described, document
from connector.web.schemas import (
    CallAsked,
    CallDetails,
    Calls,
    CallsAsked,
    Deliveries,
    DeliveriesAsked,
    Replay,
    ReplayAsked,
)

log = logging.getLogger(__name__)

_READY_TIMEOUT_S: Final = 2.0


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
    return Calls(
        calls=[shown.call(row) for row in rows], next_cursor=_cursor(last.created_at, last.id) if last else None
    )


async def get_call(request: web.Request, token: TokenRow, asked: CallAsked) -> CallDetails:
    """One call: its events, deliveries and records; of one that retention deleted, the records that were written."""
    tenant = await _tenant(request, token, asked.tenant)
    db, call_sid = request.app[DATABASE], request.match_info["call_sid"]
    view = await db.read(views.call, tenant.id, call_sid)
    if view is None:
        left = await db.read(views.pruned_call, tenant.id, call_sid)
        if left is None:
            raise _not_found("call", "call_sid")
        return shown.pruned(left)
    # Reading numbers takes a while, and hooks are answered meanwhile.
    return await asyncio.to_thread(shown.details, view, tenant.country)


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
    tenant = await _tenant(request, token, asked.tenant)
    db = request.app[DATABASE]
    connection = tenant.connection(asked.connection) if asked.connection is not None else None
    if asked.connection is not None and (connection is None or not connection.enabled):
        raise Refused("unknown_connection", "The account has no enabled connection of this name.", "connection")
    if asked.call_sid is not None and not await db.read(views.has_call, tenant.id, asked.call_sid):
        if await db.read(views.pruned_call, tenant.id, asked.call_sid) is not None:
            raise Refused("pruned", PRUNED, "call_sid")
        raise _not_found("call", "call_sid")
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
    return Replay(dry_run=asked.dry_run, calls=[shown.replayed(one) for one in replayed])


OPERATIONS: Final = (
    Operation("GET", "/api/v1/calls", list_calls, CallsAsked, Calls, "read", list_calls),
    Operation("GET", "/api/v1/calls/{call_sid}", get_call, CallAsked, CallDetails, "read", get_call),
    Operation("GET", "/api/v1/deliveries", list_deliveries, DeliveriesAsked, Deliveries, "read", list_deliveries),
    Operation("POST", "/api/v1/replay", replay, ReplayAsked, Replay, "replay", replay),
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
    now = time.time()
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
        asked = await _read(request, operation.asks)
        answer = await operation.run(request, token, asked)
        return web.Response(text=answer.model_dump_json(), content_type="application/json", headers=API_HEADERS)

    return serve


def _guarded(handler: Handler) -> Handler:
    async def guarded(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except IngressError as error:
            return refusal(error)
        except ConfigError as error:
            return problem(400, "invalid", error.message, error.field)
        except StoreBusy as error:
            return busy(error)

    return guarded


async def _read(request: web.Request, model: type[BaseModel]) -> BaseModel:
    """The query, or the body where there may be one, as `model`. Raises `Refused` that names the field."""
    try:
        if request.method == hdrs.METH_GET:
            return model.model_validate(dict(request.query))
        return model.model_validate_json(await read_body(request))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        if first["type"] == "json_invalid":
            raise Refused("unreadable", "The body is not JSON.") from None
        raise Refused("invalid", first["msg"], ".".join(map(str, first["loc"])) or None) from None


async def _tenant_id(request: web.Request, token: TokenRow, sid: str | None) -> int | None:
    """The tenant to ask for; None, all of them, is an operator's alone."""
    if sid is None:
        return token.tenant_id
    return (await _tenant(request, token, sid)).id


async def _tenant(request: web.Request, token: TokenRow, sid: str | None) -> Tenant:
    """The tenant that is asked for, which for a tenant's token can only be its own. Raises `Refused` (404)."""
    directories = request.app[DIRECTORIES]
    directory = directories.current
    if sid is None and token.tenant_id is None:
        raise Refused("invalid", "Say whose: the account's SID.", "tenant")
    if sid is not None and sid not in directory.tenants:
        directory = await directories.refresh()
    tenant = directory.tenants.get(sid) if sid is not None else directory.tenants_by_id.get(token.tenant_id or 0)
    if tenant is None or token.tenant_id not in (None, tenant.id):
        raise _not_found("tenant", "tenant")
    return tenant


def _not_found(what: str, field: str) -> Refused:
    return Refused("not_found", f"There is no such {what}.", field)


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
