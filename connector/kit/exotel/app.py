"""The stand-in's door and routes: credentials, region, limit, JSON or XML; `/_standin/` drives it from outside."""

import contextlib
import hmac
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import SecretStr

from connector.exotel.api.hosts import basic
from connector.kit.exotel.account import ExotelAccount
from connector.kit.exotel.files import Files
from connector.kit.exotel.legs import Legs
from connector.kit.exotel.people import Numbers, People
from connector.kit.exotel.play import Player
from connector.kit.exotel.strict import refused, xml_of
from connector.kit.exotel.voice import Voice
from connector.kit.faults import Faults, faults_middleware
from connector.kit.standin import Refused, answer, control_routes

PLAYER: Final = web.AppKey("player", Player)

#: A handler of an endpoint: an object, which the door writes as the path asks.
Answers = Callable[[web.Request], Awaitable[dict[str, Any]]]

_API: Final = ("/v1/", "/v2/", "/v2_beta/")
_FILES: Final = "/exotelrecordings/"
_MINUTE_S: Final = 60.0


class Door:
    """Who may come in, and how often."""

    def __init__(self, account: ExotelAccount, region: str | None) -> None:
        self._account = account
        self._region = region
        self._seen: deque[float] = deque()

    def admit(self, request: web.Request) -> None:
        """Raises `Refused`: 404 in the wrong region and for an unknown SID, 401 for wrong keys, 429 above the limit."""
        account = self._account
        sid = request.match_info.get("sid", "").removesuffix(".json")
        if self._region not in (None, account.region) or sid != account.sid:
            raise refused(404, "Not Found")
        given = request.headers.get("Authorization")
        if given is None:
            raise refused(401, "Authentication is required to view this page.")
        right = basic(SecretStr(account.api_key), SecretStr(account.api_token))
        if not hmac.compare_digest(given.encode(), right.encode()):
            raise refused(401, "Unauthorized;", 34010)
        if request.path.startswith(_FILES):
            return
        now = account.clock()
        while self._seen and self._seen[0] <= now - _MINUTE_S:
            self._seen.popleft()
        if len(self._seen) >= account.limit:
            raise refused(429, "Too Many Requests")
        self._seen.append(now)


def exotel_app(account: ExotelAccount, faults: Faults | None = None, *, region: str | None = None) -> web.Application:
    """The stand-in. `region`: the host of one region, which does not know accounts of the other; None: both."""
    faults = faults or Faults()
    door = Door(account, region)
    player = Player(account)
    app = web.Application(
        middlewares=[
            faults_middleware(faults, under="/v"),
            faults_middleware(faults, under=_FILES),
            _doorway(account, door),
        ]
    )
    app[PLAYER] = player
    app.add_routes(_routes(account, player))
    app.add_routes(control_routes(account, faults))
    app.add_routes(
        [web.post("/_standin/calls", _adds(account)), web.post("/_standin/calls/{call}/end", _ends(account))]
    )

    async def playing(_app: web.Application) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(player.running())
            yield

    app.cleanup_ctx.append(playing)
    return app


def _routes(account: ExotelAccount, player: Player) -> list[web.RouteDef]:
    voice, legs = Voice(account, player), Legs(account, player)
    people, numbers, files = People(account), Numbers(account), Files(account)
    v1, call, ext = "/v1/Accounts/{sid}", "/v1/Accounts/{sid}/Calls/{call:[A-Za-z0-9]+}", r"{ext:(\.json)?}"
    endpoints: list[tuple[str, str, Answers]] = [
        ("GET", r"/v1/Accounts/{sid:[^/]+}", voice.about),
        ("POST", f"{v1}/Calls/connect{ext}", voice.connect),
        ("GET", f"{v1}/Calls{ext}", voice.bulk),
        ("GET", f"{call}{ext}", voice.details),
        ("POST", f"{call}/recording{ext}", voice.recording),
        ("GET", f"{call}/ActiveLegs{ext}", legs.active),
        ("GET", f"{call}/Legs{ext}", legs.finished),
        ("POST", f"{call}/Legs{ext}", legs.monitor),
        ("PUT", f"{call}/Legs/{{leg:[A-Za-z0-9]+}}{ext}", legs.change),
        ("GET", f"{v1}/Numbers/{{number:[^/.]+}}{ext}", numbers.about),
        ("GET", f"{v1}/IncomingPhoneNumbers{ext}", numbers.older),
        ("GET", "/v2_beta/Accounts/{sid}/IncomingPhoneNumbers", numbers.newer),
        ("GET", "/v2/accounts/{sid}/users", people.users),
        ("PUT", "/v2/accounts/{sid}/users/{user}/devices/{device}", people.switch),
    ]
    return [
        *(web.route(method, path, _written(handler)) for method, path, handler in endpoints),
        web.get(f"{_FILES}{{sid}}/{{file}}", files.private),
        web.get("/cdn/{file}", files.signed),
    ]


def _written(handler: Answers) -> Handler:
    async def write(request: web.Request) -> web.StreamResponse:
        body = await handler(request)
        if _wants_json(request):
            return answer(body)
        return web.Response(text=xml_of(body), content_type="application/xml")

    return write


def _wants_json(request: web.Request) -> bool:
    return request.path.endswith(".json") or not request.path.startswith("/v1/")


def _doorway(account: ExotelAccount, door: Door) -> Any:
    @web.middleware
    async def doorway(request: web.Request, handler: Handler) -> web.StreamResponse:
        is_api = request.path.startswith(_API)
        if not is_api and not request.path.startswith(_FILES):
            return await handler(request)
        account.url = account.url or str(request.url.origin())
        resource = request.match_info.route.resource
        account.requests[f"{request.method} {resource.canonical if resource else 'unknown'}"] += 1
        response: web.StreamResponse
        try:
            door.admit(request)
            response = await handler(request)
        except Refused as error:
            response = _refusal(account, request, error)
        except web.HTTPException as error:  # no such path, no such method, a recording that is not ready
            response = _refusal(account, request, refused(error.status, error.reason))
        account.answers[response.status] += 1
        return response

    return doorway


def _refusal(account: ExotelAccount, request: web.Request, error: Refused) -> web.Response:
    if account.xml_errors or not _wants_json(request):
        return web.Response(status=error.status, text=xml_of(error.body), content_type="application/xml")
    return answer(error.body, error.status)


def _adds(account: ExotelAccount) -> Handler:
    async def add(request: web.Request) -> web.Response:
        try:
            added = [account.add_call(facts) for facts in (await request.json())["calls"]]
        except (ValueError, KeyError, TypeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"calls": added})

    return add


def _ends(account: ExotelAccount) -> Handler:
    async def end(request: web.Request) -> web.Response:
        try:
            account.end_call(request.match_info["call"])
        except KeyError:
            return web.json_response({"error": "there is no such call"}, status=404)
        return web.json_response({})

    return end
