"""Who sent a hook request: credentials, open ranges, the address behind proxies, and the count of failed tries.

Right credentials cost two hashes and two comparisons, and are never limited: Exotel's few addresses carry the calls of
every tenant, and it does not send again. Only what failed is counted, and only after the store was asked whether the
configuration changed meanwhile.
"""

import asyncio
import binascii
import functools
import hashlib
import hmac
import ipaddress
import math
import os
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, Protocol

from aiohttp import hdrs, web

from connector.errors import StoreBusy
from connector.tenants.model import Directory, Tenant
from connector.web.answers import Refused

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: Failed tries of one address at one tenant or token, per window; more are answered 429.
MOST_FAILURES: Final = 100
FAILURE_WINDOW_S: Final = 60.0
#: Who tries names of their own making fills the table, not the memory.
_MOST_KEYS: Final = 10_000
#: Failed requests look at the store together, at most this often.
_LOOK_GAP_S: Final = 0.025
_LOOK_TIMEOUT_S: Final = 4.0

_LOOPBACK: Final = IPv4Address("127.0.0.1")
_CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="connector", charset="UTF-8"'}
_ANYONE: Final = "anyone"


class DirectorySource(Protocol):
    """Where the configuration in force comes from."""

    @property
    def current(self) -> Directory:
        """The directory in force."""

    async def refresh(self, force: bool = False) -> Directory:
        """The directory after a look at the store that began after the call. Raises `StoreBusy`."""


