"""URLs that Exotel asks while a caller waits for the answer: whom to ring, what to ask for, what to say.

Exotel waits five seconds (docs/reference/exotel.md §3.4); these answer within two, whatever CRMs, Exotel's own API and
the store do. Who may ask is what it is for hooks, except that no tenant opens these to anyone: the answers carry
agents' numbers. Once that is right a caller is on the line, and gets the best answer that there is instead of an error.
Nothing is stored of a request: the call's events come by the hooks.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from aiohttp import hdrs, web

from connector.clock import SYSTEM, Clock
from connector.errors import IngressError, Rejected, StoreBusy
from connector.exotel.model import CallEvent
from connector.exotel.parse import parse_request
from connector.exotel.urls import GATHERED
from connector.observe import metrics
from connector.pipeline.applets import prompts
from connector.pipeline.applets.routing import WAIT_S, ConnectRequest, Ring, Routing, fallback
from connector.tenants.applets import VERSION, Connect
from connector.tenants.model import Tenant
from connector.web.answers import API_HEADERS, Handler, Refused, busy, problem, refusal
from connector.web.body import read_body
from connector.web.hooks.ingress import INGRESS
from connector.web.hooks.origin import Origin
from connector.web.hooks.query import query_of, read_query

log = logging.getLogger(__name__)

Applet = Literal["connect", "gather", "greeting", "playback"]

APPLETS: Final[tuple[Applet, ...]] = ("connect", "gather", "greeting", "playback")
#: `sid` is the Account SID, `hook_token` the tenant's capability.
PATHS: Final = ("/v2/accounts/{sid}/", "/h/{hook_token}/")

#: How the tags of a passthru's URL begin.
_TAGS: Final = ("gather_tag_", "ivr_tag_")

#: From its arrival on, a request is answered by then at the latest.
_ANSWERED_S: Final = 1.8
#: A name that this process does not know may have been applied a moment ago; the caller waits.
_LOOK_S: Final = 0.3


class AppletAnswers:
    """Answers one request of an applet."""

    def __init__(
        self,
        routing: Routing,
        origin: Origin,
        popup_url: Callable[[Tenant], str | None],
        clock: Clock = SYSTEM,
    ) -> None:
        """`popup_url`: where Exotel reports attempts of a Connect; None where it cannot reach us."""
        self._routing = routing
        self._origin = origin
        self._popup_url = popup_url
        self._clock = clock

    async def answer(self, request: web.Request, applet: Applet) -> web.Response:
        """Serves GET, POST and HEAD; HEAD has no effect."""
        arrived = asyncio.get_running_loop().time()
        try:
            tenant = await self._tenant(request)
            event, name = await self._read(request, tenant)
            name, settings = await self._settings(tenant, applet, name)
        except IngressError as error:
            metrics.refused(error.code)
            answer = refusal(error)
            log.info("applet refused", extra={"route": applet, "status": answer.status, "code": error.code})
            return answer
        except StoreBusy as error:
            metrics.refused("busy")
            return busy(error)
        _mind_version(request, tenant)
        by = "template"
        if isinstance(settings, Connect):
            ring = await self._ring(request, tenant, name, settings, event, arrived)
            by = ring.by
            answer = _as_json(self._connect(tenant, settings, ring, event))
        else:
            answer = self._prompt(tenant, applet, settings, event)
        elapsed_s = asyncio.get_running_loop().time() - arrived
        metrics.applet_answered(applet, by, elapsed_s)
        if log.isEnabledFor(logging.DEBUG):
            fields = {"route": applet, "tenant": tenant.sid, "call_sid": event.call_sid if event else None, "by": by}
            log.debug("applet answered", extra={**fields, "elapsed_ms": round(elapsed_s * 1000, 2)})
        return answer

    def asks_to_gather(self, request: web.Request) -> bool:
        """Whether a Gather applet asks what to gather; else a passthru behind one says what was keyed.

        Both have the one capability URL. The applet says its version (docs/reference/exotel.md §3.4) or names an
        answer, a passthru carries digits or a tag; of what does neither, the tenant's file decides.
        """
        if "Exotel-Version" in request.headers:
            return True
        try:
            names = {name for name, _ in read_query(query_of(request))}
        except IngressError:
            return False
        if "name" in names:
            return True
        if "digits" in names or any(name.lower().startswith(_TAGS) for name in names):
            return False
        tenant = self._origin.known_hook(request.match_info["hook_token"])
        return tenant is not None and bool(tenant.applets.gather)

    async def _tenant(self, request: web.Request) -> Tenant:
        sid = request.match_info.get("sid")
        if sid is None:
            token = request.match_info["hook_token"]
            return self._origin.known_hook(token) or await self._origin.second_look_at_hook(request, token)
        tenant = self._origin.known(request, sid, is_open=True)
        tenant = tenant or await self._origin.second_look(request, sid, is_open=True)
        if hdrs.AUTHORIZATION not in request.headers and "anyone" in tenant.ingress.allow_from:
            raise Refused(
                "unauthorized",
                "What an applet is answered holds agents' numbers: it needs credentials, or the account's hook URL.",
                headers={hdrs.WWW_AUTHENTICATE: 'Basic realm="connector", charset="UTF-8"'},
            )
        return tenant

    async def _read(self, request: web.Request, tenant: Tenant) -> tuple[CallEvent | None, str | None]:
        """What the request tells of its call, None where it cannot be read; and the answer's name, where it has one."""
        name = None
        try:
            params = read_query(query_of(request))
            name = next((value for key, value in params if key == "name"), None)
            body = await read_body(request) if request.body_exists else b""
            # Parameters are a passthru's (docs/reference/exotel-flows.md §5.6), whose word here only says how to read
            # them.
            event = parse_request(
                event="answered",
                method=request.method,
                query=params,
                content_type=request.headers.get(hdrs.CONTENT_TYPE),
                body=body,
                country=tenant.country,
            )
        except IngressError:
            return None, name
        return event, name

    async def _settings(self, tenant: Tenant, applet: Applet, name: str | None) -> tuple[str, Any]:
        """The answer's name and settings. Raises `Refused`: without any there is nothing to say."""
        found = tenant.applets.named(applet, name)
        if found is not None:
            return found
        try:
            async with asyncio.timeout(_LOOK_S):
                latest = (await self._origin.look_again()).tenants_by_id.get(tenant.id, tenant)
        except (TimeoutError, StoreBusy):
            latest = tenant
        found = latest.applets.named(applet, name)
        if found is None and applet == "connect" and latest.applets.connect:
            # A typing error in a URL is no reason to let a caller go: somebody is rung, and it is said in the log.
            log.warning("no connect applet of this name", extra={"tenant": tenant.sid, "applet": name})
            found = latest.applets.named("connect", min(latest.applets.connect))
        if found is None:
            words = f"The account has no {applet} applet" + (" of this name." if name else "; or several: say ?name=.")
            raise Refused("unknown_applet", words, "name")
        return found

    async def _ring(
        self,
        request: web.Request,
        tenant: Tenant,
        name: str,
        settings: Connect,
        event: CallEvent | None,
        arrived: float,
    ) -> Ring:
        if request.method == hdrs.METH_HEAD:
            return fallback(settings)
        try:
            async with asyncio.timeout_at(arrived + _ANSWERED_S):
                return await self._routing.ring(
                    tenant, name, settings, ConnectRequest.of(event, tenant), arrived + WAIT_S
                )
        except TimeoutError:
            log.warning("nothing was decided in time: a caller gets the fallback", extra={"tenant": tenant.sid})
            return fallback(settings)

    def _connect(self, tenant: Tenant, settings: Connect, ring: Ring, event: CallEvent | None) -> dict[str, Any]:
        """The answer to a Connect applet (docs/reference/exotel-flows.md §5.6)."""
        names = ("record", "recording_channels", "max_ringing_duration", "max_conversation_duration")
        answer: dict[str, Any] = {
            "fetch_after_attempt": ring.more,
            "destination": {"numbers": list(ring.numbers)},
            **{name: getattr(settings, name) for name in names},
        }
        if settings.outgoing_phone_number is not None:
            answer["outgoing_phone_number"] = settings.outgoing_phone_number
        if settings.music_on_hold is not None:
            answer["music_on_hold"] = settings.music_on_hold.model_dump(exclude_none=True)
        if settings.parallel_ringing is not None and settings.is_parallel and len(ring.numbers) > 1:
            answer["parallel_ringing"] = settings.parallel_ringing.model_dump()
        if settings.popups and (url := self._popup_url(tenant)) is not None:
            answer["dial_passthru_event_url"] = url
        if settings.start_call_playback is not None:
            start = settings.start_call_playback
            played = self._filled(lambda facts: prompts.played(start, facts), tenant, event)
            if played is not None:
                answer["start_call_playback"] = played
        return answer

    def _prompt(self, tenant: Tenant, applet: Applet, settings: Any, event: CallEvent | None) -> web.Response:
        make: Callable[[Any, Mapping[str, Any]], Any] = getattr(prompts, applet)
        told = self._filled(lambda facts: make(settings, facts), tenant, event)
        if told is None:
            return problem(500, "template", "The template cannot be filled in; the log says why.", "name")
        return _as_text(told) if applet == "greeting" else _as_json(told)

    def _filled(self, make: Callable[[Mapping[str, Any]], Any], tenant: Tenant, event: CallEvent | None) -> Any:
        """What `make` makes of the request's facts, else of none at all; None where both fail."""
        for known in (event, None):
            try:
                return make(prompts.facts_of(known, tenant, self._clock.now()))
            except Rejected as error:
                log.warning("a template cannot be filled in", extra={"tenant": tenant.sid, "error": error.message})
        return None


