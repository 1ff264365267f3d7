"""The configuration in memory: tenants and their connections, as the store has them, and how they are found.

A `Directory` is a snapshot; a new one replaces it when the config version in the store rises (`apply` from another
process is seen within a second, and looked for before any 401).
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pydantic import SecretStr

from connector.adapter import Agent
from connector.adapter.options import Options
from connector.errors import Declined
from connector.tenants.applets import Applets
from connector.tenants.hours import Hours
from connector.tenants.masking import Mask

#: How long calls are kept where the tenant does not say; why, tells `pipeline.upkeep.retention`.
RETENTION_DAYS: Final = 90
RETENTION_LEAST_DAYS: Final = 7


@dataclass(frozen=True, slots=True)
class IngressRules:
    """Whether the documented URLs answer without credentials, and to whom: CIDR ranges, or the word `anyone`."""

    open: bool = False
    allow_from: tuple[str, ...] = ()


#: A link that leaves the CRM, in a forwarded ticket or an export, is good for a month; nearly every call is listened to
#: within that time, and whoever is signed in can listen later too.
LINK_DAYS: Final = 30


@dataclass(frozen=True, slots=True)
class RecordingAccess:
    """Who may open our links to recordings: `signed_in` alone, or also anyone with the link for so many days."""

    open_to: Literal["anyone_with_link", "signed_in"] = "anyone_with_link"
    days: int = LINK_DAYS


@dataclass(frozen=True, slots=True)
class CallRules:
    """How calls are placed for a tenant; None: Exotel's own default (docs/reference/exotel.md §6.1)."""

    record: bool = False
    channels: Literal["single", "dual"] = "single"
    #: Longest call.
    time_limit_s: int | None = None
    #: How long either side is rung.
    ring_s: int | None = None
    #: How often an agent who did not pick up is rung again.
    retries: int | None = None
    #: When calls may be placed, in the tenant's time zone; None: always.
    hours: Hours | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """One CRM account of a tenant. `settings` holds secrets in plain text and never appears in a `repr`."""

    id: str
    tenant_id: int
    name: str
    adapter: str
    account: str
    enabled: bool
    revision: int
    settings: Mapping[str, Any] = field(repr=False)
    #: The adapter's `options_model`, its `default_options` applied.
    options: Options
    agents: tuple[Agent, ...] = ()
    #: Row of the secrets, which connections may share; None where there are none.
    credential_id: int | None = None


@dataclass(frozen=True, slots=True)
class Tenant:
    """An Exotel account. `exophones`: E.164 -> friendly name."""

    id: int
    sid: str
    region: str
    country: str
    time_zone: str
    api_key: SecretStr
    api_token: SecretStr
    hook_token: SecretStr
    api_url: str | Mapping[str, str] | None = None
    #: Whose word the region is: the operator's, Exotel's own (both regions were asked), or the SID's rule.
    region_is: Literal["told", "found", "guessed"] = "told"
    recording_hosts: tuple[str, ...] = ()
    recordings: RecordingAccess = RecordingAccess()
    ingress: IngressRules = IngressRules()
    #: A finished call is kept for so long; see `pipeline.upkeep.retention`.
    retention_days: int = RETENTION_DAYS
    exophones: Mapping[str, str] = field(default_factory=dict)
    #: What people see of customers' numbers; None: all of them.
    mask: Mask | None = None
    applets: Applets = field(default_factory=Applets)
    calls: CallRules = CallRules()
    connections: tuple[Connection, ...] = ()

    def connection(self, name: str) -> Connection | None:
        """The connection of this name, enabled or not."""
        return next((c for c in self.connections if c.name == name), None)

    def known_connection(self, name: str) -> Connection:
        """The connection of this name, enabled or not. Raises `Declined`."""
        found = self.connection(name)
        if found is None:
            known = ", ".join(one.name for one in self.connections) or "none"
            raise Declined(
                "unknown_connection", f"{self.sid} has no connection {name!r}; known: {known}.", "connection"
            )
        return found

    def enabled_connection(self, name: str | None) -> Connection:
        """The enabled connection of this name; without a name the only one that is enabled. Raises `Declined`."""
        enabled = [one for one in self.connections if one.enabled]
        found = [one for one in enabled if name in (None, one.name)]
        if len(found) == 1:
            return found[0]
        known = ", ".join(one.name for one in enabled) or "none"
        if name is None:
            raise Declined("invalid", f"Say of which connection; {self.sid} has: {known}.", "connection")
        words = f"{self.sid} has no enabled connection {name!r}; known: {known}."
        raise Declined("unknown_connection", words, "connection")


@dataclass(frozen=True, slots=True)
class Directory:
    """All tenants. `hooks`: SHA-256 (hex) of a hook token -> tenant."""

    version: int = -1
    tenants: Mapping[str, Tenant] = field(default_factory=dict)
    tenants_by_id: Mapping[int, Tenant] = field(default_factory=dict)
    hooks: Mapping[str, Tenant] = field(default_factory=dict)
    connections: Mapping[str, Connection] = field(default_factory=dict)
    #: `Connection.account` -> the connections that share its quota
    accounts: Mapping[str, list[Connection]] = field(default_factory=dict)

    @classmethod
    def of(cls, version: int, tenants: list[Tenant]) -> "Directory":
        """A directory of these tenants."""
        accounts = defaultdict(list)
        for tenant in tenants:
            for connection in tenant.connections:
                accounts[connection.account].append(connection)
        return cls(
            version=version,
            tenants={t.sid: t for t in tenants},
            tenants_by_id={t.id: t for t in tenants},
            hooks={hashlib.sha256(t.hook_token.get_secret_value().encode()).hexdigest(): t for t in tenants},
            connections={c.id: c for t in tenants for c in t.connections},
            accounts=accounts,
        )


def exotel_urls(tenant: Tenant) -> list[str]:
    """The operator's own addresses of Exotel, which may be private: `api_url`, and hosts that recordings lead to."""
    own = [tenant.api_url] if isinstance(tenant.api_url, str) else list((tenant.api_url or {}).values())
    return [*own, *(f"//{host}" for host in tenant.recording_hosts)]
