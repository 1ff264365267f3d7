"""The API's part for agents and their phones: `connector.web.api.routes` has its routes."""

from aiohttp import web

from connector.errors import AuthFailed, CrmError, CrmUnavailable, Declined
from connector.exotel.api.people import People
from connector.exotel.api.records import Device, User
from connector.pipeline.click_to_call import devices
from connector.pipeline.click_to_call.wish import get_connection
from connector.store.engine.database import single
from connector.store.queries.views import TokenRow
from connector.tenants import agents
from connector.tenants.agents import Owner
from connector.tenants.model import Tenant
from connector.web.answers import Refused
from connector.web.api.shapes import (
    AgentLines,
    AgentOut,
    Agents,
    AgentsAsked,
    AgentsPut,
    DeviceOut,
    Devices,
    DevicesAsked,
    DeviceSet,
    LineOut,
)
from connector.web.auth import the_tenant
from connector.web.keys import DATABASE, DIRECTORIES, PIPELINE


async def list_agents(request: web.Request, token: TokenRow, asked: AgentsAsked) -> Agents:
    """Agents of a tenant: who may place calls, whose number is whose."""
    tenant = await the_tenant(request, token, asked.tenant)
    chosen = tenant.connections if asked.connection is None else (get_connection(tenant, asked.connection),)
    found = []
    for connection in chosen:
        rows = await request.app[DATABASE].read(agents.read_agents, connection.id)
        found += [AgentOut.model_validate({**row, "connection": connection.name}) for row in rows]
    return Agents(agents=found)


async def put_agents(request: web.Request, token: TokenRow, asked: AgentsPut) -> AgentLines:
    """Adds, changes and removes agents; a bad line is refused and named, the others are written."""
    tenant = await the_tenant(request, token, asked.tenant)
    if asked.connection is None:
        raise Refused("invalid", "Say of which connection.", "connection")
    connection = get_connection(tenant, asked.connection)
    wishes = [agent.model_dump(exclude_unset=True) for agent in asked.agents]
    owner = Owner(tenant.id, connection.id, tenant.country)
    db = request.app[DATABASE]
    lines = await db.write(single(agents.put_agents), (owner, wishes, "import", f"api:{token.id}"))
    await request.app[DIRECTORIES].refresh()
    return AgentLines(
        refused=sum(line.result == "refused" for line in lines),
        lines=[LineOut(crm_id=line.crm_id, result=line.result, reason=line.reason) for line in lines],
    )


async def list_devices(request: web.Request, token: TokenRow, asked: DevicesAsked) -> Devices:
    """An agent's phones at Exotel, and which is on."""
    tenant = await the_tenant(request, token, asked.tenant)
    try:
        user = await devices.get_user(_people(request, tenant), tenant, asked.agent)
    except CrmError as error:
        raise _declined(error) from error
    return _devices(user, user.devices)


async def set_device(request: web.Request, token: TokenRow, asked: DeviceSet) -> Devices:
    """Switches an agent's phone on or off; one is on at a time."""
    tenant = await the_tenant(request, token, asked.tenant)
    people = _people(request, tenant)
    try:
        user = await devices.get_user(people, tenant, asked.agent)
        return _devices(user, await devices.switch(people, user, asked.on, asked.device))
    except CrmError as error:
        raise _declined(error) from error


def _people(request: web.Request, tenant: Tenant) -> People:
    return request.app[PIPELINE].exotel.client(tenant, "caller").people


def _declined(error: CrmError) -> Declined:
    if isinstance(error, CrmUnavailable):
        return Declined("exotel_unavailable", error.message)
    return Declined("exotel_credentials" if isinstance(error, AuthFailed) else "refused", error.message)


def _devices(user: User, all_of_them: tuple[Device, ...] | list[Device]) -> Devices:
    return Devices(
        email=user.email,
        devices=[
            DeviceOut(
                id=one.id,
                name=one.name,
                type=one.type,
                number=one.uri,
                on=one.available,
                verified=one.verified,
                status=one.status,
            )
            for one in all_of_them
        ],
    )
