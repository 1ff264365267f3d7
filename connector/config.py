"""Process settings: read from the environment once, at start, and checked there."""

import ipaddress
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from connector.errors import ConfigError

_PREFIX = "CONNECTOR_"


@dataclass(frozen=True, slots=True)
class Config:
    """What a process of the connector needs to know before it can open its store.

    `database_url` may hold a password and `secret_key` is one, so neither is part of the `repr`.
    """

    database_url: str = field(default="sqlite:///connector.db", repr=False)
    #: One or more Fernet keys, comma-separated: the first seals, all of them open. None: see `store.secrets.open_box`.
    secret_key: str | None = field(default=None, repr=False)
    #: Where Exotel and browsers reach this service, without a slash at the end; None where nobody said.
    public_url: str | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    log_format: Literal["text", "json"] = "text"
    #: Proxies whose X-Forwarded-For is believed.
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ, **overrides: Any) -> "Config":
        """The settings in `environ` (`CONNECTOR_…`); an override that is not None wins over its variable.

        An empty variable counts as unset. Raises `ConfigError` that names the variable.
        """
        found: dict[str, Any] = {}
        for name, read in _READERS.items():
            value = overrides.get(name)
            text = environ.get(_PREFIX + name.upper(), "").strip() if value is None else str(value)
            if not text:
                continue
            try:
                found[name] = read(text)
            except ValueError as error:
                raise ConfigError(str(error), field=_PREFIX + name.upper()) from None
        return cls(**found)

    @property
    def database_file(self) -> Path | None:
        """The SQLite file; None for a database server."""
        url = make_url(self.database_url)
        return Path(str(url.database)) if url.get_backend_name() == "sqlite" else None

    def beside(self, suffix: str) -> Path | None:
        """A file that belongs to the SQLite file (`<database>.key`, `.lock`, `.token`); None for a database server."""
        file = self.database_file
        return None if file is None else file.with_name(f"{file.name}.{suffix}")

    @property
    def home_url(self) -> str:
        """Where this process reaches itself: for adapters that talk back to it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - compared, not bound
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


def _database_url(text: str) -> str:
    try:
        url = make_url(text)
        backend = url.get_backend_name()
    except (ArgumentError, ValueError):
        raise ValueError("not a database URL; sqlite:///FILE and postgresql://USER@HOST/NAME are") from None
    if backend not in ("sqlite", "postgresql"):
        raise ValueError(f"{backend!r} is not supported; sqlite and postgresql are")
    if backend == "sqlite" and url.database in (None, "", ":memory:"):
        raise ValueError("names no file; accepted events would not outlive the process")
    if backend == "sqlite" and not Path(str(url.database)).absolute().parent.is_dir():
        raise ValueError(f"the folder of {url.database} does not exist")
    return text


def _secret_key(text: str) -> str:
    keys = [key.strip() for key in text.split(",") if key.strip()]
    for place, key in enumerate(keys, 1):
        try:
            Fernet(key)
        except ValueError:
            raise ValueError(f"key {place} of {len(keys)} is not a Fernet key (32 bytes, URL-safe base64)") from None
    return ",".join(keys)


def _public_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("not an address such as https://calls.example.com")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("credentials, a query or a fragment do not belong here")
    return text.rstrip("/")


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text) <= 65535:
        raise ValueError(f"{text!r} is not a port number")
    return int(text)


def _log_format(text: str) -> Literal["text", "json"]:
    if text not in ("text", "json"):
        raise ValueError(f"{text!r} is neither text nor json")
    return cast(Literal["text", "json"], text)


def _networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    networks = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            networks.append(ipaddress.ip_network(part, strict=False))
        except ValueError:
            raise ValueError(f"{part!r} is neither an address nor a range such as 10.0.0.0/8") from None
    return tuple(networks)


_READERS: Mapping[str, Callable[[str], Any]] = {
    "database_url": _database_url,
    "secret_key": _secret_key,
    "public_url": _public_url,
    "host": str,
    "port": _port,
    "log_format": _log_format,
    "trusted_proxies": _networks,
}
