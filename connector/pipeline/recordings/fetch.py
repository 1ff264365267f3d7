"""Recordings of the tenants: opened for a listener, or read whole for a CRM that takes files."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Final

from connector.errors import ConfigError, CrmError
from connector.exotel.recordings import Account, File, Opened, Signed, opened, whole
from connector.pipeline.gates.exotel import ExotelAccounts
from connector.tenants.model import Tenant

log = logging.getLogger(__name__)

#: Minutes that a link signed by Exotel shall work: the least that it gives, and long enough to begin with.
_SIGNED_MIN: Final = 5
#: Whole files that are held in memory at once.
_TURNS: Final = 2
#: How long after its promised time a file may still come (docs/reference/exotel.md §9: 15 minutes at peak).
LATE_S: Final = 900.0


class Recordings:
    """Fetches recordings with the tenants' own keys, or by links that Exotel signs."""

    def __init__(self, exotel: ExotelAccounts) -> None:
        self._exotel = exotel
        self._turns = _TURNS

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """Whether a whole file may be held in memory now, and is let go of on leaving."""
        if self._turns == 0:
            yield False
            return
        self._turns -= 1
        try:
            yield True
        finally:
            self._turns += 1

    def opened(
        self, tenant: Tenant, call_sid: str, url: str, headers: Mapping[str, str]
    ) -> AbstractAsyncContextManager[Opened]:
        """See `exotel.recordings.opened`."""
        signed = self._signed(tenant, call_sid)
        return opened(self._exotel.session, account_of(tenant), url, headers=headers, signed=signed)

    async def whole(self, tenant: Tenant, call_sid: str, url: str, at_most: int) -> File:
        """See `exotel.recordings.whole`."""
        signed = self._signed(tenant, call_sid)
        return await whole(self._exotel.session, account_of(tenant), url, at_most=at_most, signed=signed)

    def _signed(self, tenant: Tenant, call_sid: str) -> Signed:
        async def ask() -> str | None:
            client = self._exotel.client(tenant, "recording")
            try:
                record = await client.calls.get(call_sid, link_valid_min=_SIGNED_MIN)
            except (CrmError, ConfigError) as error:
                log.info("no signed link", extra={"tenant": tenant.sid, "call_sid": call_sid, "reason": str(error)})
                return None
            return record.signed_recording_url

        return ask


def account_of(tenant: Tenant) -> Account:
    """Whose recordings are fetched, with which keys."""
    return Account(tenant.sid, tenant.api_key, tenant.api_token, tenant.api_url, tenant.recording_hosts)
