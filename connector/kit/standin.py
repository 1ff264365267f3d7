"""What stand-ins of CRMs have in common: an account in memory, faults, a door, `/_standin/` to drive it from outside.

A stand-in subclasses `StandinAccount` (records, who may come in, how refusals look) and hands its API's routes to
`standin_app`. It is as strict as the real API; the adapter's tests, the demo and the benchmarks all use it.

| request | does |
| --- | --- |
| `GET /_standin/state` | counts of requests, answers, records and dealt faults |
| `GET /_standin/dump` | every record |
| `PUT /_standin/faults` | changes `connector.kit.faults.Faults` by field name |
| `PUT /_standin/account` | changes the account's fields named in `changeable` |
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any, ClassVar, cast

import click
from aiohttp import web
from aiohttp.typedefs import Handler

from connector.kit.faults import Faults, faults_middleware

if sys.platform == "win32":
    from asyncio import run as run
else:
    from uvloop import run as run

_HOST = "127.0.0.1"
#: Method, path below the API's root, handler.
Route = tuple[str, str, Callable[[web.Request], Any]]


class Refused(Exception):
    """A request that is not done; the answer says why. `body` None: an answer without a body."""

    def __init__(self, status: int, body: Any = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """`body` as a JSON answer."""
    data = json.dumps(body, ensure_ascii=False).encode()
    return web.Response(status=status, body=data, headers=headers, content_type="application/json", charset="utf-8")


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a form of several: a value, or a file where it has a name."""

    name: str
    filename: str | None
    content_type: str
    content: bytes = field(repr=False)


async def parts_of(request: web.Request) -> list[Part]:
    """The parts of a `multipart/form-data` body; none where it is no such body.

    `Request.post` would leave files open where the client does not wait for the answer, as some faults have it.
    """
    head = f"Content-Type: {request.headers.get('Content-Type', '')}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + await request.read())
    parts = message.get_payload() if message.is_multipart() else []
    return [
        Part(
            str(part.get_param("name", "", "content-disposition")),
            part.get_filename(),
            part.get_content_type(),
            part.get_payload(decode=True),
        )
        for part in cast(list[Any], parts)
    ]


@dataclass
class StandinAccount:
    """One account of a CRM. Whatever is public may be changed while it runs."""

    #: Unix seconds; passed in by tests.
    clock: Callable[[], float] = time.time
    #: How long a search does not see a change.
    search_lag_s: float = 0.0
    #: `POST /tickets` -> how often it came; status -> how often it was answered.
    requests: Counter[str] = field(default_factory=Counter)
    answers: Counter[int] = field(default_factory=Counter)

    #: Fields that `PUT /_standin/account` may set.
    changeable: ClassVar[frozenset[str]] = frozenset({"search_lag_s"})

    def change(self, values: Mapping[str, Any]) -> None:
        """Sets fields by name. Raises `ValueError` for one that cannot be set."""
        unknown = values.keys() - self.changeable
        if unknown:
            raise ValueError(f"cannot be changed: {', '.join(sorted(unknown))}")
        for name, value in values.items():
            setattr(self, name, value)

    def admit(self, request: web.Request, route: str) -> Mapping[str, str]:
        """Credentials, content type, limits; returns headers for the answer. Raises `Refused`."""
        raise NotImplementedError("a stand-in says who may come in")

    def not_found(self) -> Refused:
        """How an unknown path or record is answered."""
        return Refused(404)

    def counts(self) -> dict[str, int]:
        """Records by kind: `{"tickets": 3}`."""
        raise NotImplementedError("a stand-in counts its records")

    def dump(self) -> dict[str, Any]:
        """Every record, as JSON."""
        raise NotImplementedError("a stand-in shows its records")


def standin_app(
    account: StandinAccount, faults: Faults, routes: Iterable[Route], *, root: str, open_routes: Iterable[Route] = ()
) -> web.Application:
    """The stand-in: `routes` below `root` (`/api/v2`) behind the door, `open_routes` (a token endpoint) at their paths.

    Faults are dealt to both; what is under `/_standin/` and pages for people have none.
    """

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
            headers = account.admit(request, route)
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


def main(make: Callable[[float, Faults], web.Application], title: str) -> None:
    """`python -m standins.NAME --port 9000`: a stand-in as its own process, on 127.0.0.1 only.

    `make(search_lag_s, faults)` makes the application.
    """

    @click.command(help=f"Runs a stand-in of {title} and prints its URL.")
    @click.option("--port", default=0, show_default=True, help="0 takes a free one.")
    @click.option("--latency-ms", default=0.0, show_default=True)
    @click.option("--search-lag-s", default=0.0, show_default=True, help="How long search does not see a change.")
    def command(port: int, latency_ms: float, search_lag_s: float) -> None:
        run(serve(make(search_lag_s, Faults(latency_s=latency_ms / 1000)), port))

    command()


async def serve(app: web.Application, port: int) -> None:
    """Serves on 127.0.0.1, prints the URL, and goes on until it is ended."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, _HOST, port, backlog=1024).start()
    bound = runner.addresses[0][1]
    click.echo(f"http://{_HOST}:{bound}")
    await asyncio.Event().wait()
