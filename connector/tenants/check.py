"""`connector check`: proves a tenant's keys, at its CRMs and at Exotel, before a call depends on them."""

import re
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from connector import outbound
from connector.adapter import Adapter, Home, registry
from connector.adapter.http import CrmHttp, Unlimited
from connector.config import Config
from connector.errors import ConfigError, CrmError
from connector.exotel.api.hosts import Hosts, discover
from connector.store.secrets import SecretBox
from connector.tenants.model import Connection, Tenant, exotel_urls


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `missing`: what is in order but incomplete, each with the way out."""

    what: str
    is_good: bool
    words: str
    missing: tuple[str, ...] = ()

    @property
    def is_fine(self) -> bool:
        """Whether nobody has to do anything."""
        return self.is_good and not self.missing


async def check_tenant(
    tenant: Tenant, box: SecretBox, config: Config, keep_region: Callable[[str], None] | None = None
) -> AsyncIterator[Finding]:
    """Looks at Exotel and at each enabled connection, as it goes. `keep_region`: see `check_exotel`."""
    async with session(tenant, tenant.connections, config) as client:
        yield await check_exotel(client, tenant, keep_region)
        for connection in tenant.connections:
            if connection.enabled:
                yield await check_connection(client, connection, box, config)
            else:
                yield Finding(_title(connection), is_good=True, words="disabled, not checked")


async def check_connection(
    client: aiohttp.ClientSession, connection: Connection, box: SecretBox, config: Config
) -> Finding:
    """Prepares the CRM account for what we write, and proves the connection's credentials."""
    try:
        adapter = make_adapter(client, connection, box, config)
        await adapter.prepare()
        found = await adapter.check()
    except (ConfigError, CrmError) as error:
        return Finding(_title(connection), is_good=False, words=error.message)
    filled = [f"options.fields.{name}" for name in connection.options.fields]
    missing = tuple(words for words in found.missing if not any(_names(words, option) for option in filled))
    return Finding(_title(connection), is_good=True, words=found.account, missing=missing)


def _names(words: str, option: str) -> bool:
    """Whether `words` tell of this option, and not of one that only begins like it."""
    return re.search(rf"{re.escape(option)}(?!\w)", words) is not None


def lost_without_address(tenants: Iterable[Tenant], config: Config) -> str | None:
    """What is lost while nobody says where browsers reach this process; None where nothing is."""
    if config.public_url is not None:
        return None
    names = [
        f"{tenant.sid}/{connection.name}"
        for tenant in tenants
        for connection in tenant.connections
        if connection.enabled
        and connection.options.recording != "none"
        and not registry.get(connection.adapter).read_at_home
    ]
    if not names:
        return None
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"CONNECTOR_PUBLIC_URL is not set: records of {shown} say that there is a recording, without a link to it"


async def prepare(tenant: Tenant, connections: Iterable[Connection], box: SecretBox, config: Config) -> list[str]:
    """Runs `prepare` of connections that are new or talk differently now; returns warnings."""
    warnings = []
    chosen = [one for one in connections if registry.get(one.adapter).prepare is not Adapter.prepare]
    if not chosen:
        return []
    async with session(tenant, chosen, config) as client:
        for connection in chosen:
            try:
                await make_adapter(client, connection, box, config).prepare()
            except (ConfigError, CrmError) as error:
                warnings.append(f"{tenant.sid}/{connection.name} could not be prepared: {error.message}")
    return warnings


async def check_exotel(
    client: aiohttp.ClientSession, tenant: Tenant, keep_region: Callable[[str], None] | None = None
) -> Finding:
    """Proves the account's API key and token, and finds its region, which `keep_region` gets where no file tells it."""
    hosts = Hosts(tenant.region, tenant.api_url)
    found = await discover(client, hosts, sid=tenant.sid, api_key=tenant.api_key, api_token=tenant.api_token)
    if found.region is None:
        return Finding("Exotel", is_good=False, words=found.words)
    if tenant.region_is == "told" and found.region != tenant.region:
        words = f"the account {tenant.sid} is in {found.region}: set region: {found.region}"
        return Finding("Exotel", is_good=False, words=words)
    if tenant.region_is != "told" and len(hosts.regions) > 1 and keep_region is not None:
        keep_region(found.region)
    return Finding("Exotel", is_good=True, words=f"account {tenant.sid}, {found.region}")


def make_adapter(client: aiohttp.ClientSession, connection: Connection, box: SecretBox, config: Config) -> Adapter[Any]:
    """The connection's adapter, outside of quota and pause."""
    home = Home(config.home_url, box.token(f"home:{connection.id}"))
    return registry.made_for(
        connection.adapter, connection.settings, connection.options, CrmHttp(client, Unlimited()), home
    )


def session(tenant: Tenant, connections: Iterable[Connection], config: Config) -> aiohttp.ClientSession:
    """A session that may reach private addresses only where the operator named them, and this service itself."""
    urls = [*exotel_urls(tenant), config.home_url, *(one.settings.get("base_url") or "" for one in connections)]
    return outbound.session(frozenset(urlsplit(url).hostname or "" for url in urls))


def _title(connection: Connection) -> str:
    return f"{connection.name} ({connection.adapter})"
