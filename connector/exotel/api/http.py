"""The wire to Exotel's API for one tenant: hosts, credentials, budget, deadlines, answers -> typed errors."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Literal, Protocol
from urllib.parse import quote, urlencode

import aiohttp
from pydantic import SecretStr
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, stop_after_delay, wait_random_exponential
from yarl import URL

from connector.errors import RateLimited
from connector.exotel.api.answers import UNREADABLE, decode, problem_of
from connector.exotel.api.hosts import Hosts, basic, discover
from connector.exotel.api.refusals import error_of
from connector.observe import metrics
from connector.observe.redact import HIDDEN, mask_numbers, redact
from connector.outbound import Progress, lost, passing, whole

#: Who is waiting. The account has one budget of 200 requests a minute; the less urgent, the more of it is left.
Urgency = Literal["caller", "recording", "reconcile", "backfill"]

#: Requests a minute, on all voice APIs together (docs/reference/exotel.md §6).
LIMITS: Final[Mapping[str, tuple[int, float]]] = {"all": (200, 60.0)}

#: Share of the budget that each kind of work leaves to what is more urgent.
KEPT: Final[Mapping[Urgency, float]] = {"caller": 0.0, "recording": 0.1, "reconcile": 0.2, "backfill": 0.5}

#: Which of an account's hosts: `api` calls, numbers, SMS; `ccm` users and devices.
Service = Literal["api", "ccm"]

_CONNECT_S: Final = 5.0
_READ_S: Final = 20.0
#: A read that failed is repeated only while this little time has gone: somebody may be waiting.
_REPEAT_READS_FOR_S: Final = 10.0
#: Where asking for the region told nothing, the SID's rule holds for so long before it is asked again.
_ASK_AGAIN_S: Final = 300.0


class TenantBudget(Protocol):
    """The tenant's gate, as the client sees it (`pipeline.gate.Gate` is one)."""

    async def spend(self, bucket: str, *, kept: float) -> None:
        """Takes one request, waiting briefly. Raises `RateLimited` where the wait is long. `kept`: see `KEPT`."""

    def blocked(self, bucket: str, for_s: float) -> None:
        """Exotel answered 429: nothing for so many seconds."""


async def _forgets(_region: str) -> None:
    return


