"""The contract between the pipeline and a CRM: what an adapter is, and the records that pass between them.

An adapter offers CRM primitives and nothing else: no policy, no templates, no retries, no logging, no `try`. CRMs
differ in what a call *is*, so primitives come in families (`Desk`, `Sales`, `Chat`) and small capabilities
(`EditableNotes`, `Tasks`, `Leads`, `Owners`, `Files`). An adapter inherits those that it can honour and imitates none
that it lacks; `isinstance` tells the plan what there is. `connector.kit.AdapterSuite` checks an adapter against all
of this.

Every method that makes a record takes the step's `key` first and leaves it in the CRM where `find_by_key` finds it:
an idempotency key if the CRM has one, else an external-id field, else `stamp(key)` in the text. Updates are whole and
repeatable, and write the key again.
"""

import hashlib
import html as html_
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from connector.errors import CrmError
from connector.exotel.model import Call
from connector.options import Options, Spelling
from connector.phone import Caller as Caller  # part of the contract, defined beside the numbers it is made of
from connector.phone import alike as alike

if TYPE_CHECKING:
    from connector.crm_http import CrmHttp

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


@dataclass(frozen=True, slots=True)
class Quota:
    """What an answer's headers tell of one bucket: calls left, of how many per how many seconds (None: not told)."""

    remaining: int | None = None
    limit: int | None = None
    per_s: float | None = None
    #: Seconds until nothing may be sent in this bucket; None where the headers do not say so.
    blocked_s: float | None = None