ANSWERS: Final = web.AppKey("applet answers", AppletAnswers)


def add_applets(app: web.Application) -> None:
    """Adds the applets' URLs, before those of hooks, whose last part is any word; `app[ANSWERS]` is there at start."""
    for root in PATHS:
        for applet in APPLETS:
            resource = app.router.add_resource(root + applet)
            for method in (hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_POST):
                resource.add_route(method, _handler(applet))


def _handler(applet: Applet) -> Handler:
    async def ask(request: web.Request) -> web.Response:
        answers = request.app[ANSWERS]
        if applet == "gather" and "hook_token" in request.match_info and not answers.asks_to_gather(request):
            return await request.app[INGRESS].answer(request, GATHERED)
        return await answers.answer(request, applet)

    return ask


def _mind_version(request: web.Request, tenant: Tenant) -> None:
    asked = request.headers.get("Exotel-Version", VERSION).strip()
    if asked not in (VERSION, VERSION.partition(".")[0]):
        # One version is documented; a caller who waits is better answered in it than not at all.
        log.warning("an applet asks in another version", extra={"tenant": tenant.sid, "version": asked[:32]})


# Exotel takes `application/json` and `text/plain` "and nothing else" (docs/reference/exotel-flows.md §5.5, §5.15): no
# charset behind them.


def _as_json(answer: Mapping[str, Any]) -> web.Response:
    headers = {**API_HEADERS, "Exotel-Version": VERSION}
    return web.Response(body=json.dumps(answer).encode(), content_type="application/json", headers=headers)


def _as_text(words: str) -> web.Response:
    return web.Response(body=words.encode("utf-8", "replace"), content_type="text/plain", headers=API_HEADERS)
