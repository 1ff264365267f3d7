"""OAuth 2 access tokens: fetched by refresh token before they run out, one refresh at a time per credential.

What is sent and how answers are read is `oauthlib`'s; here is who refreshes and where the result is kept.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import aiohttp
from oauthlib.oauth2 import OAuth2Error, WebApplicationClient

from connector.adapter.records import Grant
from connector.errors import AuthFailed, CrmUnavailable, RateLimited

#: A token that runs out within this time is not used any more: the request has to arrive, too.
_MARGIN_S: Final = 120.0
_TIMEOUT_S: Final = 15.0
_UNTOLD_S: Final = 1800.0


@dataclass(frozen=True, slots=True)
class Token:
    """An access token and when it runs out, Unix seconds."""

    access: str = field(repr=False)
    expires_at: float
    #: The refresh token that the answer brought, where it brought a new one.
    refresh: str | None = field(default=None, repr=False)

    def is_fresh(self, now: float) -> bool:
        """Whether a request may leave with it."""
        return now < self.expires_at - _MARGIN_S


class Tokens(Protocol):
    """Where `CrmHttp` gets access tokens from."""

    async def token(self, grant: Grant, *, refused: str | None = None) -> str:
        """An access token that is not `refused`. Raises `AuthFailed` where the refresh token is not taken any more."""


class MemoryTokens:
    """Tokens kept for as long as the object lives: for `check`, and for tests of adapters."""

    def __init__(self, client: aiohttp.ClientSession) -> None:
        self._client = client
        self._tokens: dict[str, Token] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def token(self, grant: Grant, *, refused: str | None = None) -> str:
        """See `Tokens.token`."""
        async with self._locks.setdefault(grant.identity, asyncio.Lock()):
            known = self._tokens.get(grant.identity)
            if known is None or known.access == refused or not known.is_fresh(time.time()):
                known = self._tokens[grant.identity] = await refresh(self._client, grant)
            return known.access


async def refresh(client: aiohttp.ClientSession, grant: Grant, now: Callable[[], float] = time.time) -> Token:
    """Exchanges the refresh token; the new one's end is told by the clock `now`.

    Raises `AuthFailed`, `RateLimited`, `CrmUnavailable`; nothing names a token.
    """
    asking = WebApplicationClient(grant.client_id, refresh_token=grant.refresh_token)
    # All values go in the body: a query would land in somebody's log (docs/reference/zoho_desk.md §2.3).
    body = asking.prepare_refresh_body(client_id=grant.client_id, client_secret=grant.client_secret)
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    try:
        async with client.post(
            grant.token_url,
            data=body,
            headers=headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
        ) as response:
            status, text = response.status, await response.text(errors="replace")
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise CrmUnavailable(
            "The CRM's login service could not be reached.", log=f"token endpoint: {type(error).__name__}"
        ) from None
    if status == 429 or "too many requests" in text.lower():
        words = "The CRM's login service refuses further refreshes for now."
        raise RateLimited(words, status=status, retry_after_s=60.0)
    if status >= 500:
        raise CrmUnavailable("The CRM's login service does not work at the moment.", status=status)
    try:
        answer: dict[str, Any] = asking.parse_request_body_response(text)
    except (OAuth2Error, ValueError, Warning) as error:
        code = getattr(error, "error", None) or type(error).__name__
        raise AuthFailed(
            f"The CRM does not take the refresh token any more ({code}): connect the account again.", status=status
        ) from None
    expires_in = str(answer.get("expires_in"))
    lasts_s = float(expires_in) if expires_in.isdecimal() else _UNTOLD_S
    renewed = answer.get("refresh_token")
    return Token(
        str(answer["access_token"]),
        now() + lasts_s,
        str(renewed) if renewed and renewed != grant.refresh_token else None,
    )