class Settings(BaseModel):
    """What a tenant enters to connect a CRM account. Secrets are `SecretStr`; a form is drawn from the schema."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, hide_input_in_errors=True)

    #: Replaces scheme, host and port of the derived address, for tests and gateways; only the operator sets it.
    base_url: str | None = Field(default=None, title="Base URL", pattern=r"^https?://[^/?#@]+/?$")


def pasted_host(value: object, suffix: str) -> object:
    """The host in an address as people paste it: with scheme, path, user, blanks; `suffix` completes a bare label.

    For a settings model's validators; what is no text is left to the model to refuse.
    """
    if not isinstance(value, str):
        return value
    host = re.sub(r"^[a-z]+://", "", value.strip().lower()).partition("/")[0].rpartition("@")[2].rstrip(".")
    return host if "." in host or not host else host + suffix


S = TypeVar("S", bound=Settings)


class Adapter(ABC, Generic[S]):
    """One CRM account, as the pipeline sees it. Instances hold no state beyond what they are made of."""

    name: ClassVar[str]
    title: ClassVar[str]
    settings_model: ClassVar[type[Settings]]
    options_model: ClassVar[type[Options]] = Options
    #: Options that this CRM's users expect to differ from the family's defaults.
    default_options: ClassVar[Mapping[str, Any]] = {}
    #: Words that this CRM's users expect to differ from the family's: template part -> outcome -> template.
    default_words: ClassVar[Mapping[str, Mapping[str, str]]] = {}
    find_by: ClassVar[tuple[Spelling, ...]] = ("e164", "trunk_zero", "digits", "national")
    save_as: ClassVar[Spelling] = "e164"
    #: bucket -> (requests, seconds); the account's own headers correct it.
    limits: ClassVar[Mapping[str, tuple[int, float]]] = {}
    #: Requests under way at once to one account.
    in_flight: ClassVar[int] = 32
    lookup: ClassVar[Mapping[Kind, Lookup]] = {}
    #: Seconds after which a search is sure to see a record (only for `search` look-ups).
    findable_after_s: ClassVar[float] = 0.0
    #: Longest that the CRM still works on a request that we gave up on, plus its listing's lag; under 15.
    settle_s: ClassVar[float] = 10.0
    #: Seconds until a request is given up.
    timeout_s: ClassVar[float] = 20.0
    #: (status, the body's code) -> error; looked at before the general table of `CrmHttp`. Code None fits every body.
    errors: ClassVar[Mapping[tuple[int, str | None], type[CrmError]]] = {}

    #: Whether its people read it at this connector's own address, so that links to there always lead somewhere.
    read_at_home: ClassVar[bool] = False

    #: Whether only the login tells accounts apart: a new one is then taken to lead to the same account.
    account_by_login: ClassVar[bool] = False

    #: How an access token is written into the header `Authorization`, for adapters with a `grant`.
    authorization: ClassVar[str] = "Bearer {token}"

    def __init__(self, settings: S, http: "CrmHttp", home: Home, options: Options | None = None) -> None:
        self.settings = settings
        self.http = http
        self.home = home
        #: The tenant's options, of `options_model`; an adapter with options of its own annotates the attribute anew.
        self.options = options or self.options_model.model_validate(dict(self.default_options))

    @property
    @abstractmethod
    def root(self) -> str:
        """URL that request paths are relative to, ending in `/`, with `settings.base_url` applied (see `at`)."""

    @property
    @abstractmethod
    def account(self) -> str:
        """Host and organisation that quota, circuit and pause belong to; two connections may share one."""

    @abstractmethod
    def headers(self) -> dict[str, str]:
        """Headers of every request, credentials included; what a `grant` gives is added by `CrmHttp`."""

    def grant(self) -> Grant | None:
        """What access tokens are fetched with; None where `headers` holds all the credentials."""
        return None

    def at(self, url: str) -> str:
        """`url` with scheme, host and port of `settings.base_url`, where that is set; the path stays."""
        base = self.settings.base_url
        if base is None:
            return url
        return base.rstrip("/") + re.sub(r"^https?://[^/]+", "", url)

    def quota(self, headers: Mapping[str, str]) -> Mapping[str, Quota]:
        """What an answer's headers tell about the account's quota, per bucket; header names compare case-blind."""
        return {}

    def verdict(self, status: int, body: Any) -> int:
        """The status that an answer amounts to: some CRMs say 200 and refuse inside the body."""
        return status

    def error_code(self, body: Any) -> str | None:
        """The code inside an error body that `errors` is keyed by; `body` is decoded JSON, or text."""
        return body.get("code") if isinstance(body, dict) and isinstance(body.get("code"), str) else None

    def wait_s(self, body: Any) -> float | None:
        """Seconds that a refusal's body asks to wait, where no `Retry-After` tells; None where it does not say."""
        return None

    def error_words(self, body: Any) -> Mapping[str, str]:
        """An error body's own words: entry part (`agent`, `fields.cf_x`, `contact`, ...) or `""` -> message."""
        return {}

    async def prepare(self) -> None:
        """Makes what a key needs in the CRM, such as a unique property; repeatable. Most CRMs need nothing."""
        return

    @abstractmethod
    async def check(self) -> "Checked":
        """Proves the credentials, names the account, lists what is missing. Raises `ConfigError`, `AuthFailed`."""

    @abstractmethod
    async def list_agents(self) -> list[Agent]:
        """The account's users. Raises `AuthFailed` where the key may not list them."""

    @abstractmethod
    async def find_contacts(self, caller: Caller) -> list[Ref]:
        """Contacts with any of `caller.spellings`, active ones first, then newest first. A stranger gives `[]`."""

    @abstractmethod
    async def create_contact(self, key: str, caller: Caller, name: str) -> Ref:
        """Makes a contact, or returns the one that already carries `key` or the number."""

    @abstractmethod
    async def find_by_key(self, kind: Kind, key: str, parent: Ref | None) -> Ref | None:
        """The record that a write with `key` made; `parent` is the contact, ticket or conversation it hangs on.

        None proves absence only where `lookup[kind]` says so. Raises `CannotTell` rather than guess.
        """


@dataclass(frozen=True, slots=True)
class Checked:
    """What `check` found: the account's name, and what is missing, each with the way out (empty: nothing)."""

    account: str
    missing: tuple[str, ...] = ()


class Desk(ABC):
    """A call is a ticket; what is learned of it later is a note on the ticket."""

    @abstractmethod
    async def create_ticket(self, key: str, contact: Ref, entry: Entry) -> Ref:
        """Makes a ticket of `contact`; `entry.agent` is whom it is given to."""

    @abstractmethod
    async def update_ticket(self, key: str, ticket: Ref, entry: Entry, was: str) -> None:
        """Writes the entry's words and fields; a ticket whose subject is not `was` any more is left alone."""

    @abstractmethod
    async def add_note(self, key: str, ticket: Ref, entry: Entry) -> Ref:
        """Adds a note; private unless `entry.private` is False."""

    @abstractmethod
    async def find_open_ticket(self, contact: Ref) -> Ref | None:
        """The contact's newest ticket that is not closed or resolved."""


