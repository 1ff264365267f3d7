"""The records that pass between the pipeline and an adapter."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal

Kind = Literal["contact", "lead", "ticket", "note", "call_log", "conversation", "message", "task", "file"]


#: How surely `find_by_key` sees a record: `unique`, `listing` at once, `search` after `findable_after_s`, `none` never.
Lookup = Literal["unique", "listing", "search", "none"]


@dataclass(frozen=True, slots=True)
class Ref:
    """A record in the CRM: what a write returns and the journal stores. `url` is where a person opens it."""

    kind: Kind
    id: str
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Agent:
    """Somebody who answers for the tenant, as a user of the CRM. `ids` holds further ids of the same user (`zuid`)."""

    id: str
    name: str = ""
    email: str | None = None
    phone: str | None = None
    caller_id: str | None = None
    outbound: bool = False
    ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """Rendered words for one record, plus `fields` of the tenant's field map (CRM field -> value).

    `html` and `text` say the same; an adapter takes the one that its CRM shows. A chat's entry has `text` only.
    """

    subject: str = ""
    text: str = ""
    html: str = ""
    agent: Agent | None = None
    private: bool = True
    fields: Mapping[str, str] = field(default_factory=dict)
    #: Other records of the same call in the same CRM (the ticket, for a call log).
    related: tuple[Ref, ...] = ()


@dataclass(frozen=True, slots=True)
class Home:
    """Where this connector is reached, for an adapter that talks back to it; `token` is valid for one connection."""

    url: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Grant:
    """An OAuth 2 refresh token, and where it is exchanged for access tokens. Two connections may share one."""

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    refresh_token: str = field(repr=False)

    @property
    def identity(self) -> str:
        """What makes two grants one: they take turns at refreshing."""
        return f"{self.client_id}\n{self.refresh_token}"


def fingerprint(login: str) -> str:
    """What tells accounts apart that are known by their login alone; says nothing of it."""
    return sha256(login.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Quota:
    """What an answer's headers tell of one bucket: calls left, of how many per how many seconds (None: not told)."""

    remaining: int | None = None
    limit: int | None = None
    per_s: float | None = None
    #: Seconds until nothing may be sent in this bucket; None where the headers do not say so.
    blocked_s: float | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """What `check` found: the account's name, and what is missing, each with the way out (empty: nothing)."""

    account: str
    missing: tuple[str, ...] = ()
