"""Exotel's side of the tenants: a client per tenant, and the one budget that all of the tenant's work spends."""

import logging
from collections.abc import Mapping

import aiohttp

from connector.clock import Clock
from connector.errors import StoreBusy
from connector.exotel.api import Exotel
from connector.exotel.api.hosts import Hosts
from connector.exotel.api.http import LIMITS, ExotelHttp, Urgency
from connector.pipeline.gates.gate import Gate
from connector.pipeline.gates.quota import Buckets
from connector.store.engine.database import Database
from connector.store.queries.regions import keep_regions
from connector.tenants.directory import Directories
from connector.tenants.model import Tenant

log = logging.getLogger(__name__)


class ExotelAccounts:
    """Tenant -> client, made when it is first needed and made anew when the tenant's keys or addresses change.

    `Pipeline.exotel` is one while the pipeline runs: `pipeline.exotel.client(tenant, "reconcile")`.
    """

    def __init__(
        self,
        db: Database,
        session: aiohttp.ClientSession,
        directories: Directories,
        clock: Clock,
        buckets: Buckets | None = None,
    ) -> None:
        """`buckets`: what replicas share of a tenant's budget (`Accounts.buckets`); a command counts its own."""
        self._db = db
        self._session = session
        self._directories = directories
        self._clock = clock
        self._buckets = buckets
        #: tenant id -> what the client was made of, and the client
        self._clients: dict[int, tuple[Tenant, ExotelHttp]] = {}
        #: The budget outlives a change of keys: it is the account's.
        self._gates: dict[str, Gate] = {}

    def client(self, tenant: Tenant, urgency: Urgency) -> Exotel:
        """The tenant's client. No request is made for it. A tenant of an older directory gets the newest keys."""
        tenant = self._directories.current.tenants_by_id.get(tenant.id, tenant)
        made = self._clients.get(tenant.id)
        if made is None or _differ(made[0], tenant):
            made = self._clients[tenant.id] = (tenant, self._http(tenant))
        return Exotel(made[1], urgency)

    def forget(self) -> None:
        """Drops clients of tenants that are gone; others are made anew where something of theirs changed."""
        known = self._directories.current.tenants_by_id
        self._clients = {tenant_id: made for tenant_id, made in self._clients.items() if tenant_id in known}
        sids = {tenant.sid for tenant in known.values()}
        self._gates = {sid: gate for sid, gate in self._gates.items() if sid in sids}

    @property
    def session(self) -> aiohttp.ClientSession:
        """The session that may reach the operator's own addresses of Exotel (`api_url`, `recording_hosts`)."""
        return self._session

    def gate(self, sid: str) -> Gate:
        """The budget of the account: 200 requests a minute, whoever asks (docs/reference/exotel.md §6)."""
        gate = self._gates.get(sid)
        if gate is None:
            gate = self._gates[sid] = Gate(f"exotel:{sid}", LIMITS, self._clock, buckets=self._buckets)
        return gate

    def _http(self, tenant: Tenant) -> ExotelHttp:
        async def keep(region: str) -> None:
            try:
                await self._db.write(keep_regions, (tenant.id, region))
            except StoreBusy as error:
                log.warning("a region could not be kept", extra={"tenant": tenant.sid, "reason": str(error)})

        return ExotelHttp(
            self._session,
            sid=tenant.sid,
            api_key=tenant.api_key,
            api_token=tenant.api_token,
            hosts=Hosts(tenant.region, tenant.api_url),
            budget=self.gate(tenant.sid),
            country=tenant.country,
            is_region_known=tenant.region_is != "guessed",
            keep_region=keep,
        )


def _differ(made: Tenant, now: Tenant) -> bool:
    return made is not now and _wire_of(made) != _wire_of(now)


def _wire_of(tenant: Tenant) -> tuple[str, str | Mapping[str, str] | None, str, str, str]:
    keys = (tenant.api_key.get_secret_value(), tenant.api_token.get_secret_value())
    return (tenant.region, tenant.api_url, tenant.country, *keys)
