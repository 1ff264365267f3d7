"""Lines: which of Exotel's users can be rung now: whose device is on, and who is not on a call."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from connector.clock import Clock
from connector.exotel.api.records import User
from connector.pipeline.applets.cache import Kept
from connector.tenants.model import Tenant

#: So long a list of users is taken for true; a larger account costs a request per 50 users and look.
_FRESH_S: Final = 5.0
#: An older list says little of who talks, but still who is at work.
_STALE_S: Final = 60.0
#: One list of a tenant at a time.
_LOOKS: Final = 1
_LOOK_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class PhoneLine:
    """A user of Exotel's. `uri`: the device that is on, None where none is; `call`: CallSid of the call they are on."""

    uri: str | None
    busy: bool
    call: str | None


class Lines:
    """The users of tenants by the numbers of all their devices."""

    def __init__(self, list_users: Callable[[Tenant], Awaitable[list[User]]], clock: Clock) -> None:
        self._list_users = list_users
        self._lines: Kept[int, Mapping[str, PhoneLine]] = Kept(
            clock, fresh_s=_FRESH_S, stale_s=_STALE_S, looks=_LOOKS, look_s=_LOOK_S, party=lambda tenant_id: tenant_id
        )

    async def find(self, tenant: Tenant, until: float) -> Mapping[str, PhoneLine]:
        """Number (E.164 or `sip:`) -> line. What Exotel does not tell in time is not there: such a number is rung."""

        async def look() -> Mapping[str, PhoneLine]:
            return lines_of(await self._list_users(tenant))

        known = await self._lines.get(tenant.id, look, until - asyncio.get_running_loop().time())
        return {} if known is None else known.value

    async def close(self) -> None:
        """Ends the looks that are under way."""
        await self._lines.close()


def lines_of(users: list[User]) -> Mapping[str, PhoneLine]:
    """The users' lines by the numbers of their devices."""
    lines: dict[str, PhoneLine] = {}
    for user in users:
        if all(device.available is None for device in user.devices):
            continue  # whether they can be rung, nobody told
        on = user.on
        line = PhoneLine(on.uri if on else None, bool(on and on.status == "busy"), user.active_call)
        lines |= {device.uri: line for device in user.devices if device.uri}
    return lines


def target(number: str, lines: Mapping[str, PhoneLine], call_sid: str | None) -> str | None:
    """What is dialled to reach the agent with this number; None where the agent is away or talks to somebody else.

    A number that is no user's is dialled as it is: nobody knows better.
    """
    line = lines.get(number)
    if line is None:
        return number
    if line.uri is None or line.busy or line.call not in (None, call_sid):
        return None
    return line.uri
