"""The wire between an adapter and its CRM: a real server that passes requests on, notes them, and makes trouble.

It stands in front of a stand-in, of recordings, or of a real account while those are recorded; so every check works
with each of them, and no CRM has to know how to fail.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html import unescape
from typing import Any, Literal
from urllib.parse import unquote_plus

import aiohttp
import nh3
from aiohttp import web
from yarl import URL

#: Headers that belong to one connection, or that a server writes by itself.
_OF_ONE_HOP = {
    "connection",
    "content-length",
    "content-encoding",
    "date",
    "host",
    "keep-alive",
    "server",
    "te",
    "transfer-encoding",
    "upgrade",
}

_HIDDEN = re.compile(
    r"<(\w+)\b[^>]*(?:display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0|opacity\s*:\s*0|\shidden\b)[^>]*>"
    r".*?</\1\s*>",
    re.IGNORECASE | re.DOTALL,
)
_INVISIBLE = re.compile("[\u200b-\u200f\u2060-\u2064\ufeff]")


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what came back. `status` is 0 where nothing did."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    content_type: str
    body: bytes = field(repr=False)
    status: int = 0
    answer_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    answer: bytes = field(default=b"", repr=False)
    #: Whether the adapter called it a read (GET, or `CrmHttp.ask`).
    reads: bool = True
    #: Whether the wire answered, or kept silent, in the CRM's place.
    troubled: bool = False

    @property
    def said(self) -> str:
        """All text of the request, decoded: what a person would find in the record."""
        text = self.body.decode("utf-8", "replace")
        if "json" in self.content_type:
            text = "\n".join(_strings(json.loads(text)))
        elif "x-www-form-urlencoded" in self.content_type:
            text = unquote_plus(text)
        return unescape(text)


@dataclass(frozen=True, slots=True)
class Trouble:
    """What happens to requests in the CRM's place: an answer with `status`, or silence where that is None."""

    status: int | None = None
    body: Any = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    on: Literal["all", "reads", "writes"] = "all"
    #: The CRM does what it was asked, then the connection breaks.
    after_effect: bool = False


class Wire:
    """See the module. `target`: origin that requests are passed on to."""

    def __init__(self, target: str) -> None:
        self.target = target.rstrip("/")
        self.url = ""
        self.exchanges: list[Exchange] = []
        self.trouble: Trouble | None = None
        #: The CRM cleans the HTML that it is sent.
        self.cleans = False
        #: Paths of POSTs that are reads.
        self.asked: set[str] = set()
        self._client: aiohttp.ClientSession
        self._over = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Wire"]:
        """Listens on a free port of this machine: `url`."""
        async with aiohttp.ClientSession(auto_decompress=True, cookie_jar=aiohttp.DummyCookieJar()) as self._client:
            runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=0.1)
            async with _listening(runner) as self.url:
                try:
                    yield self
                finally:
                    self._over.set()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        reads = request.method == "GET" or any(request.path.endswith(path) for path in self.asked)
        noted = Exchange(
            method=request.method,
            path=request.path,
            query=tuple(request.query.items()),
            content_type=request.headers.get("Content-Type", ""),
            body=body,
            reads=reads,
        )
        trouble = self.trouble
        if trouble is None or trouble.on not in ("all", "reads" if reads else "writes"):
            return await self._pass_on(request, noted)
        if trouble.after_effect:
            await self._pass_on(request, noted)
            return _broken(request)
        if trouble.status is None:
            self._note(noted, troubled=True)
            await self._over.wait()
            return _broken(request)
        answer = json.dumps(trouble.body).encode()
        self._note(noted, troubled=True, status=trouble.status, answer=answer)
        return web.Response(
            status=trouble.status, body=answer, headers={"Content-Type": "application/json", **trouble.headers}
        )

    async def _pass_on(self, request: web.BaseRequest, noted: Exchange) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OF_ONE_HOP}
        body = _cleaned(noted) if self.cleans else noted.body
        try:
            async with self._client.request(
                request.method,
                URL(self.target + request.raw_path, encoded=True),
                data=body,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=60),
            ) as response:
                answer = await response.read()
                status, said = response.status, response.headers
        except aiohttp.ClientError:
            self._note(noted)
            return _broken(request)
        passed = {name: value for name, value in said.items() if name.lower() not in _OF_ONE_HOP}
        self._note(noted, status=status, answer=answer, answer_headers=passed)
        return web.Response(status=status, body=answer, headers=passed)

    def _note(self, noted: Exchange, **more: Any) -> None:
        values = {name: getattr(noted, name) for name in Exchange.__dataclass_fields__}
        self.exchanges.append(Exchange(**{**values, **more}))


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    """Serves an app on a free port of this machine; yields its URL."""
    async with _listening(web.AppRunner(app, access_log=None, shutdown_timeout=0.1)) as url:
        yield url


@asynccontextmanager
async def _listening(runner: web.BaseRunner) -> AsyncIterator[str]:
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def clean_html(text: str) -> str:
    """HTML as help desks keep it: no comments, nothing hidden or invisible, no attribute but a link's address."""
    return nh3.clean(_INVISIBLE.sub("", _HIDDEN.sub("", text)), attributes={"a": {"href"}})


def _cleaned(exchange: Exchange) -> bytes:
    if not exchange.body or "json" not in exchange.content_type:
        return exchange.body
    return json.dumps(_map(json.loads(exchange.body))).encode()


def _map(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _map(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_map(inner) for inner in value]
    return clean_html(value) if isinstance(value, str) and "<" in value else value


def _strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in _strings(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in _strings(inner)]
    return [str(value)]


def _broken(request: web.BaseRequest) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
