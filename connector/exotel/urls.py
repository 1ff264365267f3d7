"""The URLs that Exotel's own connectors document, and ours: where an event comes in, and where one is sent.

Ingress serves them, `connector hook` prints them, the simulator sends to them. In a path `{sid}` is the tenant's
Account SID, `{hook_token}` its capability.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Url:
    """One hook URL. `word`: the event that it stands for; None where the query or the path names it."""

    dialect: str
    path: str
    word: str | None = None
    #: Exotel documents it without credentials: it answers so where the tenant allows it.
    is_open: bool = False


_CALL_EVENTS: Final = "/v2/accounts/{sid}/call-events"
_STATUS: Final = "/v2/accounts/{sid}/status"

#: Dialects that have a URL for some events only, and none that names its event in the query: event -> path.
_PATHS: Final[Mapping[str, Mapping[str, str]]] = {
    "freshworks": {
        "pop": "/pop/{sid}",
        "answered": "/answered/{sid}",
        "missed": "/missed/{sid}",
        "voicemail": "/missed/{sid}?MissedCallType=voicemail",
    },
    "zoho": {
        "pop": "/callback/exotel/{sid}/createpopup",
        "answered": "/callback/exotel/{sid}/incomingcallhungup",
        "missed": "/callback/exotel/{sid}/callmissed",
    },
}


def _word(path: str) -> str:
    return next(part for part in reversed(path.split("/")) if "{" not in part)


URLS: Final = (
    Url("freshdesk", _CALL_EVENTS),
    Url("status", _STATUS, "status"),
    *(
        Url(dialect, path, _word(path), is_open=True)
        for dialect, paths in _PATHS.items()
        for path in paths.values()
        if "?" not in path
    ),
    Url("callback", "/h/{hook_token}/callback/{event}"),
    Url("hook", "/h/{hook_token}/{event}"),
)

#: The capability URL of a passthru behind a Gather, which the Gather applet itself asks as well (`web.applets`).
GATHERED: Final = Url("hook", "/h/{hook_token}/gather", "gather")


def path_of(dialect: str, event: str) -> str | None:
    """Where a dialect has an event sent, with the query that is its own; None where it has no URL for it."""
    if dialect == "hook":
        return f"/h/{{hook_token}}/{event}"
    if dialect == "freshdesk":
        return _STATUS if event == "status" else f"{_CALL_EVENTS}?event={event}"
    return _PATHS[dialect].get(event)
