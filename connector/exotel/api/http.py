"""The wire to Exotel's API for one tenant: hosts, credentials, the tenant's budget, deadlines, answers -> typed errors."""

from collections.abc import Mapping
from typing import Any, Final, Literal, Protocol

import aiohttp
from pydantic import SecretStr

from connector.exotel.api.hosts import Hosts

#: Who is waiting. The account has one budget of 200 requests a minute; the less urgent, the more of it is left.
Urgency = Literal["caller", "recording", "reconcile", "backfill"]

#: Requests a minute, on all voice APIs together (reference exotel.md §6).
LIMITS: Final[Mapping[str, tuple[int, float]]] = {"all": (200, 60.0)}

#: Share of the budget that each kind of work leaves to what is more urgent.
KEPT: Final[Mapping[Urgency, float]] = {"caller": 0.0, "recording": 0.1, "reconcile": 0.2, "backfill": 0.5}

#: Which of an account's hosts: `api` calls, numbers, SMS; `ccm` users and devices.
Service = Literal["api", "ccm"]


class Budget(Protocol):
    """The tenant's gate, as the client sees it (`pipeline.gate.Gate` is one)."""

    async def spend(self, bucket: str, *, kept: float) -> None:
        """Takes one request, waiting briefly. Raises `RateLimited` where the wait is long. `kept`: see `KEPT`."""

    def blocked(self, bucket: str, for_s: float) -> None:
        """Exotel answered 429: nothing for so many seconds."""


class ExotelHttp:
    """What the clients of one tenant speak through. One per tenant; `urgency` is told with each request.

    Raises `CrmUnavailable` and `RateLimited` (nothing was done), `OutcomeUnknown` (a write may have been), `AuthFailed`,
    `ExotelRefused` (its words, code and reason), `NotFound`, `ConfigError` (a redirect, a private address).
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        sid: str,
        api_key: SecretStr,
        api_token: SecretStr,
        hosts: Hosts,
        budget: Budget,
        country: str = "IN",
    ) -> None:
        self.sid = sid
        self.country = country
        self._session = session
        self._api_key = api_key
        self._api_token = api_token
        self._hosts = hosts
        self._budget = budget

    async def read(
        self, path: str, query: Mapping[str, str] | None = None, *, urgency: Urgency, service: Service = "api"
    ) -> Any:
        """The decoded body of a GET; repeated twice on a passing fault."""
        raise NotImplementedError

    async def write(
        self,
        method: str,
        path: str,
        *,
        form: Mapping[str, str] | None = None,
        body: Any = None,
        urgency: Urgency,
        service: Service = "api",
        timeout_s: float = 20.0,
    ) -> Any:
        """The decoded body of a request that changes something; sent once, never repeated."""
        raise NotImplementedError
