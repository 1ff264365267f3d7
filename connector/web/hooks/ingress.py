"""Exotel's URLs: authenticate, read CallSid and kind, have it stored, answer. A caller waits on the line meanwhile.

All dialects that Exotel's own connectors document, and ours (docs/design.md §3). A request is answered 200 once it is
durably stored and never before; each refusal is JSON that names what is wrong; nothing redirects.
"""

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from aiohttp import hdrs, web

from connector.clock import SYSTEM, Clock
from connector.errors import IngressError, StoreBusy
from connector.exotel.parse import call_sid_of, kind_of
from connector.exotel.urls import URLS, Url
from connector.exotel.wire import merge
from connector.observe import metrics
from connector.pipeline.calls.accept import Received
from connector.tenants.model import Tenant
from connector.web.answers import Handler, Refused, busy, refusal
from connector.web.body import read_body
from connector.web.hooks.origin import Origin
from connector.web.hooks.query import query_of, read_query

log = logging.getLogger(__name__)

#: What a column holds; longer ones are nobody's.
_LONGEST_TYPE: Final = 255
_LONGEST_SID: Final = 128
#: `undefined` is the longest word for nothing (docs/reference/exotel.md §2.3).
_SHORTEST_PLAIN_SID: Final = 10


class Accepts(Protocol):
    """The pipeline, as ingress sees it."""

    async def accept(self, received: Received) -> None:
        """Returns once the request is durably stored. Raises `StoreBusy`."""


class Ingress:
    """Turns requests into `Received`, and hands them to the pipeline."""

    def __init__(self, pipeline: Accepts, origin: Origin, clock: Clock = SYSTEM) -> None:
        self._pipeline = pipeline
        self._origin = origin
        self._clock = clock

    async def answer(self, request: web.Request, url: Url) -> web.Response:
        """Serves one request to one of `URLS`."""
        began = time.perf_counter()
        tenant: Tenant | None = None
        try:
            tenant = await self._tenant(request, url)
            if request.method == hdrs.METH_HEAD:
                return web.Response()
            asked = await _asked(request)
            if url.dialect == "callback" and request.match_info["event"].strip().lower() == "sms":
                # Nobody sends text messages through us, and so nobody asks what became of one: it is kept nowhere.
                kind, call_sid = "sms", None
            else:
                kind, received = await self._read(request, url, tenant, asked)
                call_sid = received.call_sid
                await self._pipeline.accept(received)
        except IngressError as error:
            return self._refuse(request, url, tenant, error, began)
        except StoreBusy as error:
            metrics.refused("busy")
            log.error(
                "hook not stored", extra={"route": url.path, "tenant": tenant and tenant.sid, "reason": str(error)}
            )
            return busy(error)
        elapsed_s = time.perf_counter() - began
        metrics.accepted(kind, dialect=url.dialect, seconds=elapsed_s)
        if log.isEnabledFor(logging.DEBUG):
            fields = {"route": url.path, "tenant": tenant.sid, "call_sid": call_sid, "status": 200}
            log.debug("hook accepted", extra={**fields, "elapsed_ms": round(elapsed_s * 1000, 2)})
        return web.Response()

    async def _tenant(self, request: web.Request, url: Url) -> Tenant:
        sid = request.match_info.get("sid")
        if sid is None:
            token = request.match_info["hook_token"]
            return self._origin.known_hook(token) or await self._origin.second_look_at_hook(request, token)
        tenant = self._origin.known(request, sid, is_open=url.is_open)
        return tenant or await self._origin.second_look(request, sid, is_open=url.is_open)

    async def _read(self, request: web.Request, url: Url, tenant: Tenant, asked: "_Asked") -> tuple[str, Received]:
        """The event's kind, for counting, and the request as it is stored. Raises `IngressError`."""
        word = url.word or request.match_info.get("event") or _first(asked.params, "event") or ""
        if url.dialect == "callback":
            word = f"callback/{word}"
        kind = kind_of(word)
        received = Received(
            tenant_id=tenant.id,
            call_sid=_call_sid(asked),
            kind=word.strip().lower(),
            method=request.method,
            query=asked.query,
            content_type=asked.content_type,
            body=asked.body or None,
            params=asked.params,
            connection_id=await self._connection_id(tenant, _first(asked.in_query, "connection")),
            received_at=self._clock.now(),
        )
        return kind, received

    async def _connection_id(self, tenant: Tenant, name: str | None) -> str | None:
        """The one connection that the URL narrows the event to; None: every one. A typing error must not lose calls."""
        if name is None:
            return None
        connection = tenant.connection(name)
        if connection is None:
            latest = (await self._origin.look_again()).tenants_by_id.get(tenant.id)
            connection = latest.connection(name) if latest else None
        if connection is None:
            raise Refused("unknown_connection", "The account has no connection of this name.", "connection")
        return connection.id

    def _refuse(
        self, request: web.Request, url: Url, tenant: Tenant | None, error: IngressError, began: float
    ) -> web.Response:
        answer = refusal(error)
        metrics.refused(error.code)
        # A flood is counted, not written down. The path of an unknown account may hold anything, a key included.
        level = logging.DEBUG if error.code == "too_many_failures" else logging.INFO
        fields = {"route": url.path, "tenant": tenant and tenant.sid, "status": answer.status, "code": error.code}
        log.log(
            level,
            "hook refused",
            extra={**fields, "field": error.field, "elapsed_ms": round((time.perf_counter() - began) * 1000, 2)},
        )
        return answer


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request's parameters: as they came, and decoded."""

    query: str
    in_query: Sequence[tuple[str, str]]
    content_type: str | None
    body: bytes
    params: Sequence[tuple[str, str]]
    is_readable: bool

    def merged(self) -> dict[str, Any]:
        """Every parameter, query and body merged. Raises `Refused` where nothing can be made of the body."""
        if not self.is_readable:
            raise Refused("unreadable", "The body is neither a form nor a JSON object.")
        return merge(self.in_query, self.content_type, self.body)


