"""`connector check`: proves a tenant's keys, at its CRMs and at Exotel, before a call depends on them."""

import re
from base64 import b64encode
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlsplit

import aiohttp

from connector import crm_http, registry
from connector.adapter import Adapter, Home
from connector.config import Config
from connector.crm_http import CrmHttp, Unlimited
from connector.errors import ConfigError, CrmError
from connector.store.secrets import SecretBox
from connector.tenants import Connection, Tenant

#: Exotel's API hosts (reference exotel.md §5).
HOSTS: Final[Mapping[str, str]] = {"singapore": "https://api.exotel.com", "mumbai": "https://api.in.exotel.com"}

_TIMEOUT: Final = aiohttp.ClientTimeout(total=15, connect=5)


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


async def check_tenant(tenant: Tenant, box: SecretBox, config: Config) -> AsyncIterator[Finding]:
    """Looks at Exotel and at each enabled connection, as it goes."""
    async with _session(tenant, tenant.connections, config) as client:
        yield await check_exotel(client, tenant)
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


async def prepare(tenant: Tenant, connections: Iterable[Connection], box: SecretBox, config: Config) -> list[str]:
    """Runs `prepare` of connections that are new or talk differently now; returns warnings."""
    warnings = []
    chosen = [one for one in connections if registry.get(one.adapter).prepare is not Adapter.prepare]
    if not chosen:
        return []
    async with _session(tenant, chosen, config) as client:
        for connection in chosen:
            try:
                await make_adapter(client, connection, box, config).prepare()
            except (ConfigError, CrmError) as error:
                warnings.append(f"{tenant.sid}/{connection.name} could not be prepared: {error.message}")
    return warnings


async def check_exotel(client: aiohttp.ClientSession, tenant: Tenant) -> Finding:
    """Proves the account's API key and token. A wrong region looks like a wrong SID, so the other one is asked too."""
    answers: dict[str, int] = {}
    hosts = _hosts(tenant)
    for region in sorted(hosts, key=lambda region: region != tenant.region):
        try:
            answers[region] = await _status(client, hosts[region], tenant)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            words = f"its API could not be reached in {region} ({type(error).__name__})"
            return Finding("Exotel", is_good=False, words=words)
        if answers[region] == 200 or answers[region] not in (401, 403, 404):
            break
    return _verdict(tenant, answers)


def _verdict(tenant: Tenant, answers: Mapping[str, int]) -> Finding:
    good = [region for region, status in answers.items() if status == 200]
    if good and good[0] != tenant.region and tenant.region in answers:
        words = f"the account {tenant.sid} is in {good[0]}: set region: {good[0]}"
        return Finding("Exotel", is_good=False, words=words)
    if good:
        return Finding("Exotel", is_good=True, words=f"account {tenant.sid}, {tenant.region}")
    statuses = set(answers.values())
    if statuses == {404}:
        words = f"there is no account {tenant.sid}: sid is the Account SID under API settings"
    elif statuses & {401, 403}:
        words = "refuses api_key or api_token: take both from API settings, with access to this account"
    else:
        words = f"its API answered {max(statuses)}; try again later"
    return Finding("Exotel", is_good=False, words=words)


def _hosts(tenant: Tenant) -> dict[str, str]:
    """Region -> API address; one entry where the operator set one address for everything."""
    if isinstance(tenant.api_url, str):
        return {tenant.region: tenant.api_url}
    return {**HOSTS, **(tenant.api_url or {})}


async def _status(client: aiohttp.ClientSession, host: str, tenant: Tenant) -> int:
    pair = f"{tenant.api_key.get_secret_value()}:{tenant.api_token.get_secret_value()}"
    headers = {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
    url = f"{host}/v1/Accounts/{quote(tenant.sid, safe='')}.json"
    async with client.get(url, headers=headers, allow_redirects=False, timeout=_TIMEOUT) as answer:
        return answer.status


def make_adapter(client: aiohttp.ClientSession, connection: Connection, box: SecretBox, config: Config) -> Adapter[Any]:
    """The connection's adapter, outside of quota and pause."""
    home = Home(config.home_url, box.token(f"home:{connection.id}"))
    return registry.made_for(connection, CrmHttp(client, Unlimited()), home)


def _session(tenant: Tenant, connections: Iterable[Connection], config: Config) -> aiohttp.ClientSession:
    """A session that may reach private addresses only where the operator named them, and this service itself."""
    urls = [*_hosts(tenant).values(), config.home_url, *(one.settings.get("base_url") or "" for one in connections)]
    return crm_http.session(frozenset(urlsplit(url).hostname or "" for url in urls))


def _title(connection: Connection) -> str:
    return f"{connection.name} ({connection.adapter})"
