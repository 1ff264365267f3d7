"""Exotel's side of the tenants: a client per tenant, and the one budget that all of the tenant's work spends."""

from collections.abc import Callable

import aiohttp

from connector.clock import Clock
from connector.exotel.api import Exotel
from connector.exotel.api.http import Urgency
from connector.store.database import Database
from connector.tenants import Directory, Tenant


class ExotelAccounts:
    """Tenant -> client, made when it is first needed and made anew when the tenant's keys or addresses change.

    `Pipeline.exotel` is one while the pipeline runs: `pipeline.exotel.client(tenant, "reconcile")`.
    """

    def __init__(
        self, db: Database, session: aiohttp.ClientSession, directory: Callable[[], Directory], clock: Clock
    ) -> None:
        self._db = db
        self._session = session
        self._directory = directory
        self._clock = clock

    def client(self, tenant: Tenant, urgency: Urgency) -> Exotel:
        """The tenant's client. No request is made for it."""
        raise NotImplementedError

    @property
    def session(self) -> aiohttp.ClientSession:
        """The session that may reach the operator's own addresses of Exotel (`api_url`, `recording_hosts`)."""
        return self._session
