"""The API for machines: calls, deliveries, replay; health and metrics.

Every operation stands in `OPERATIONS` with its act and models, from which routes, checks and OpenAPI follow. Who may
ask for what is the acts' to say; tokens of a tenant see what is that tenant's.
"""

import asyncio
from typing import Final

from aiohttp import hdrs, web

from connector.acts import agents as agent_acts
from connector.acts import calls as call_acts
from connector.acts import connections as connection_acts
from connector.acts import deliveries as delivery_acts
from connector.acts import devices as device_acts
from connector.acts import recordings as recording_acts
from connector.acts import statements as statement_acts
from connector.errors import ConfigError, Declined, IngressError, StoreBusy
from connector.observe import metrics
from connector.store.queries import views
from connector.web.answers import API_HEADERS, Handler, Refused, busy, declined, problem, refusal
from connector.web.api import agents, calls, connections, deliveries, recordings, statements
from connector.web.api.asking import IDEMPOTENCY_KEY, read
from connector.web.api.openapi import ApiOperation, document
from connector.web.auth import authenticate
from connector.web.keys import CLOCK, DATABASE

_READY_TIMEOUT_S: Final = 2.0

OPERATIONS: Final = (
    ApiOperation(
        "GET",
        "/api/v1/statement",
        statement_acts.statement,
        statements.statement,
        statements.StatementAsked,
        statements.StatementOut,
    ),
    ApiOperation("GET", "/api/v1/calls", call_acts.list_calls, calls.list_calls, calls.CallsAsked, calls.Calls),
    ApiOperation(
        "POST",
        "/api/v1/calls",
        call_acts.place_call,
        calls.place_call,
        calls.CallWished,
        calls.Placed,
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
    ApiOperation(
        "GET", "/api/v1/calls/{call_sid}", call_acts.get_call, calls.get_call, calls.CallAsked, calls.CallDetails
    ),
    ApiOperation(
        "GET",
        "/api/v1/deliveries",
        delivery_acts.list_deliveries,
        deliveries.list_deliveries,
        deliveries.DeliveriesAsked,
        deliveries.Deliveries,
    ),
    ApiOperation(
        "GET", "/api/v1/agents", agent_acts.list_agents, agents.list_agents, agents.AgentsAsked, agents.Agents
    ),
    ApiOperation(
        "PUT",
        "/api/v1/agents",
        agent_acts.put_agents,
        agents.put_agents,
        agents.AgentsPut,
        agents.AgentLines,
        query=agents.AgentsAsked,
    ),
    ApiOperation(
        "POST",
        "/api/v1/agents/sync",
        agent_acts.sync_agents,
        agents.sync_agents,
        agents.SyncAsked,
        agents.Synced,
        refusals={
            "422": "Exotel or the CRM refused, in its words.",
            "503": "The store is busy, or Exotel or the CRM cannot be reached; try again later.",
        },
    ),
    ApiOperation(
        "GET", "/api/v1/devices", device_acts.list_devices, agents.list_devices, agents.DevicesAsked, agents.Devices
    ),
    ApiOperation("PUT", "/api/v1/devices", device_acts.set_device, agents.set_device, agents.DeviceSet, agents.Devices),
    ApiOperation(
        "POST",
        "/api/v1/replay",
        delivery_acts.replay,
        deliveries.replay,
        deliveries.ReplayAsked,
        deliveries.Replay,
    ),
    ApiOperation(
        "GET",
        "/api/v1/recordings",
        recording_acts.list_recordings,
        recordings.list_recordings,
        recordings.RecordingsAsked,
        recordings.RecordingList,
    ),
    ApiOperation(
        "DELETE",
        "/api/v1/recordings/{call_sid}",
        recording_acts.revoke_recording,
        recordings.revoke_recording,
        recordings.RecordingAsked,
        recordings.RecordingRevoked,
    ),
    ApiOperation(
        "GET",
        "/api/v1/adapters",
        connection_acts.list_adapters,
        connections.list_adapters,
        connections.AdaptersAsked,
        connections.Adapters,
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
    asker = await authenticate(request)
    asker.permit("read")
    if asker.tenant_id is not None:
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


def _serving(operation: ApiOperation) -> Handler:
    async def serve(request: web.Request) -> web.Response:
        asker = await authenticate(request)
        # Before anything of the request is read: whoever may not ask is told no more than that.
        asker.permit(operation.act.scope)
        if any("\0" in part for part in request.match_info.values()):  # no database looks for it
            raise Refused("not_found", "There is nothing at this address.")
        asked = await read(request, operation.asks, with_query=operation.query is not None)
        answer = await operation.run(request, asker, asked)
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
