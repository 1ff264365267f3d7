"""The client session that all connections share: which addresses it reaches, until when a request can be stopped."""

import ipaddress
import re
import socket
import time
from collections.abc import Container, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, cast

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from connector.errors import ConfigError, CrmError, CrmUnavailable, LeaseLost, OutcomeUnknown, RateLimited

#: An answer of an API is text of a few kilobytes; a larger one is a mistake that must not fill the memory.
_MAX_ANSWER = 8 * 1024 * 1024


async def whole(response: aiohttp.ClientResponse) -> bytes:
    """The body. Raises `aiohttp.ClientPayloadError` where it is too large, as where it is cut off."""
    parts: list[bytes] = []
    size = 0
    while part := await response.content.readany():
        size += len(part)
        if size > _MAX_ANSWER:
            raise aiohttp.ClientPayloadError("the answer is too large")
        parts.append(part)
    return b"".join(parts)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a `Retry-After` header (a number, or a date), None where it is absent or unreadable."""
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def passing(error: BaseException) -> bool:
    """Whether a read may go through in a second: a fault that tells its own waiting time is not over by then."""
    return isinstance(error, CrmUnavailable) and not isinstance(error, RateLimited) and error.retry_after_s is None


def lost(error: BaseException, who: str, *, unsure: bool) -> CrmError:
    """No answer came of `who`. `unsure`: something of a write had left, so that it may have been done."""
    what = "did not answer in time" if isinstance(error, TimeoutError) else "could not be reached"
    logged = f"{what}: {type(error).__name__}"
    if unsure:
        what = "gave no answer" if what == "could not be reached" else what
        return OutcomeUnknown(f"{who} {what} after the request had left.", log=logged)
    return CrmUnavailable(f"{who} {what}.", log=logged)


class PublicOnly(AbstractResolver):
    """Resolves names, and refuses those that lead into a private network (SSRF), unless the operator named the host."""

    def __init__(self, allowed_hosts: Container[str]) -> None:
        self._inner = aiohttp.ThreadedResolver()
        self._allowed = allowed_hosts

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        try:
            found = await self._inner.resolve(host, port, family)
        except UnicodeError as error:  # a label that is too long or empty: getaddrinfo cannot even ask for it
            raise OSError(f"{host} is no host name") from error
        if host in self._allowed:
            return found
        public = [address for address in found if is_public(address["host"])]
        if not public:
            raise _private(host)
        return public

    async def close(self) -> None:
        await self._inner.close()


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet."""
    ip = ipaddress.ip_address(address)
    plain = getattr(ip, "ipv4_mapped", None) or ip
    return bool(plain.is_global and not plain.is_multicast)


def _private(host: str) -> ConfigError:
    return ConfigError(
        f"{host} leads to a private address; where that is meant, the operator says so with `base_url` or `api_url`."
    )


def session(allowed_hosts: Container[str] = frozenset(), *, limit: int = 512) -> aiohttp.ClientSession:
    """The client session that all connections share.

    `allowed_hosts`: host names and addresses of the operator's `base_url`s, which may be private; it is asked at each
    look-up, so a collection that grows as connections are applied may be passed.
    """

    async def refuse_private(_session: aiohttp.ClientSession, _progress: Any, params: Any) -> None:
        # aiohttp asks no resolver for an address: `http://169.254.169.254/` would pass the one above.
        host = params.url.host or ""
        if (":" in host or host[-1:].isdigit()) and host not in allowed_hosts and not is_public(host):
            raise _private(host)

    trace = aiohttp.TraceConfig(trace_config_ctx_factory=cast(Any, _progress_of))
    trace.on_request_start.append(refuse_private)
    trace.on_request_headers_sent.append(_head_leaves)
    trace.on_request_chunk_sent.append(_body_leaves)
    connector = aiohttp.TCPConnector(
        limit=limit, limit_per_host=0, resolver=PublicOnly(allowed_hosts), ttl_dns_cache=60, keepalive_timeout=30
    )
    return aiohttp.ClientSession(
        connector=connector,
        trace_configs=[trace],
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "exotel-crm-connector"},
    )


@dataclass(slots=True)
class Progress:
    """How far one request got."""

    send_before: float | None
    has_body: bool
    #: Nothing of this attempt was handed to the socket yet (aiohttp repeats a PUT whose idle connection was closed).
    fresh: bool = True
    #: Something of this request was handed to the socket, in this attempt or an earlier one.
    left: bool = False
    #: The claim's end stopped it.
    stopped: bool = False

    def leave(self) -> None:
        if not self.fresh:
            return
        if self.send_before is not None and time.monotonic() >= self.send_before:
            self.stopped = True
            raise LeaseLost("The claim ended before the request left; it will be sent by whoever holds the call now.")
        self.fresh = False
        self.left = True


def _progress_of(trace_request_ctx: "Progress | None" = None) -> "Progress | None":
    return trace_request_ctx


# aiohttp keeps the head back until the body is there and writes both at once. It calls these two right before, with the
# connection in hand: the last moment at which a request can be stopped without a byte of it on the wire.


async def _head_leaves(_session: aiohttp.ClientSession, progress: Any, _params: Any) -> None:
    if progress is not None:
        progress.fresh = True
        if not progress.has_body:
            progress.leave()


async def _body_leaves(_session: aiohttp.ClientSession, progress: Any, _params: Any) -> None:
    if progress is not None:
        progress.leave()