async def _asked(request: web.Request) -> _Asked:
    """Reads the request. Raises `IngressError`."""
    query = query_of(request)
    in_query = read_query(query)
    if not request.body_exists:
        return _Asked(query, in_query, None, b"", in_query, is_readable=True)
    body = await read_body(request)
    content_type = _ascii(request.headers.get(hdrs.CONTENT_TYPE, ""))[:_LONGEST_TYPE] or None
    posted = _posted(content_type, body)
    is_readable = bool(posted) or body.strip() in (b"", b"{}")
    return _Asked(query, in_query, content_type, body, [*in_query, *posted], is_readable)


INGRESS: Final = web.AppKey("ingress", Ingress)


def add_ingress(app: web.Application) -> None:
    """Adds the hook URLs; `app[INGRESS]` is there once the app has started."""
    for url in URLS:
        resource = app.router.add_resource(url.path)
        for method in (hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_POST):
            resource.add_route(method, _handler(url))


def _handler(url: Url) -> Handler:
    async def hook(request: web.Request) -> web.Response:
        return await request.app[INGRESS].answer(request, url)

    return hook


def _ascii(header: str) -> str:
    return header if header.isascii() else header.encode("ascii", "replace").decode()


def _first(params: Sequence[tuple[str, str]], name: str) -> str | None:
    for key, value in params:
        if key == name:
            return value
    return None


def _call_sid(asked: _Asked) -> str:
    """The CallSid, as the parser will find it again. Raises `IngressError` (`no_call_sid`, `unreadable`)."""
    if not asked.body:
        # Nearly every request names it once, in plain characters: no need to look at each parameter.
        named = [value for key, value in asked.in_query if key == "CallSid"]
        if len(named) == 1 and named[0].isalnum() and _SHORTEST_PLAIN_SID <= len(named[0]) <= _LONGEST_SID:
            return named[0]
    try:
        return call_sid_of(merge(asked.in_query, asked.content_type, asked.body))
    except IngressError:
        if asked.is_readable:
            raise
        raise Refused("unreadable", "The body is neither a form nor a JSON object.") from None


def _posted(content_type: str | None, body: bytes) -> list[tuple[str, str]]:
    """The body's parameters as text; what JSON nests is JSON text."""
    return [
        (key, value if isinstance(value, str) else json.dumps(value, sort_keys=True))
        for key, value in merge((), content_type, body).items()
    ]