class EditableNotes(ABC):
    """Notes can be changed after they were written."""

    @abstractmethod
    async def update_note(self, key: str, note: Ref, entry: Entry) -> None:
        """Replaces the note's words."""


class Sales(ABC):
    """A call is a call log on a contact, lead or deal.

    The `call` that these methods get is settled: its `outcome` is the final one, `duration_s` is talk time (None where
    nobody talked), `recording_url` is a link that may be shown (None where the tenant wants none), `customer_number`
    and its legs' numbers are None where the tenant wants customers' numbers masked.
    """

    @abstractmethod
    async def log_call(self, key: str, contact: Ref, call: Call, entry: Entry) -> Ref:
        """Makes a call log; direction, outcome, times and recording come from `call`, words from `entry`.

        `entry.agent` is the owner, `entry.related` what else to tie it to. The text of `entry` names the digits, the
        duration and the recording as well, for CRMs without fields for them.
        """

    @abstractmethod
    async def update_call_log(self, key: str, log: Ref, call: Call, entry: Entry) -> None:
        """Writes the call log anew."""


class Chat(ABC):
    """A call is a conversation between customer and agent."""

    @abstractmethod
    async def find_open_conversation(self, contact: Ref, agent: Agent | None) -> Ref | None:
        """The contact's newest open conversation with this agent (None: with nobody in particular)."""

    @abstractmethod
    async def open_conversation(self, key: str, contact: Ref, entry: Entry) -> Ref:
        """Opens a conversation, with the entry as its first message."""

    @abstractmethod
    async def post_message(self, key: str, conversation: Ref, entry: Entry) -> Ref:
        """Posts a message; seen by agents only unless `entry.private` is False. `NotFound`: post it elsewhere."""


class Tasks(ABC):
    """Follow-ups can be asked for."""

    @abstractmethod
    async def create_task(self, key: str, contact: Ref, call: Call, entry: Entry) -> Ref:
        """Makes a task on the contact."""


class Leads(ABC):
    """Unknown callers can become leads."""

    @abstractmethod
    async def create_lead(self, key: str, caller: Caller, name: str) -> Ref:
        """Makes a lead, or returns the one that already carries `key` or the number."""


class Owners(ABC):
    """People in the CRM belong to its users."""

    @abstractmethod
    async def find_owner(self, contact: Ref) -> str | None:
        """Id of the user, as `list_agents` gives it, whom the contact or lead belongs to; None: it is nobody's.

        Raises `NotFound` where the contact was deleted. A caller waits on the line: one request.
        """


class Files(ABC):
    """Records can carry files."""

    #: Kinds of record that files hang on.
    files_on: ClassVar[tuple[Kind, ...]] = ("ticket",)
    #: Bytes of the largest file that the CRM takes.
    largest_file: ClassVar[int] = 20 * 1024 * 1024

    @abstractmethod
    async def attach(self, key: str, to: Ref, name: str, content: bytes, mime: str) -> Ref:
        """Attaches a file to a record of one of `files_on`. `Rejected`: the CRM does not take it, a link stands in.

        Where a file has no place for the key but its name, `marked(key, name)` is one that `find_by_key` knows.
        """


def marked(key: str, name: str) -> str:
    """`name` with a mark that is the key's alone before its ending: `recording-c1-0123456789abcdef.mp3`."""
    stem, dot, ending = name.rpartition(".")
    return f"{stem or ending}-{_mark(key)}{dot}{ending if stem else ''}"


def is_marked(key: str, name: str) -> bool:
    """Whether `name` was made by `marked` with this key; a CRM may have added to it, as to one that is there twice."""
    return _mark(key) in name.lower()


def _mark(key: str) -> str:
    return hashlib.blake2b(key.encode(), digest_size=8).hexdigest()


_STAMP = re.compile(r"\[ref ([^\]\s]+)\]")


def stamp(key: str) -> str:
    """The key as small visible text, for records without a field for it: comments and hidden spans get cleaned away."""
    return f"<p><small>[ref {html_.escape(key)}]</small></p>"


def stamped(key: str, text: str) -> bool:
    """Whether `text` (HTML or plain, as the CRM gives it back) carries `stamp(key)`, and not that of a longer key."""
    return any(found == key for found in _STAMP.findall(html_.unescape(text)))
