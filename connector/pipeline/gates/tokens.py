"""Access tokens that connections and replicas share: one refresh at a time per credential, kept sealed in the store."""

import asyncio
import uuid
from dataclasses import replace
from typing import Any, Final

import aiohttp

from connector.adapter import Grant
from connector.adapter.oauth import Token, refresh
from connector.clock import Clock
from connector.errors import AuthFailed, CrmUnavailable
from connector.store.engine.database import Database
from connector.store.engine.held import Hold
from connector.store.queries import refreshes
from connector.store.queries.refreshes import Refreshed, StoredCredential
from connector.store.secrets import SecretBox

#: Longer than a refresh may take.
_LEASE_S: Final = 20.0
#: Others wait for a refresh so long, then their request is tried later.
_PATIENCE_S: Final = 5.0
_LOOK_EVERY_S: Final = 0.1


class SharedTokens:
    """Access tokens by credential."""

    def __init__(self, db: Database, box: SecretBox, client: aiohttp.ClientSession, clock: Clock) -> None:
        self._db = db
        self._box = box
        self._client = client
        self._clock = clock
        self._holder = uuid.uuid4().hex[:12]
        self._known: dict[int, Token] = {}
        self._locks: dict[int, asyncio.Lock] = {}

    def of(self, credential_id: int) -> "CredentialTokens":
        """The tokens of one credential, as `CrmHttp` asks for them."""
        return CredentialTokens(self, credential_id)

    async def token(self, credential_id: int, grant: Grant, refused: str | None) -> str:
        """See `oauth.Tokens.token`; `CrmUnavailable` where another process takes too long to refresh."""
        known = self._known.get(credential_id)
        if known is not None and self._serves(known, refused):
            return known.access
        async with self._locks.setdefault(credential_id, asyncio.Lock()):
            known = self._known.get(credential_id)
            if known is None or not self._serves(known, refused):
                known = self._known[credential_id] = await self._renewed(credential_id, grant, refused)
            return known.access

    def _serves(self, token: Token, refused: str | None) -> bool:
        return token.access != refused and token.is_fresh(self._clock.now())

    async def _renewed(self, credential_id: int, grant: Grant, refused: str | None) -> Token:
        until = self._clock.monotonic() + _PATIENCE_S
        while True:
            now = self._clock.now()
            wish = Hold(credential_id, self._holder, now, now + _LEASE_S)
            standing = await self._db.write(refreshes.claim, wish)
            if standing is None:
                raise AuthFailed("The connection's credentials were deleted.")
            content = self._box.open(standing.sealed)
            stored = _token_of(content)
            if stored is not None and self._serves(stored, refused):
                if standing.granted:
                    await self._db.write(refreshes.release, (credential_id, self._holder))
                return stored
            if standing.granted:
                fresh = await self._refresh(credential_id, grant, standing, content)
                if fresh is not None:
                    return fresh
                continue  # another process, or a new login, was faster: what it stored is in force
            if self._clock.monotonic() > until:
                raise CrmUnavailable("Another process is renewing the CRM's login.")
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _refresh(
        self, credential_id: int, grant: Grant, standing: StoredCredential, content: dict[str, Any]
    ) -> Token | None:
        """Refreshes and stores. None where the credential was changed meanwhile: it has to be read anew."""
        settings = content["settings"]
        # A refresh may have brought a new refresh token since the connection's settings were read.
        grant = replace(grant, refresh_token=settings.get("refresh_token", grant.refresh_token))
        try:
            fresh = await refresh(self._client, grant, self._clock.now)
        except BaseException:
            await self._db.write(refreshes.release, (credential_id, self._holder))
            raise
        if fresh.refresh is not None:
            settings = {**settings, "refresh_token": fresh.refresh}
        sealed = self._box.seal(
            {**content, "settings": settings, "token": {"access": fresh.access, "expires_at": fresh.expires_at}}
        )
        row = Refreshed(
            credential_id,
            self._holder,
            standing.version,
            sealed,
            fresh.expires_at,
            is_rotated=fresh.refresh is not None,
        )
        return fresh if await self._db.write(refreshes.keep, row) else None


class CredentialTokens:
    """The tokens of one credential. Implements `oauth.Tokens`."""

    def __init__(self, shared: SharedTokens, credential_id: int) -> None:
        self._shared = shared
        self._credential_id = credential_id

    async def token(self, grant: Grant, *, refused: str | None = None) -> str:
        """See `oauth.Tokens.token`."""
        return await self._shared.token(self._credential_id, grant, refused)


def _token_of(content: dict[str, Any]) -> Token | None:
    kept = content.get("token")
    return Token(kept["access"], kept["expires_at"]) if kept else None
