"""A peer that serves Exotel's recordings, or a host that they redirect to, as strict as docs/reference/exotel.md §9."""

import asyncio
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from connector.kit.wire import serving

KEY, TOKEN = "demo_key", "demo_token"
BASIC = "Basic " + b64encode(f"{KEY}:{TOKEN}".encode()).decode()
AUDIO = bytes(range(256)) * 400


@dataclass
class Peer:
    """Serves one account's files. Whatever is public may be changed while it runs."""

    files: dict[str, bytes] = field(default_factory=lambda: {"c1.mp3": AUDIO})
    content_type: str = "audio/mpeg"
    #: Where requests are sent on to; None: the file is here.
    onward: str | None = None
    #: Name of a file -> where it is now.
    moved: dict[str, str] = field(default_factory=dict)
    #: Answered instead of the file.
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    #: Whether the account's key and token are asked for.
    private: bool = True
    etag: str = '"first"'
    #: Bytes of a made-up file that is sent piece by piece, however large.
    endless: int | None = None
    #: The connection is cut after so many of them.
    breaks_after: int | None = None
    #: Nobody is told how many bytes that is.
    untold: bool = False
    #: Answers Call Details, where a test asks for them.
    details: Callable[[web.Request], Awaitable[web.Response]] | None = None
    requests: list[tuple[str, str | None, str | None]] = field(default_factory=list)
    #: Bytes that left, and whether the reader went away before the end.
    sent: int = 0
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Peer"]:
        """Listens on a free port of this machine."""
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        async with serving(app) as self.url:
            yield self

    def recording(self, sid: str, name: str = "c1.mp3") -> str:
        """Exotel's link to a file."""
        return f"{self.url}/exotelrecordings/{sid}/{name}"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self.details is not None and request.path.startswith("/v1/Accounts/"):
            return await self.details(request)
        given = request.headers.get("Authorization")
        self.requests.append((request.path, given, request.headers.get("Range")))
        if self.private and given != BASIC:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="recordings"'})
        onward = self.moved.get(request.path.rpartition("/")[2], self.onward)
        if onward is not None:
            return web.Response(status=302, headers={"Location": onward})
        if self.status is not None:
            return web.Response(status=self.status, headers=self.headers, text="<h1>no</h1>", content_type="text/html")
        if self.endless is not None:
            return await self._stream(request, self.endless)
        content = self.files.get(request.path.rpartition("/")[2])
        if content is None:
            return web.Response(status=404)
        return self._file(request, content)

    def _file(self, request: web.Request, content: bytes) -> web.Response:
        headers = {"Accept-Ranges": "bytes", "ETag": self.etag, "Content-Type": self.content_type, **self.headers}
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("Range", ""))
        if asked is None or request.headers.get("If-Range", self.etag) != self.etag:
            return web.Response(body=content, headers=headers)
        first, last = asked[1], asked[2]
        begin = int(first) if first else max(0, len(content) - int(last))
        end = min(int(last) if first and last else len(content) - 1, len(content) - 1)
        if begin > end:
            return web.Response(status=416, headers={"Content-Range": f"bytes */{len(content)}"})
        headers["Content-Range"] = f"bytes {begin}-{end}/{len(content)}"
        return web.Response(status=206, body=content[begin : end + 1], headers=headers)

    async def _stream(self, request: web.Request, size: int) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": self.content_type})
        response.content_length = None if self.untold else size
        await response.prepare(request)
        if self.breaks_after is not None and request.transport is not None:
            await response.write(b"\0" * self.breaks_after)
            request.transport.abort()
            return response
        piece = b"\0" * 65536
        try:
            while self.sent < size:
                await response.write(piece[: size - self.sent])
                self.sent += min(len(piece), size - self.sent)
        except ConnectionError:
            self.hung_up.set()
        return response
