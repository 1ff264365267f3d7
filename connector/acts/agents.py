"""The agent map: who answers, who may call. Listed, changed line by line, matched with Exotel's users."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connector.acts.asker import Asker, act, the_tenant
from connector.acts.devices import declined
from connector.acts.office import Office
from connector.errors import AuthFailed, CrmError, CrmUnavailable, Declined
from connector.store.engine.database import single
from connector.tenants import agents, agents_match
from connector.tenants.agents import Line, Origin, Owner
from connector.tenants.model import Connection, Tenant


@dataclass(frozen=True, slots=True)
class ListAgents:
    """Whose agents: of one connection, enabled or not, or of all."""

    tenant: str | None
    connection: str | None = None


@dataclass(frozen=True, slots=True)
class PutAgents:
    """Agents of one connection to be added, changed or removed, as `tenants.agents.put_agents` takes them.

    `connection` may be left out where the tenant has one that is enabled.
    """

    tenant: str | None
    connection: str | None
    agents: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class SyncAgents:
    """Whose agents are matched: of one connection, or of all that are enabled."""

    tenant: str | None
    connection: str | None = None


@dataclass(frozen=True, slots=True)
class ConnectionLine(Line):
    """What became of one line of a connection's map."""

    connection: str = ""


@act("read")
async def list_agents(office: Office, asker: Asker, wish: ListAgents) -> list[Mapping[str, Any]]:
    """Rows of the map, each with the name of its `connection`."""
    tenant = await the_tenant(office, asker, wish.tenant)
    chosen = tenant.connections if wish.connection is None else (tenant.known_connection(wish.connection),)
    return [
        {**row, "connection": one.name} for one in chosen for row in await office.db.read(agents.read_agents, one.id)
    ]


@act("call")
async def put_agents(office: Office, asker: Asker, wish: PutAgents) -> list[ConnectionLine]:
    """Adds, changes and removes agents; a bad line is refused and named, the others are written."""
    tenant = await the_tenant(office, asker, wish.tenant)
    name = wish.connection
    connection = tenant.known_connection(name) if name is not None else tenant.enabled_connection(None)
    lines = await _put(office, asker, tenant, connection, wish.agents, "import")
    await office.directories.refresh()
    return lines


@act("call")
async def sync_agents(office: Office, asker: Asker, wish: SyncAgents) -> list[ConnectionLine]:
    """Matches the CRM's users with Exotel's, by e-mail and number; what nobody can tell is refused, and says why."""
    tenant = await the_tenant(office, asker, wish.tenant)
    chosen = [one for one in tenant.connections if one.enabled]
    if wish.connection is not None:
        chosen = [tenant.enabled_connection(wish.connection)]
    try:
        users = await office.means.exotel.client(tenant, "reconcile").people.list_users()
    except CrmError as error:
        raise declined(error) from error
    wishes: dict[str, list[dict[str, Any]]] = {}
    for one in chosen:  # all are asked before anything is written
        try:
            found = await office.means.adapter(one).list_agents()
        except CrmError as error:
            raise _crm_declined(one, error) from error
        wishes[one.id] = agents_match.match(found, users, tenant.country)
    lines = [line for one in chosen for line in await _put(office, asker, tenant, one, wishes[one.id], "sync")]
    await office.directories.refresh()
    return lines


def refused(lines: Sequence[Line]) -> int:
    """How many lines were refused."""
    return sum(line.result == "refused" for line in lines)


async def _put(
    office: Office,
    asker: Asker,
    tenant: Tenant,
    connection: Connection,
    given: Sequence[Mapping[str, Any]],
    origin: Origin,
) -> list[ConnectionLine]:
    owner = Owner(tenant.id, connection.id, tenant.country)
    lines = await office.db.write(single(agents.put_agents), (owner, given, origin, asker.name))
    return [ConnectionLine(line.crm_id, line.result, line.reason, connection.name) for line in lines]


def _crm_declined(connection: Connection, error: CrmError) -> Declined:
    if isinstance(error, CrmUnavailable):
        code = "crm_unavailable"
    else:
        code = "crm_credentials" if isinstance(error, AuthFailed) else "refused"
    return Declined(code, f"{connection.name}: {error.message}", "connection")
