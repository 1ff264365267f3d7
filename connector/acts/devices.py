"""The phones on which Exotel rings a user: listed, switched on and off."""

from collections.abc import Sequence
from dataclasses import dataclass

from connector.acts.asker import Asker, act, the_tenant
from connector.acts.office import Office
from connector.errors import AuthFailed, CrmError, CrmUnavailable, Declined
from connector.exotel.api.records import Device
from connector.pipeline.click_to_call import devices
from connector.pipeline.click_to_call.devices import DeviceType
from connector.store.engine.database import single
from connector.store.queries import trail


@dataclass(frozen=True, slots=True)
class ListDevices:
    """Whose phones: an agent by e-mail, number or CRM id."""

    tenant: str | None
    agent: str


@dataclass(frozen=True, slots=True)
class SetDevice:
    """A phone to be switched on (others go off) or off; `device` says which, where there are several."""

    tenant: str | None
    agent: str
    on: bool
    device: DeviceType | None = None


@dataclass(frozen=True, slots=True)
class Phones:
    """A user of the account at Exotel, with all phones."""

    email: str | None
    devices: Sequence[Device]


@act("read")
async def list_devices(office: Office, asker: Asker, wish: ListDevices) -> Phones:
    """An agent's phones at Exotel, and which is on."""
    tenant = await the_tenant(office, asker, wish.tenant)
    people = office.means.exotel.client(tenant, "caller").people
    try:
        user = await devices.get_user(people, tenant, wish.agent)
    except CrmError as error:
        raise declined(error) from error
    return Phones(user.email, user.devices)


@act("call")
async def set_device(office: Office, asker: Asker, wish: SetDevice) -> Phones:
    """Switches an agent's phone on or off; one is on at a time."""
    tenant = await the_tenant(office, asker, wish.tenant)
    people = office.means.exotel.client(tenant, "caller").people
    try:
        user = await devices.get_user(people, tenant, wish.agent)
        found = await devices.switch(people, user, wish.on, wish.device)
    except CrmError as error:
        raise declined(error) from error
    detail = {"agent": wish.agent, "on": wish.on, "device": wish.device}
    await office.db.write(single(trail.record), (asker.name, "device.set", tenant.id, detail))
    return Phones(user.email, found)


def declined(error: CrmError) -> Declined:
    """What Exotel's refusal of a question is for whoever asked."""
    if isinstance(error, CrmUnavailable):
        return Declined("exotel_unavailable", error.message)
    return Declined("exotel_credentials" if isinstance(error, AuthFailed) else "refused", error.message)
