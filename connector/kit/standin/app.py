"""A stand-in's application: its API behind its door, faults, and `/_standin/` to drive it from outside.

| request | does |
| --- | --- |
| `GET /_standin/state` | counts of requests, answers, records and dealt faults |
| `GET /_standin/dump` | every record |
| `PUT /_standin/faults` | changes `connector.kit.faults.Faults` by field name |
| `PUT /_standin/account` | changes the account's fields named in `changeable` |

What people do in a CRM is a route of the stand-in, made by `added` and `changed`.
"""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler

from connector.kit.faults import Faults, faults_middleware
from connector.kit.standin.account import Refused, StandinAccount

#: Method, path below the API's root, handler.
Route = tuple[str, str, Callable[[web.Request], Awaitable[web.StreamResponse]]]
A = TypeVar("A", bound=StandinAccount)
#: Credentials, content type, limits, of a request to a route; headers for the answer. Raises `Refused`.
Door = Callable[[A, web.Request, str], Mapping[str, str]]


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """`body` as a JSON answer."""
    data = json.dumps(body, ensure_ascii=False).encode()
    return web.Response(status=status, body=data, headers=headers, content_type="application/json", charset="utf-8")


def standin_app(
    account: A,
    faults: Faults | None,
    routes: Iterable[Route],
    *,
    root: str,
    admit: Door[A],
    open_routes: Iterable[Route] = (),
) -> web.Application:
    """The stand-in: `routes` below `root` (`/api/v2`) behind the door; `open_routes` (a token endpoint, pages) are not.

    Faults are dealt below `root`; what is under `/_standin/` and pages for people have none.
    """

    faults = faults or Faults()

    @web.middleware
    async def door(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith(root):
            return await handler(request)
        resource = request.match_info.route.resource
        route = resource.canonical.removeprefix(root) if resource else "unknown"
        account.requests[f"{request.method} {route}"] += 1
        headers: Mapping[str, str] = {}
        response: web.StreamResponse
        try:
            headers = admit(account, request, route)
            response = await handler(request)
        except Refused as refused:
            response = _refusal(refused)
        except web.HTTPException as error:  # no such path, or no such method
            response = _refusal(account.not_found() if error.status == 404 else Refused(error.status))
        account.answers[response.status] += 1
        response.headers.update(headers)
        return response

    app = web.Application(middlewares=[faults_middleware(faults, under=root), door], client_max_size=32 * 1024 * 1024)
    app.add_routes([web.route(method, root + path, handler) for method, path, handler in routes])
    app.add_routes([web.route(method, path, handler) for method, path, handler in open_routes])
    app.add_routes(control_routes(account, faults))
    return app


def _refusal(refused: Refused) -> web.Response:
    if refused.body is None:
        return web.Response(status=refused.status, headers=refused.headers)
    return answer(refused.body, refused.status, refused.headers)


def control_routes(account: StandinAccount, faults: Faults) -> list[web.RouteDef]:
    """The routes of the table above."""

    async def state(_request: web.Request) -> web.Response:
        return web.json_response(
            {
                "requests": account.requests,
                "answers": {str(status): count for status, count in account.answers.items()},
                "records": account.counts(),
                "faults": faults.dealt,
            }
        )

    async def dump(_request: web.Request) -> web.Response:
        return web.json_response(account.dump())

    async def change_faults(request: web.Request) -> web.Response:
        try:
            faults.change(await request.json())
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"odds": faults.odds, "script": list(faults.script), "only": faults.only})

    async def change_account(request: web.Request) -> web.Response:
        values: dict[str, Any] = await request.json()
        try:
            account.change(values)
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"changed": sorted(values)})

    return [
        web.get("/_standin/state", state),
        web.get("/_standin/dump", dump),
        web.put("/_standin/faults", change_faults),
        web.put("/_standin/account", change_account),
    ]


def added(path: str, add: Callable[[dict[str, Any]], dict[str, Any]]) -> Route:
    """`POST`: adds a record as a person would have long ago."""

    async def handler(request: web.Request) -> web.Response:
        return web.json_response(add(await request.json()), status=201)

    return "POST", path, handler


def changed(
    path: str,
    find: Callable[[str], dict[str, Any] | None],
    change: Callable[[dict[str, Any], dict[str, Any]], object],
) -> Route:
    """`PUT` of a path with an `{id}`: changes a record as a person would, and shows it."""

    async def handler(request: web.Request) -> web.Response:
        record = find(request.match_info["id"])
        if record is None:
            return web.json_response({"error": "no such record"}, status=404)
        change(record, await request.json())
        return web.json_response(record)

    return "PUT", path, handler
