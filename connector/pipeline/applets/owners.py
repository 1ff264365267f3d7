"""Owners: to which agent a caller's contact belongs, asked of the CRMs while the caller waits."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from connector.adapter import Adapter, Agent, Owners, registry
from connector.clock import Clock
from connector.errors import ConfigError, CrmUnavailable, NotFound
from connector.pipeline.applets.cache import Kept
from connector.pipeline.delivery.contacts import Contacts, caller_for
from connector.tenants.model import Connection, Tenant

#: A contact rarely changes hands; who calls again within minutes costs no request.
_FRESH_S: Final = 300.0
#: What a CRM that keeps silent said is better than nobody.
_STALE_S: Final = 24 * 3600.0
#: Looks under way at once per connection: a CRM that hangs must not hold every socket of the client.
_LOOKS: Final = 32
#: An owner who is told later is of no use to the call.
_LOOK_S: Final = 10.0


class ContactOwners:
    """Who owns a caller's contact, per connection and number."""

    def __init__(self, contacts: Contacts, urgent: Callable[[Connection], Adapter[Any] | None], clock: Clock) -> None:
        self._contacts = contacts
        self._urgent = urgent
        #: (connection, number) -> id of a CRM's user; None: nobody's
        self._owners: Kept[tuple[str, str], str | None] = Kept(
            clock, fresh_s=_FRESH_S, stale_s=_STALE_S, looks=_LOOKS, look_s=_LOOK_S, party=lambda key: key[0]
        )

    async def find(self, tenant: Tenant, number: str, until: float) -> tuple[Agent | None, bool]:
        """The agent of the first connection that knows one, and whether a CRM is still being asked.

        `until`: time of the event loop until which the caller can wait.
        """
        asked = [one for one in tenant.connections if one.enabled and _tells(one)]
        for connection in asked:
            self._owners.start(*self._look(tenant, connection, number))
        is_awaited = False
        for connection in asked:
            key, look = self._look(tenant, connection, number)
            known = await self._owners.get(key, look, until - asyncio.get_running_loop().time())
            is_awaited |= self._owners.is_awaited(key)
            owner = next((a for a in connection.agents if known and a.id == known.value and a.phone), None)
            if owner is not None:
                return owner, is_awaited
        return None, is_awaited

    async def close(self) -> None:
        """Ends the looks that are under way."""
        await self._owners.close()

    def _look(self, tenant: Tenant, connection: Connection, number: str) -> tuple[tuple[str, str], Callable[[], Any]]:
        async def look() -> str | None:
            adapter = self._urgent(connection)
            if adapter is None:
                raise CrmUnavailable("The CRM is not asked now: its account is paused, or it does not answer.")
            assert isinstance(adapter, Owners)
            caller = caller_for(number, tenant, connection, adapter)
            if not caller.spellings:
                return None  # all who withhold their number are one contact, which is nobody's
            contact = await self._contacts.find(connection, adapter, caller)
            if contact is None:
                return None
            try:
                return await adapter.find_owner(contact)
            except NotFound:
                await self._contacts.forget(connection, caller, contact)
                return None

        return (connection.id, number), look


def _tells(connection: Connection) -> bool:
    try:
        return issubclass(registry.get(connection.adapter), Owners)
    except ConfigError:
        return False
