"""Agents and their phones."""

from typing import Literal

from aiohttp import web
from pydantic import Field

from connector.acts import agents as acts
from connector.acts import devices
from connector.acts.asker import Asker
from connector.acts.devices import Phones
from connector.web.answers import Refused
from connector.web.api.shapes import Asked, Shown, Sid
from connector.web.keys import OFFICE


class AgentsAsked(Asked):
    """Whose agents."""

    tenant: Sid | None = Field(default=None, description="Account SID; needed with an operator's token.")
    connection: str | None = Field(default=None, description="Name of the connection; all of them without it.")


class AgentIn(Asked):
    """An agent. What is left out stays as it is, null clears it."""

    crm_id: str = Field(max_length=128)
    name: str | None = None
    email: str | None = None
    phone: str | None = Field(default=None, description="A number in any spelling, or `sip:…`.")
    caller_id: str | None = Field(default=None, description="The ExoPhone that customers see.")
    outbound: bool = Field(default=False, description="May place calls.")
    ids: dict[str, str] | None = None
    remove: bool = False


class AgentsPut(AgentsAsked):
    """Agents of one connection to be added, changed or removed; others are left alone."""

    agents: list[AgentIn] = Field(max_length=5000)


class SyncAsked(AgentsAsked):
    """Whose agents are matched with Exotel's users; of one connection, or of all that are enabled."""


class DevicesAsked(Asked):
    """Whose phones."""

    tenant: Sid | None = Field(default=None, description="Account SID; needed with an operator's token.")
    agent: str = Field(min_length=1, max_length=255, description="E-mail, number or CRM id.")


class DeviceSet(DevicesAsked):
    """A phone to be switched on (others go off) or off."""

    on: bool
    device: Literal["tel", "sip"] | None = Field(default=None, description="Which, where there are several.")


class AgentOut(Shown):
    """An agent. `origin`: who owns the row, the tenant file, an upload (`import`) or a sync."""

    connection: str
    crm_id: str
    name: str
    email: str | None
    phone: str | None
    caller_id: str | None
    outbound: bool
    ids: dict[str, str]
    origin: str


class Agents(Shown):
    """Agents, by connection."""

    agents: list[AgentOut]


class LineOut(Shown):
    """What became of one line of an upload."""

    crm_id: str
    result: Literal["added", "changed", "unchanged", "removed", "kept", "refused"]
    reason: str | None


class AgentLines(Shown):
    """What became of an upload, line by line; nothing of a refused line was written."""

    refused: int
    lines: list[LineOut]


class SyncedLine(LineOut):
    """What became of one user of a CRM."""

    connection: str


class Synced(Shown):
    """What became of a sync, user by user; nothing of a refused one was written."""

    refused: int
    lines: list[SyncedLine]


class DeviceOut(Shown):
    """A phone on which Exotel rings a user."""

    id: str
    name: str | None
    type: str | None
    number: str | None
    on: bool | None
    verified: bool | None
    status: str | None


class Devices(Shown):
    """A user of the account at Exotel, with all phones."""

    email: str | None
    devices: list[DeviceOut]


async def list_agents(request: web.Request, asker: Asker, asked: AgentsAsked) -> Agents:
    """Agents of a tenant: who may place calls, whose number is whose."""
    found = await acts.list_agents(request.app[OFFICE], asker, acts.ListAgents(asked.tenant, asked.connection))
    return Agents(agents=[AgentOut.model_validate(row) for row in found])


async def put_agents(request: web.Request, asker: Asker, asked: AgentsPut) -> AgentLines:
    """Adds, changes and removes agents; a bad line is refused and named, the others are written."""
    if asked.connection is None:
        raise Refused("invalid", "Say of which connection.", "connection")
    given = [agent.model_dump(exclude_unset=True) for agent in asked.agents]
    wish = acts.PutAgents(asked.tenant, asked.connection, given)
    lines = await acts.put_agents(request.app[OFFICE], asker, wish)
    return AgentLines(refused=acts.refused(lines), lines=[LineOut.model_validate(line) for line in lines])


async def sync_agents(request: web.Request, asker: Asker, asked: SyncAsked) -> Synced:
    """Matches the CRM's users with Exotel's, by e-mail and number; whom nobody can tell is refused, and why."""
    lines = await acts.sync_agents(request.app[OFFICE], asker, acts.SyncAgents(asked.tenant, asked.connection))
    return Synced(refused=acts.refused(lines), lines=[SyncedLine.model_validate(line) for line in lines])


async def list_devices(request: web.Request, asker: Asker, asked: DevicesAsked) -> Devices:
    """An agent's phones at Exotel, and which is on."""
    wish = devices.ListDevices(asked.tenant, asked.agent)
    return _devices(await devices.list_devices(request.app[OFFICE], asker, wish))


async def set_device(request: web.Request, asker: Asker, asked: DeviceSet) -> Devices:
    """Switches an agent's phone on or off; one is on at a time."""
    wish = devices.SetDevice(asked.tenant, asked.agent, asked.on, asked.device)
    return _devices(await devices.set_device(request.app[OFFICE], asker, wish))


def _devices(found: Phones) -> Devices:
    return Devices(
        email=found.email,
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
            for one in found.devices
        ],
    )
