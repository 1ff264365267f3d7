"""Whose an API request is: a tenant's token reaches that tenant alone, an operator's names one."""

from aiohttp import web

from connector.store.queries.views import TokenRow
from connector.tenants.model import Tenant
from connector.web.answers import Refused
from connector.web.keys import DIRECTORIES


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
