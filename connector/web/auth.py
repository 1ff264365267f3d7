"""Bearer tokens of the API: whose they are, and what they may do."""

from typing import Final, Literal

from aiohttp import hdrs, web

from connector.access.users import hash_of
from connector.store.engine.database import Database
from connector.store.queries import views
from connector.store.queries.views import TokenRow
from connector.tenants.model import Tenant
from connector.web.answers import Refused
from connector.web.keys import DIRECTORIES

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


async def the_tenant(request: web.Request, token: TokenRow, sid: str | None) -> Tenant:
    """The tenant that is asked for, which for a tenant's token can only be its own. Raises `Refused` (404)."""
    directories = request.app[DIRECTORIES]
    directory = directories.current
    if sid is None and token.tenant_id is None:
        raise Refused("invalid", "Say whose: the account's SID.", "tenant")
    if sid is not None and sid not in directory.tenants:
        directory = await directories.refresh()
    tenant = directory.tenants.get(sid) if sid is not None else directory.tenants_by_id.get(token.tenant_id or 0)
    if tenant is None or token.tenant_id not in (None, tenant.id):
        raise not_found("tenant", "tenant")
    return tenant


def not_found(what: str, field: str) -> Refused:
    """The answer to what does not exist, or belongs to somebody else."""
    return Refused("not_found", f"There is no such {what}.", field)
