"""Recordings of the stand-in of Exotel: private, late, in ranges, or behind a redirect.

See docs/reference/exotel.md §9.
"""

import hashlib
import hmac
import re
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import hdrs, web

from connector.kit.exotel.account import ExotelAccount, signature
from connector.kit.exotel.calls import SimCall

_CHUNK: Final = 64 * 1024


class Files:
    """Handlers of recordings."""

    def __init__(self, account: ExotelAccount) -> None:
        self._account = account

    async def private(self, request: web.Request) -> web.StreamResponse:
        """A recording, for who has the account's key; the door has looked at it."""
        call = self._ready(request.match_info["file"])
        if self._account.cdn_url is not None:
            return web.Response(status=302, headers={hdrs.LOCATION: self._account.signed(call, 300)})
        return await self._streamed(request, call)

    async def signed(self, request: web.Request) -> web.StreamResponse:
        """A recording, for who has its link; credentials beside a signature are refused, as the real store does."""
        file, until = request.match_info["file"], request.query.get("Expires", "0")
        given = request.query.get("Signature", "")
        if hdrs.AUTHORIZATION in request.headers:
            return web.Response(status=400, text="Only one auth mechanism allowed")
        is_right = until.isdecimal() and hmac.compare_digest(given, signature(file, int(until)))
        if not is_right or int(until) < self._account.clock():
            return web.Response(status=403, text="Request has expired")
        return await self._streamed(request, self._ready(file))

    def _ready(self, file: str) -> SimCall:
        call = self._account.call_of_file(file)
        now = self._account.clock()
        if call is None or not call.recorded or call.over_at is None:
            raise web.HTTPNotFound
        if now < call.over_at + self._account.recording_after_s:
            raise web.HTTPNotFound
        return call

    async def _streamed(self, request: web.Request, call: SimCall) -> web.StreamResponse:
        size = self._account.recording_size
        begin, end = 0, size
        found = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get(hdrs.RANGE, ""))
        if found is not None and (found[1] or found[2]):
            begin = int(found[1]) if found[1] else max(0, size - int(found[2]))
            end = min(size, int(found[2]) + 1) if found[1] and found[2] else size
            if begin >= end:
                return web.Response(status=416, headers={hdrs.CONTENT_RANGE: f"bytes */{size}"})
        is_part = found is not None and (begin, end) != (0, size)
        answer = web.StreamResponse(status=206 if is_part else 200)
        answer.content_type = "audio/mpeg"
        answer.content_length = end - begin
        answer.headers[hdrs.ACCEPT_RANGES] = "bytes"
        if is_part:
            answer.headers[hdrs.CONTENT_RANGE] = f"bytes {begin}-{end - 1}/{size}"
        await answer.prepare(request)
        if request.method != hdrs.METH_HEAD:
            async for chunk in _chunks(call, begin, end):
                await answer.write(chunk)
        await answer.write_eof()
        return answer


async def _chunks(call: SimCall, begin: int, end: int) -> AsyncIterator[bytes]:
    while begin < end:
        size = min(_CHUNK - begin % _CHUNK, end - begin)
        yield sound(call.sid, begin, begin + size)
        begin += size


def sound(call_sid: str, begin: int, end: int) -> bytes:
    """Bytes `begin` to `end` of a call's recording: the same each time, others for each call."""
    pattern = hashlib.sha256(call_sid.encode()).digest()
    shift = begin % len(pattern)
    return (pattern * ((end - begin + shift) // len(pattern) + 1))[shift : shift + end - begin]