class Origin:
    """Finds the tenant that a hook request belongs to, and refuses what does not come from Exotel."""

    def __init__(
        self,
        directories: DirectorySource,
        trusted_proxies: Sequence[Network] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directories = directories
        self._trusted = tuple(trusted_proxies)
        self._looks = SharedLooks(directories.refresh)
        self._failures = Failures(clock)
        self._seen: Directory | None = None
        self._doors: dict[str, _Door] = {}

    def known(self, request: web.Request, sid: str, *, is_open: bool) -> Tenant | None:
        """The tenant whose credentials the request carries, as far as this process knows.

        `is_open`: this URL answers without credentials too, where the tenant allows it.
        """
        directory = self._directories.current
        if directory is not self._seen:
            # Doors are made once: a change of one tenant must not hold up the requests of thousands.
            was = self._doors
            self._doors = {
                sid: was[sid] if sid in was and was[sid].tenant is tenant else _Door(tenant)
                for sid, tenant in directory.tenants.items()
            }
            self._seen = directory
        door = self._doors.get(sid, _DECOY)
        header = request.headers.get(hdrs.AUTHORIZATION)
        # Without credentials, and for an unknown tenant, the same is computed: the time tells nothing.
        whole, token = _presented(header)
        passes = hmac.compare_digest(whole, door.basic) | hmac.compare_digest(token, door.hook)
        if passes or (is_open and header is None and door.lets_in(self.address(request))):
            return door.tenant
        return None

    def known_hook(self, token: str) -> Tenant | None:
        """The tenant of a hook token, as far as this process knows."""
        return self._directories.current.hooks.get(hashlib.sha256(token.encode("utf-8", "replace")).hexdigest())

    async def look_again(self) -> Directory:
        """The directory as the store has it now, since another process may have changed it. Raises `StoreBusy`."""
        await self._looks.next()
        return self._directories.current

    async def second_look(self, request: web.Request, sid: str, *, is_open: bool) -> Tenant:
        """The tenant, if the store knows better. Raises `Refused` (401, 429) and `StoreBusy`."""
        await self._looks.next()
        tenant = self.known(request, sid, is_open=is_open)
        if tenant is not None:
            return tenant
        self._count(request, sid)
        raise Refused(
            "unauthorized",
            "Credentials are missing or wrong: send the Exotel API key and token of this account as Basic"
            " credentials, or use the account's hook URL.",
            headers=_CHALLENGE,
        )

    async def second_look_at_hook(self, request: web.Request, token: str) -> Tenant:
        """The tenant, if the store knows better. Raises `Refused` (404, 429) and `StoreBusy`."""
        await self._looks.next()
        tenant = self.known_hook(token)
        if tenant is not None:
            return tenant
        self._count(request, hashlib.sha256(token.encode("utf-8", "replace")).hexdigest())
        raise Refused("not_found", "There is nothing at this address.")

    def address(self, request: web.Request) -> Address:
        """Where the request comes from, behind the proxies that are trusted."""
        return client_address(request.remote, request.headers.getall(hdrs.X_FORWARDED_FOR, []), self._trusted)

    def _count(self, request: web.Request, name: str) -> None:
        wait_s = self._failures.count(_household(self.address(request)), name[:128])
        if wait_s is not None:
            raise Refused(
                "too_many_failures",
                "Too many requests with wrong credentials came from this address.",
                headers={"Retry-After": str(math.ceil(wait_s))},
            )


class Failures:
    """Failed tries per (address, tenant or token) in windows of a minute; the table is bounded, the oldest goes."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        most: int = MOST_FAILURES,
        window_s: float = FAILURE_WINDOW_S,
        keys: int = _MOST_KEYS,
    ) -> None:
        self._clock = clock
        self._most = most
        self._window_s = window_s
        self._keys = keys
        # All windows last as long, so the first in the table is the first to end.
        self._counts: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._counts)

    def count(self, address: str, name: str) -> float | None:
        """Counts one more failure; seconds until the window ends where that is too many, else None."""
        now, key = self._clock(), (address, name)
        count, ends_at = self._counts.get(key, (0, 0.0))
        if ends_at <= now:
            self._counts.pop(key, None)
            if len(self._counts) >= self._keys:
                self._counts.popitem(last=False)
            count, ends_at = 0, now + self._window_s
        self._counts[key] = (count + 1, ends_at)
        return ends_at - now if count >= self._most else None


class SharedLooks:
    """Looks at the store that are shared and paced: whoever waits gets one that began after it asked.

    So a change is seen at once, and a flood of wrong requests costs a few dozen small reads a second.
    """

    def __init__(self, look: Callable[[], Awaitable[object]], gap_s: float = _LOOK_GAP_S) -> None:
        self._look = look
        self._gap_s = gap_s
        self._next: asyncio.Task[None] | None = None
        self._free_at = 0.0

    async def next(self) -> None:
        """Returns after the next look. Raises `StoreBusy` where the store does not answer."""
        if self._next is None:
            self._next = asyncio.create_task(self._run(), name="look-again")
        await asyncio.shield(self._next)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._free_at - loop.time()))
        self._next = None  # who asks from now on needs a later look
        self._free_at = loop.time() + self._gap_s
        try:
            async with asyncio.timeout(_LOOK_TIMEOUT_S):
                await self._look()
        except TimeoutError:
            raise StoreBusy("The store did not answer in time.") from None


class _Door:
    """What opens a tenant's URLs, as digests: comparing them tells nothing of a secret's length."""

    __slots__ = ("basic", "hook", "tenant")

    def __init__(self, tenant: Tenant) -> None:
        self.tenant: Tenant | None = tenant
        self.basic = _digest(f"{tenant.api_key.get_secret_value()}:{tenant.api_token.get_secret_value()}".encode())
        self.hook = _digest(tenant.hook_token.get_secret_value().encode())

    def lets_in(self, address: Address) -> bool:
        """Whether the documented URLs answer this address without credentials."""
        if self.tenant is None or not self.tenant.ingress.open:
            return False
        networks = _ranges(self.tenant.ingress.allow_from)
        return networks is None or any(address in network for network in networks)


class _Nobody(_Door):
    """The door of an unknown tenant: looks like the others, opens to nothing."""

    __slots__ = ()

    def __init__(self) -> None:
        self.tenant = None
        self.basic = os.urandom(32)
        self.hook = os.urandom(32)


_DECOY: Final = _Nobody()
#: Stands for credentials that were not sent; equal to no digest.
_NOT_SENT: Final = os.urandom(32)


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()


def _presented(header: str | None) -> tuple[bytes, bytes]:
    """Digests of what an Authorization header carries: Basic's `key:token`, and what may be a hook token.

    A hook token comes as Bearer, as the password of Basic, or as its user name without a password.
    """
    scheme, _, value = (header or "").partition(" ")
    whole = token = b""
    if scheme.lower() == "basic":
        try:
            whole = binascii.a2b_base64(value.strip())
        except (ValueError, binascii.Error):
            whole = b""
        user, _, password = whole.partition(b":")
        token = password or user
    elif scheme.lower() == "bearer":
        token = value.strip().encode("utf-8", "replace")
    # Both are hashed in any case: the same work for every request.
    sent_whole, sent_token = _digest(whole), _digest(token)
    return (sent_whole if whole else _NOT_SENT), (sent_token if token else _NOT_SENT)


@functools.lru_cache(maxsize=4096)
def _ranges(allow_from: tuple[str, ...]) -> tuple[Network, ...] | None:
    """The listed ranges; None for `anyone`. They were checked when they were applied."""
    if _ANYONE in allow_from:
        return None
    return tuple(ipaddress.ip_network(text, strict=False) for text in allow_from)


def client_address(peer: str | None, forwarded: Sequence[str], trusted: Sequence[Network]) -> Address:
    """The address a request comes from: X-Forwarded-For read from the right for as long as its writers are trusted.

    `peer` is the other end of the connection; a Unix socket has no address, its other end is on this machine.
    """
    address = (_address(peer) if peer else None) or _LOOPBACK
    hops = ",".join(forwarded).split(",") if forwarded else []
    while hops and any(address in network for network in trusted):
        hop = _address(hops.pop().strip())
        if hop is None:
            break  # what a trusted proxy did not write as an address tells nothing
        address = hop
    return address


def _address(text: str) -> Address | None:
    """`192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]:4711`; IPv4 within IPv6 is IPv4."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _household(address: Address) -> str:
    """What failures are counted by: an IPv6 customer has a whole /64 to try from."""
    if address.version == 6:
        return str(ipaddress.ip_network((address, 64), strict=False).network_address)
    return str(address)
