"""What a call that we are asked to place comes to: who is rung, from which number, and whether it may be now.

No I/O. Everything that is wrong with a wish is a `Declined` that names the field, before anybody is rung.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from connector.adapter import Agent
from connector.errors import Declined
from connector.phone import is_number, parse_number
from connector.tenants.model import Connection, Tenant


@dataclass(frozen=True, slots=True)
class DialWish:
    """A call as it is asked for: an agent of a connection (CRM id, e-mail or number), and any number."""

    connection: str
    agent: str
    number: str
    custom_field: str | None = None
    #: The client's own word for this one wish: asked again, it gets the same answer.
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Dial:
    """What Exotel is told: the agent's number is rung first (From), then the customer's (To)."""

    connection: Connection
    agent: Agent
    agent_number: str
    customer: str
    caller_id: str


def dial_of(tenant: Tenant, wish: DialWish, now: float) -> Dial:
    """The call that the wish comes to at `now` (Unix seconds). Raises `Declined`."""
    connection = tenant.enabled_connection(wish.connection)
    agent = get_agent(connection, wish.agent, tenant.country)
    if not agent.outbound:
        raise Declined("agent_not_allowed", f"{_name(agent)} may not place calls: set outbound: true.", "agent")
    if agent.phone is None:
        raise Declined("no_agent_number", f"No number is known of {_name(agent)}: set phone.", "agent")
    customer = parse_number(wish.number, tenant.country)
    if not is_number(customer) or customer is None:
        raise Declined("invalid_number", "This is no phone number that can be called.", "number")
    if customer == agent.phone:
        raise Declined("invalid_number", "This is the agent's own number.", "number")
    dial = Dial(connection, agent, agent.phone, customer, _caller_id(tenant, agent))
    _now_is_allowed(tenant, now)
    return dial


def get_agent(connection: Connection, text: str, country: str) -> Agent:
    """The agent of the map with this CRM id, e-mail or number. Raises `Declined`: none, or several."""
    named = text.strip()
    for found in (
        [agent for agent in connection.agents if agent.id == named],
        [agent for agent in connection.agents if agent.email and agent.email.casefold() == named.casefold()],
        [agent for agent in connection.agents if agent.phone and agent.phone == parse_number(named, country)],
    ):
        if found:
            return _only(found)
    raise Declined(
        "unknown_agent",
        f"No agent of {connection.name} has this CRM id, e-mail or number; `connector agents` lists them.",
        "agent",
    )


def _only(found: Sequence[Agent]) -> Agent:
    if len(found) > 1:
        ids = ", ".join(agent.id for agent in found)
        raise Declined("ambiguous_agent", f"Several agents are named so; say which by CRM id: {ids}.", "agent")
    return found[0]


def _caller_id(tenant: Tenant, agent: Agent) -> str:
    if agent.caller_id is not None:
        return agent.caller_id
    if len(tenant.exophones) == 1:
        return next(iter(tenant.exophones))
    known = ", ".join(tenant.exophones.values()) or "none"
    raise Declined(
        "no_caller_id",
        f"Which ExoPhone shall the customer see? Set caller_id of {_name(agent)} (the tenant file names: {known}).",
        "caller_id",
    )


def _now_is_allowed(tenant: Tenant, now: float) -> None:
    hours = tenant.calls.hours
    if hours is None:
        return
    at = datetime.fromtimestamp(now, UTC)
    allowed = hours.next_after(at, ZoneInfo(tenant.time_zone))
    if allowed > at:
        raise Declined(
            "outside_hours",
            f"Calls are not placed at this time; the next allowed time is {allowed.isoformat()}.",
            retry_at=allowed.timestamp(),
        )


def _name(agent: Agent) -> str:
    return f"the agent {agent.name or agent.id}"
