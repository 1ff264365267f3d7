"""CRM users and Exotel users matched by e-mail, else by number: who is rung where. No I/O."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from connector.adapter import Agent
from connector.exotel.api.records import Device, User
from connector.phone import is_number, is_sip, parse_number


def match(crm: Sequence[Agent], exotel: Sequence[User], country: str) -> list[dict[str, Any]]:
    """CRM users as `put_agents` takes them, with a `problem` where nobody can tell which number is theirs alone."""
    phones = {agent.id: _phone_of(agent, exotel, country) for agent in crm}
    shared = Counter(phone for phone, _problem in phones.values() if phone is not None)
    wishes: list[dict[str, Any]] = []
    for agent in crm:
        phone, problem = phones[agent.id]
        if phone is not None and shared[phone] > 1:
            others = ", ".join(id_ for id_, (other, _) in phones.items() if other == phone and id_ != agent.id)
            problem = f"the number {phone} is also that of {others}"
        if problem is not None:
            wishes.append({"crm_id": agent.id, "problem": problem})
        else:
            told = {"name": agent.name, "email": agent.email, "phone": phone, "ids": dict(agent.ids)}
            wishes.append({"crm_id": agent.id, **told})
    return wishes


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