class ExotelHttp:
    """What the clients of one tenant speak through; who waits is told with each request.

    Raises `CrmUnavailable` and `RateLimited` (nothing was done), `OutcomeUnknown` (a write may have been),
    `AuthFailed`, `ExotelRefused` (its words, code and reason), `NotFound`, `ConfigError` (a redirect, a private
    address).
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        sid: str,
        api_key: SecretStr,
        api_token: SecretStr,
        hosts: Hosts,
        budget: TenantBudget,
        country: str = "IN",
        is_region_known: bool = True,
        keep_region: Callable[[str], Awaitable[None]] = _forgets,
    ) -> None:
        """`is_region_known`: false where the SID's rule alone tells `hosts.region`; then both regions are asked before
        the first request, and what is found goes to `keep_region`.
        """
        self.sid = sid
        #: Where the account's calls, numbers and messages are; users are under `people`.
        self.v1 = f"/v1/Accounts/{quote(sid, safe='')}"
        self.v2_beta = f"/v2_beta/Accounts/{quote(sid, safe='')}"
        self.people = f"/v2/accounts/{quote(sid, safe='')}"
        self.country = country
        self._session = session
        self._api_key = api_key
        self._api_token = api_token
        self._hosts = hosts
        self._budget = budget
        self._keep_region = keep_region
        self._region = hosts.region
        self._is_known = is_region_known or len(hosts.regions) == 1
        self._ask_at = 0.0
        self._asking = asyncio.Lock()
        #: One account needed the other region's host for its users (docs/reference/exotel.md §5).
        self._is_ccm_elsewhere = False

    def call_path(self, call_sid: str) -> str:
        """Where a call is, without `.json`; its legs and recording are below."""
        return f"{self.v1}/Calls/{quote(call_sid, safe='')}"

    async def read(
        self, path: str, query: Mapping[str, str] | None = None, *, urgency: Urgency, service: Service = "api"
    ) -> Any:
        """The decoded body of a GET (objects and lists); repeated twice on a passing fault."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(passing),
            stop=stop_after_attempt(3) | stop_after_delay(_REPEAT_READS_FOR_S),
            wait=wait_random_exponential(multiplier=0.2, max=2),
            reraise=True,
        ):
            with attempt:
                return await self._sent("GET", path, query=query, urgency=urgency, service=service)
        raise AssertionError("unreachable: tenacity reraises")  # pragma: no cover

    async def write(
        self,
        method: str,
        path: str,
        *,
        form: Mapping[str, str] | None = None,
        body: Any = None,
        urgency: Urgency,
        service: Service = "api",
        answer_s: float = _READ_S,
        needs_body: bool = True,
    ) -> Any:
        """The decoded body of a request that changes something: `form` urlencoded, or `body` as JSON. Never repeated.

        `answer_s`: how long the answer may take. `needs_body`: whether a success that cannot be read is none.
        """
        headers = {"Content-Type": "application/x-www-form-urlencoded" if body is None else "application/json"}
        # "replace": a lone surrogate, which some client's text may hold, is no UTF-8
        text = urlencode(form or {}, errors="replace") if body is None else json.dumps(body, ensure_ascii=False)
        data = text.encode("utf-8", "replace")
        return await self._sent(
            method,
            path,
            data=data,
            headers=headers,
            urgency=urgency,
            service=service,
            answer_s=answer_s,
            needs_body=needs_body,
        )

    def look_elsewhere(self) -> bool:
        """Asks for users at the other region's host from now on; false where there is no other."""
        if len(self._hosts.regions) < 2:
            return False
        self._is_ccm_elsewhere = not self._is_ccm_elsewhere
        return True

    async def _sent(
        self,
        method: str,
        path: str,
        *,
        urgency: Urgency,
        service: Service,
        query: Mapping[str, str] | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        answer_s: float = _READ_S,
        needs_body: bool = True,
    ) -> Any:
        writes = method != "GET"
        address = await self._address(service, urgency)
        await self._budget.spend("all", kept=KEPT[urgency])
        # urlencode writes `+` as %2B and `;` as %3B, as Exotel wants them (docs/reference/exotel.md §6.4)
        url = address + path + ("?" + urlencode(query, errors="replace") if query else "")
        begun = time.monotonic()
        status: int | None = None
        progress = Progress(None, has_body=data is not None)
        try:
            async with self._session.request(
                method,
                URL(url, encoded=True),
                data=data,
                headers={"Authorization": basic(self._api_key, self._api_token), **(headers or {})},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=_CONNECT_S + answer_s, connect=_CONNECT_S),
                trace_request_ctx=progress,
            ) as response:
                raw = await whole(response)
                status, answered = response.status, response.headers
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # aiohttp's errors may quote the URL, and with it a number: they are named by their type only
            raise lost(error, "Exotel", unsure=writes and progress.left) from None
        finally:
            metrics.crm_answered("exotel", status, time.monotonic() - begun)
        return self._verdict(status, answered, raw, writes=writes, needs_body=needs_body)

    def _verdict(self, status: int, headers: Mapping[str, str], raw: bytes, *, writes: bool, needs_body: bool) -> Any:
        decoded = decode(raw) if raw.strip() else {}
        problem = problem_of(decoded)
        if 200 <= status < 300 and problem is None:
            if decoded is UNREADABLE and needs_body:
                # somebody's page on the way instead of the API: no verdict, whatever the status says
                raise lost(aiohttp.ClientPayloadError(), "Exotel", unsure=writes)
            return decoded
        error = error_of(status, headers, problem, writes=writes, discreet=self._discreet)
        if isinstance(error, RateLimited):
            self._budget.blocked("all", error.retry_after_s or 0.0)
        raise error

    async def _address(self, service: Service, urgency: Urgency) -> str:
        if not self._is_known and time.monotonic() >= self._ask_at:
            async with self._asking:
                if not self._is_known and time.monotonic() >= self._ask_at:
                    await self._find_region(urgency)
        if service == "api":
            return self._hosts.api(self._region)
        elsewhere = next((one for one in self._hosts.regions if one != self._region), self._region)
        return self._hosts.ccm(elsewhere if self._is_ccm_elsewhere else self._region)

    async def _find_region(self, urgency: Urgency) -> None:
        """Asks both regions. Where neither has the account, the request itself says what is wrong."""
        for _ in self._hosts.regions:
            await self._budget.spend("all", kept=KEPT[urgency])
        keys = {"api_key": self._api_key, "api_token": self._api_token}
        found = await discover(self._session, self._hosts, sid=self.sid, **keys)
        if found.region is None:
            self._ask_at = time.monotonic() + _ASK_AGAIN_S
            return
        self._region, self._is_known = found.region, True
        await self._keep_region(found.region)

    def _discreet(self, text: str) -> str:
        """Exotel's words without what they repeat of ours: a key, a number."""
        for secret in (self._api_key, self._api_token):
            text = text.replace(secret.get_secret_value() or HIDDEN, HIDDEN)
        return mask_numbers(redact(text))
