"""The phones on which Exotel rings a user, on and off; one of them is on at a time (docs/reference/exotel.md §7)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from connector.adapter import Agent
from connector.errors import Declined, ExotelRefused, NotFound
from connector.exotel.api.people import People
from connector.exotel.api.records import Device, User
from connector.phone import is_number, is_sip, parse_number
from connector.tenants.model import Tenant

DeviceType = Literal["tel", "sip"]


async def get_user(people: People, tenant: Tenant, named: str) -> User:
    """The user at Exotel: by e-mail or a device's number, also those of an agent of the map who is named so.

    Raises `Declined` (unknown or ambiguous), and what the client raises.
    """
    text = named.strip()
    number = text if is_sip(text) else parse_number(text, tenant.country)
    mapped = [agent for connection in tenant.connections for agent in connection.agents if _is(agent, text, number)]
    email = text if "@" in text and not is_sip(text) else None
    emails = dict.fromkeys(filter(None, [email, *(agent.email for agent in mapped)]))
    uris = dict.fromkeys(filter(None, [number if _rings(number) else None, *(agent.phone for agent in mapped)]))
    for email in emails:
        found = [user async for user in people.users(email=email) if (user.email or "").casefold() == email.casefold()]
        if found:
            return _only(found)
    for uri in uris:
        found = [user async for user in people.users(device_uri=uri) if any(d.uri == uri for d in user.devices)]
        if found:
            return _only(found)
    raise Declined("unknown_agent", "The account at Exotel has no user with this e-mail, number or CRM id.", "agent")


async def switch(people: People, user: User, on: bool, kind: DeviceType | None = None) -> list[Device]:
    """Switches a device on or off, and gives all of the user's as they are then.

    Without a `kind`: off is whatever is on; on is the user's one device. Raises `Declined`, and what the client raises.
    """
    chosen = _choose(user, on, kind)
    now = {device.id: device for device in user.devices}
    for device in chosen:
        try:
            if on:
                now[device.id] = await people.switch_on(user, device.id)
            else:
                now[device.id] = await people.switch_off(user, device.id)
        except ExotelRefused as error:
            raise Declined(error.why, error.message, "device") from error
        except NotFound as error:
            raise Declined("unknown_device", error.message, "device") from error
    if on:  # the client switched off what was on before
        ids = {device.id for device in chosen}
        return [one if one.id in ids else _off(one) for one in now.values()]
    return list(now.values())


def _choose(user: User, on: bool, kind: DeviceType | None) -> Sequence[Device]:
    of_kind = [device for device in user.devices if kind is None or device.type == kind]
    if not of_kind:
        what = f"{kind} device" if kind is not None else "device"
        raise Declined("unknown_device", f"The user has no {what} at Exotel.", "device")
    if not on:
        return [device for device in of_kind if device.available]
    if len(of_kind) > 1:
        ready = [device for device in of_kind if device.verified]
        if kind is None or len(ready) != 1:
            names = ", ".join(f"{device.name or device.id} ({device.type})" for device in of_kind)
            raise Declined("ambiguous_device", f"The user has several devices; say which: {names}.", "device")
        of_kind = ready
    return of_kind


def _only(found: Sequence[User]) -> User:
    if len(found) > 1:
        raise Declined("ambiguous_agent", "Several users at Exotel are named so; say which by e-mail.", "agent")
    return found[0]


def _is(agent: Agent, text: str, number: str | None) -> bool:
    has_email = agent.email is not None and agent.email.casefold() == text.casefold()
    return agent.id == text or has_email or (agent.phone is not None and agent.phone == number)


def _rings(number: str | None) -> bool:
    return is_number(number) or is_sip(number)


def _off(device: Device) -> Device:
    return replace(device, available=False) if device.available else device
