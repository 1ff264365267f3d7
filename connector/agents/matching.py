"""CRM users and Exotel users matched by e-mail, else by number: who is rung where. No I/O."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from connector.adapter import Agent
from connector.agents.stored import Line
from connector.exotel.api.records import Device, User
from connector.phone import is_number, is_sip, parse_number


def match(crm: Sequence[Agent], exotel: Sequence[User], country: str) -> tuple[list[dict[str, Any]], list[Line]]:
    """Agents as `put_agents` takes them, and a line for every CRM user who cannot be one, with the reason."""
    found: list[dict[str, Any]] = []
    lines: list[Line] = []
    for agent in crm:
        phone, problem = _phone_of(agent, exotel, country)
        if problem is not None:
            lines.append(Line(agent.id, "refused", problem))
        else:
            wish = {"crm_id": agent.id, "name": agent.name, "email": agent.email, "phone": phone, "ids": agent.ids}
            found.append(wish)
    shared: dict[Any, list[Any]] = defaultdict(list)
    for wish in found:
        shared[wish["phone"]].append(wish["crm_id"])
    for phone, ids in shared.items():
        if len(ids) > 1:
            words = f"the number {phone} is that of several users: {', '.join(ids)}"
            lines += [Line(crm_id, "refused", words) for crm_id in ids]
    return [wish for wish in found if len(shared[wish["phone"]]) == 1], lines


def _phone_of(agent: Agent, exotel: Sequence[User], country: str) -> tuple[str | None, str | None]:
    """Where Exotel rings a CRM user, or why nobody can tell."""
    own = agent.phone if is_sip(agent.phone) else parse_number(agent.phone, country)
    by_email = [user for user in exotel if agent.email and (user.email or "").casefold() == agent.email.casefold()]
    by_number = [user for user in exotel if own and any(device.uri == own for device in user.devices)]
    users = by_email or by_number
    if len(users) > 1:
        what = "e-mail" if by_email else "number"
        return None, f"several users of Exotel have this {what}: {', '.join(user.id for user in users)}"
    if by_email and by_number and by_email[0].id not in {user.id for user in by_number}:
        other = by_number[0].email or by_number[0].id
        return None, f"the e-mail is one user's at Exotel and the number another's ({other}): correct either"
    if users:
        device = _device_of(users[0])
        if device is None:
            return None, "the user at Exotel has no device"
        if not (is_number(device.uri) or is_sip(device.uri)):
            return None, f"the device at Exotel has {device.uri!r}, which is no number"
        return device.uri, None
    if own and not (is_number(own) or is_sip(own)):
        return None, f"the number in the CRM is none: {agent.phone!r}"
    if own:
        return own, None
    return None, f"no user of Exotel has the e-mail {agent.email}" if agent.email else "has neither e-mail nor number"


def _device_of(user: User) -> Device | None:
    """The device that is on, else a verified telephone, else the first."""
    phones = [device for device in user.devices if device.type == "tel" and device.verified]
    return user.on or next(iter(phones), None) or next(iter(user.devices), None)
