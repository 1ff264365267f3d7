"""A query string to pairs, as `urllib.parse.parse_qsl` reads it and four times as fast.

It is the largest part of an acknowledgement's work: Exotel sends some twenty parameters, whose names repeat with every
call and whose values are mostly plain.
"""

from functools import lru_cache
from string import punctuation
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from aiohttp import web

from connector.web.answers import Refused

#: Longest query, in bytes; Exotel's own are under 4 KiB.
MOST_BYTES: Final = 64 * 1024
_MOST_PARAMETERS: Final = 1000


def query_of(request: web.Request) -> str:
    """The query as it came, in ASCII."""
    query = request.raw_path.partition("?")[2]
    if not query.isascii():  # where aiohttp runs without its C parser, which refuses them
        query = quote(query.encode("utf-8", "surrogateescape"), safe=punctuation)
    return query


def read_query(query: str) -> list[tuple[str, str]]:
    """The decoded pairs of an ASCII query in their order, blank values kept. Raises `IngressError` (`too_large`)."""
    if len(query) > MOST_BYTES or query.count("&") >= _MOST_PARAMETERS:
        raise Refused("too_large", f"A query may have {MOST_BYTES} bytes and {_MOST_PARAMETERS} parameters.")
    pairs = []
    for part in query.replace("+", " ").split("&"):
        if part:
            name, _, value = part.partition("=")
            if "%" in value:
                value = unquote_to_bytes(value).decode("utf-8", "replace")
            pairs.append((_name(name) if "%" in name else name, value))
    return pairs


@lru_cache(maxsize=1024)
def _name(encoded: str) -> str:
    return unquote_to_bytes(encoded).decode("utf-8", "replace")
