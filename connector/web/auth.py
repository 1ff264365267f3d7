"""Bearer tokens of the API: whose they are. What they may do is the acts' to say."""

from typing import Final

from aiohttp import hdrs, web

from connector.access.users import hash_of
from connector.acts.asker import Asker
from connector.store.queries import views
from connector.web.answers import Refused
from connector.web.keys import DATABASE

_CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="connector"'}


async def authenticate(request: web.Request) -> Asker:
    """Who asks, by the token that the request carries. Raises `Refused` (401) without a valid one.

    The store knows SHA-256s only, so the look-up's time tells nothing of a token.
    """
    scheme, _, value = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    token = None
    if scheme.lower() == "bearer" and value.strip():
        token = await request.app[DATABASE].read(views.token, hash_of(value.strip()))
    if token is None:
        raise Refused("unauthorized", "Send a valid API token as Authorization: Bearer.", headers=_CHALLENGE)
    return Asker(f"api:{token.id}", token.tenant_id, token.scopes)
