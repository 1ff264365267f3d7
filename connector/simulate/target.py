"""Where simulated requests go: the URL that a person pastes, and the URLs of single events that follow from it."""

import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote, urlencode, urlsplit

from connector.errors import ConfigError
from connector.exotel.urls import URLS, path_of
from connector.simulate.scenarios import Request

#: Events that a dialect without a URL for them tells by another one's.
_ALIKE: Final = {"automated_answered": "answered"}


@dataclass(frozen=True, slots=True)
class HookTarget:
    """A connector's address and how its URLs name events. `root` may hold a token: no `repr` shows it.

    `headers` go with every request; they carry the credentials of a documented URL.
    """

    root: str
    dialect: str
    #: The Account SID, where the URL tells it.
    sid: str | None
    headers: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Target({self.dialect}, {self.sid})"

    def url(self, request: Request) -> str | None:
        """Where a request goes, with its parameters; None where this dialect has no URL for it."""
        query = [*request.query, *(() if request.is_post else request.params)]
        path = self._path(request.event)
        if path is None:
            return None
        path, _, fixed = path.partition("?")
        encoded = "&".join(part for part in (fixed, urlencode(query, quote_via=quote)) if part)
        return f"{self.root}{path}" + (f"?{encoded}" if encoded else "")

    def _path(self, event: str) -> str | None:
        if self.dialect == "hook":
            return f"/{event}"
        path = path_of(self.dialect, event) or path_of(self.dialect, _ALIKE.get(event, event))
        return path.format(sid=self.sid) if path is not None else None


def _pattern(path: str) -> str:
    """A hook URL's path; the part after the account, which names an event, may be another one, or not there."""
    account, _, event = path.partition("}")
    where = account.replace("{sid", "(?P<sid>[^/]+)").replace("{hook_token", "[^/]+")
    root = f"(?P<root>.*{where})" if "{hook_token" in account else f"(?P<root>.*){where}"
    return root + ("(/[^/]*)?" if event else "")


_PATTERNS: Final = tuple(
    (url.dialect, re.compile(_pattern(url.path))) for url in URLS if url.dialect not in ("status", "callback")
)


def parse_target(url: str) -> HookTarget:
    """The target of a hook URL (`http://host/h/<token>`) or of a documented one, Basic credentials in its userinfo.

    The last part, which names an event, may be there or not. Raises `ConfigError`, which does not repeat the URL.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ConfigError("the URL cannot be read") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigError("the URL must begin with http:// or https:// and name a host")
    headers = {}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    where = f"[{host}]" if ":" in host else host
    origin = f"{parts.scheme}://{where}" + (f":{port}" if port else "")
    for dialect, pattern in _PATTERNS:
        match = pattern.fullmatch(parts.path.rstrip("/"))
        if match:
            found = match.groupdict()
            return HookTarget(origin + found["root"], dialect, found.get("sid"), headers)
    raise ConfigError(
        "the URL is no hook: http://HOST/h/TOKEN is one, so are the documented ones such as"
        " http://KEY:TOKEN@HOST/v2/accounts/SID/call-events (see `connector hook`)"
    )
