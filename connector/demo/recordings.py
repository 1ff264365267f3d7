"""Exotel's recordings as the demo plays them: private files, each the same few notes, so that a link can be clicked."""

import hmac
import io
import math
import wave
from base64 import b64encode
from typing import Final

from aiohttp import web

_RATE: Final = 8000
#: Hertz, half a second each; 0 is silence.
_NOTES: Final = (523, 659, 784, 0, 784, 659, 523, 0)


def recordings_app(api_key: str, api_token: str) -> web.Application:
    """Serves any recording to who has the account's key and token (docs/reference/exotel.md §9)."""
    expected = "Basic " + b64encode(f"{api_key}:{api_token}".encode()).decode()
    content = sound()

    async def recording(request: web.Request) -> web.Response:
        if not hmac.compare_digest(request.headers.get("Authorization", "").encode(), expected.encode()):
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": 'Basic realm="recordings"'})
        asked = request.http_range
        begin, end, _ = slice(asked.start, asked.stop).indices(len(content))
        headers = {"Accept-Ranges": "bytes", "Content-Type": "audio/wav"}
        if asked.start is None and asked.stop is None:
            return web.Response(body=content, headers=headers)
        if begin >= end:
            raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{len(content)}"})
        headers["Content-Range"] = f"bytes {begin}-{end - 1}/{len(content)}"
        return web.Response(status=206, body=content[begin:end], headers=headers)

    app = web.Application()
    app.router.add_get("/exotelrecordings/{sid}/{file}", recording)
    return app


def sound() -> bytes:
    """A WAV file of a few seconds."""
    samples = bytearray()
    for note in _NOTES:
        for at in range(_RATE // 2):
            fading = 1 - at / (_RATE // 2)
            samples.append(128 + round(60 * fading * math.sin(2 * math.pi * note * at / _RATE)))
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(1)
        out.setframerate(_RATE)
        out.writeframes(bytes(samples))
    return file.getvalue()
