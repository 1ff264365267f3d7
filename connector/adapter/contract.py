"""The class that an adapter inherits: one CRM account, as the pipeline sees it."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from connector.adapter.dialect import Dialect
from connector.adapter.options import Options
from connector.adapter.records import Agent, Checked, Home, Kind, Lookup, Ref
from connector.adapter.settings import S, Settings
from connector.phone import Caller, Spelling

if TYPE_CHECKING:
    from connector.adapter.http import CrmHttp


class Adapter(Dialect[S]):
    """One CRM account, as the pipeline sees it. Instances hold no state beyond what they are made of."""

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
    #: Whether its people read it at this connector's own address, so that links to there always lead somewhere.
    read_at_home: ClassVar[bool] = False
    #: Whether only the login tells accounts apart: a new one is then taken to lead to the same account.
    account_by_login: ClassVar[bool] = False

    def __init__(self, settings: S, http: "CrmHttp", home: Home, options: Options | None = None) -> None:
        super().__init__(settings, home)
        self.http = http
        #: The tenant's options, of `options_model`; an adapter with options of its own annotates the attribute anew.
        self.options = options or self.options_model.model_validate(dict(self.default_options))

    @property
    @abstractmethod
    def account(self) -> str:
        """Host and organisation that quota, circuit and pause belong to; two connections may share one."""

    async def prepare(self) -> None:
        """Makes what a key needs in the CRM, such as a unique property; repeatable. Most CRMs need nothing."""
        return

    @abstractmethod
    async def check(self) -> Checked:
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
