"""The URLs to paste into an Exotel flow, applet by applet.

Capability URLs come first: they carry no key, fit every box and can be rotated. The URLs that Exotel's own connectors
document work too; they need the account's API key and token as Basic credentials in the URL, or a tenant whose ingress
is open.
"""

import hashlib
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from sqlalchemy import Connection as Sql
from sqlalchemy import select, update

from connector.config import Config
from connector.exotel.urls import path_of
from connector.store import schema
from connector.store.queries import trail
from connector.store.secrets import SecretBox
from connector.tenants.model import Tenant

#: Stands where the tenant writes their own word: what a key or an input means.
_LABEL: Final = "LABEL"


@dataclass(frozen=True, slots=True)
class Applet:
    """A box of Exotel's flow builder, and what its URL ends in."""

    place: str
    event: str
    query: str = ""

    @property
    def path(self) -> str:
        """The last part of a capability URL."""
        return self.event + (f"?{self.query}" if self.query else "")


@dataclass(frozen=True, slots=True)
class DocumentedUrls:
    """URLs that one of Exotel's connectors documents."""

    title: str
    #: As `exotel.urls` calls it.
    name: str
    #: Adapters whose customers have these URLs in their flows.
    adapters: tuple[str, ...]
    #: Answers without credentials too, where the tenant's ingress is open.
    is_open: bool = False

    @property
    def urls(self) -> Iterator[tuple[str, str]]:
        """(place, path), `{sid}` for the account."""
        for applet in APPLETS:
            path = path_of(self.name, applet.event)
            if path is not None:
                joint = "&" if "?" in path else "?"
                yield applet.place, path + (f"{joint}{applet.query}" if applet.query else "")


APPLETS: Final = (
    Applet("Connect: Create popup", "pop"),
    Applet("Connect: Passthru after the call conversation ends", "answered"),
    Applet("    or, for a ticket of every answered call", "automated_answered"),
    Applet("Connect: Passthru if nobody answers", "missed"),
    Applet("IVR menu: Passthru after each key", "ivr", f"ivr_tag_1={_LABEL}"),
    Applet("Gather: Passthru after it", "gather", f"gather_tag_1={_LABEL}"),
    Applet("After the last IVR or Gather input: Passthru", "end"),
    Applet("Voicemail: Passthru after it", "voicemail"),
    Applet("Recording from here on, by its API: Passthru", "record_start"),
    Applet("    and until here", "record_stop"),
    Applet("Calls made by API: StatusCallback", "status"),
)

#: Applets that ask a URL while a caller waits, and where its box is.
_ASKING: Final = (
    ("connect", "Connect: parameters dynamically by a URL"),
    ("playback", "Connect: recording playback dynamically by a URL"),
    ("gather", "Gather: parameters dynamically by a URL"),
    ("greeting", "Greeting or IVR menu: text from a URL"),
)

DIALECTS: Final = (
    DocumentedUrls("Freshdesk", "freshdesk", ("freshdesk",)),
    DocumentedUrls("Freshsales and Freshchat", "freshworks", ("freshsales", "freshchat"), is_open=True),
    DocumentedUrls("Zoho", "zoho", ("zoho_crm", "zoho_desk"), is_open=True),
)


def rotate(sql: Sql, box: SecretBox, sid: str, who: str = "cli") -> None:
    """Gives the tenant a new hook token; URLs with the old one answer 404 from then on."""
    table = schema.tenant
    row = sql.execute(select(table.c.id, table.c.secrets).where(table.c.sid == sid)).one()
    token = secrets.token_urlsafe(24)
    columns = {
        "secrets": box.seal({**box.open(row.secrets), "hook_token": token}),
        "hook_token_hash": hashlib.sha256(token.encode()).hexdigest(),
        "updated_at": time.time(),
    }
    sql.execute(update(table).where(table.c.id == row.id).values(columns))
    trail.changed(sql, [row.id])
    trail.record(sql, who, "hook.rotate", row.id)


def hook_urls(tenant: Tenant, base_url: str) -> list[tuple[str, str]]:
    """(place, capability URL) for every applet."""
    root = f"{base_url}/h/{tenant.hook_token.get_secret_value()}"
    return [(applet.place, f"{root}/{applet.path}") for applet in APPLETS]


def applet_urls(tenant: Tenant, base_url: str) -> list[tuple[str, str]]:
    """(place, capability URL) of each answer that the tenant's file has for an applet; the first of several first."""
    root = f"{base_url}/h/{tenant.hook_token.get_secret_value()}"
    found = []
    for applet, place in _ASKING:
        names = list(getattr(tenant.applets, applet))
        for name in names:
            alone = len(names) == 1 or name == "default"
            query = "" if alone else f"?{urlencode({'name': name})}"
            found.append((place if len(names) == 1 else f"{place} ({name})", f"{root}/{applet}{query}"))
    return found


def dialect_urls(tenant: Tenant, base_url: str, dialect: DocumentedUrls) -> list[tuple[str, str]]:
    """(place, URL) as Exotel's connector documents it; `API_KEY:API_TOKEN` stand for the account's own."""
    scheme, _, rest = base_url.partition("://")
    userinfo = "" if dialect.is_open and tenant.ingress.open else "API_KEY:API_TOKEN@"
    root = f"{scheme}://{userinfo}{rest}"
    return [(place, root + path.format(sid=tenant.sid)) for place, path in dialect.urls]


def describe(tenant: Tenant, config: Config) -> Iterator[str]:
    """The lines that `connector hook` prints."""
    base_url = config.public_url or config.home_url
    yield f"URLs of {tenant.sid} for the applets of its Exotel flow (whoever has them can send events: keep them safe)"
    if config.public_url is None:
        yield "CONNECTOR_PUBLIC_URL is not set: Exotel must be able to reach the address, over https."
    yield ""
    yield from _table(hook_urls(tenant, base_url))
    yield ""
    yield f"Write what a key or an input means in place of {_LABEL}. Leave out applets that the flow does not have."
    if len(tenant.connections) > 1:
        names = ", ".join(connection.name for connection in tenant.connections)
        yield f"Every connection gets the event; add connection=NAME to the query for one alone ({names})."
    if asking := applet_urls(tenant, base_url):
        yield ""
        yield "Applets that ask while a caller waits for the answer:"
        yield from _table(asking)
    for dialect in _fitting(tenant):
        yield ""
        yield f"A flow made for Exotel's own {dialect.title} connector may keep its URLs, with this host:"
        if not (dialect.is_open and tenant.ingress.open):
            yield "(put the account's Exotel API key and token in place of API_KEY:API_TOKEN)"
        yield from _table(dialect_urls(tenant, base_url, dialect))


def _fitting(tenant: Tenant) -> list[DocumentedUrls]:
    """All dialects, those of the tenant's connections first."""
    used = {connection.adapter for connection in tenant.connections}
    return sorted(DIALECTS, key=lambda dialect: used.isdisjoint(dialect.adapters))


def _table(urls: list[tuple[str, str]]) -> Iterator[str]:
    width = max(len(place) for place, _ in urls)
    for place, url in urls:
        yield f"  {place:<{width}}  {url}"
