"""Bearer tokens of the API: whose they are, and what they may do."""

from typing import Final, Literal

from aiohttp import hdrs, web

from connector.access.users import hash_of
from connector.store.engine.database import Database
from connector.store.queries import views
from connector.store.queries.views import TokenRow
from connector.web.answers import Refused

Scope = Literal["read", "replay", "call"]

_CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="connector"'}


async def authenticate(request: web.Request, db: Database, scope: Scope) -> TokenRow:
    """The token that the request carries. Raises `Refused`: 401 without a valid one, 403 where it may not do this.

    The store knows SHA-256s only, so the look-up's time tells nothing of a token.
    """
    scheme, _, value = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    token = None
    if scheme.lower() == "bearer" and value.strip():
        token = await db.read(views.token, hash_of(value.strip()))
    if token is None:
        raise Refused("unauthorized", "Send a valid API token as Authorization: Bearer.", headers=_CHALLENGE)
    if scope not in token.scopes:
        raise Refused("forbidden", f"This token has no scope {scope!r}.")
    return token
