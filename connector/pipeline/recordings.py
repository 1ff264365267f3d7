"""Recordings of the tenants: opened for a listener, or read whole for a CRM that takes files."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

import aiohttp

from connector.exotel.recordings import Account, File, Opened, opened, whole
from connector.tenants import Tenant


class Recordings:
    """Fetches recordings with the tenants' own keys."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    def opened(
        self, tenant: Tenant, call_sid: str, url: str, headers: Mapping[str, str]
    ) -> AbstractAsyncContextManager[Opened]:
        """See `exotel.recordings.opened`."""
        return opened(self._session, account_of(tenant), url, headers=headers)

    async def whole(self, tenant: Tenant, call_sid: str, url: str, at_most: int) -> File:
        """See `exotel.recordings.whole`."""
        return await whole(self._session, account_of(tenant), url, at_most=at_most)


def account_of(tenant: Tenant) -> Account:
    """Whose recordings are fetched, with which keys."""
    return Account(tenant.sid, tenant.api_key, tenant.api_token, tenant.api_url, tenant.recording_hosts)
