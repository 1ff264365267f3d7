"""Bodies of requests: bounded in bytes and in time, whatever a sender does."""

import asyncio
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from connector.web.answers import Refused

#: Longest body, in bytes; Exotel's own are under 4 KiB.
MOST_BYTES: Final = 64 * 1024
_TIMEOUT_S: Final = 10.0


async def read_body(request: web.Request, most: int = MOST_BYTES) -> bytes:
    """The whole body, `most` bytes unpacked if it was compressed. Raises `Refused` (`too_large`, `unreadable`)."""
    too_large = Refused("too_large", f"A body may have {most} bytes.")
    if (request.content_length or 0) > most:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > most:
                    raise too_large
    except TimeoutError:
        raise Refused("unreadable", f"The body did not arrive within {_TIMEOUT_S:.0f} seconds.") from None
    except (HttpProcessingError, web.RequestPayloadError):
        raise Refused("unreadable", "The body is cut off, or not encoded as its headers say.") from None
    return bytes(body)
