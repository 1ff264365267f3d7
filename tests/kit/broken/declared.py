"""What an adapter may say wrongly of itself."""

from typing import Any, ClassVar

from pydantic import Field

from connector.adapter import Adapter, Desk, Entry, Kind, Lookup, Ref, Settings
from connector.errors import Rejected
from tests.kit.broken import caught_by
from tests.kit.toy import Toy, ToySettings


@caught_by("test_is_an_adapter", "its name is not a word")
class MisNamed(Toy):
    name = "My CRM!"


@caught_by("test_families_are_whole", "Tasks is not inherited")
class Imitates(Adapter[ToySettings], Desk):
    """Offers tasks without saying so: the plan would never ask for them."""

    name, title, settings_model = "imitates", "Imitates", ToySettings
    options_model = Toy.options_model
    lookup: ClassVar = {kind: Toy.lookup[kind] for kind in ("contact", "ticket", "note")}
    root, account, headers, check, list_agents = Toy.root, Toy.account, Toy.headers, Toy.check, Toy.list_agents
    find_contacts, create_contact, find_by_key = Toy.find_contacts, Toy.create_contact, Toy.find_by_key
    create_ticket, update_ticket, add_note = Toy.create_ticket, Toy.update_ticket, Toy.add_note
    find_open_ticket, create_task = Toy.find_open_ticket, Toy.create_task
    rows, make, words, note, ref = Toy.rows, Toy.make, Toy.words, Toy.note, Toy.ref


@caught_by("test_families_are_whole", "create_ticket is not `async def`")
class Synchronous(Toy):
    def create_ticket(self, key: str, contact: Ref, entry: Entry) -> Any:
        return Ref("ticket", "1")


class PlainSettings(Settings):
    domain: str = Field(title="Workspace")
    api_key: str = Field(title="API key")


@caught_by("test_secrets_are_secret", "api_key is not a SecretStr")
class PlainSecret(Toy):
    settings_model: ClassVar[Any] = PlainSettings


class UntitledSettings(ToySettings):
    team: str = "all"


@caught_by("test_settings_make_a_form", "the setting team has no title")
class Untitled(Toy):
    settings_model = UntitledSettings


@caught_by("test_lookup_covers_what_it_writes", "file")
class ForgetsLookup(Toy):
    lookup: ClassVar[dict[Kind, Lookup]] = {kind: how for kind, how in Toy.lookup.items() if kind != "file"}


@caught_by("test_declarations_make_sense", "settle_s")
class SettlesTooLate(Toy):
    settle_s = 60.0


@caught_by("test_errors_are_known", "no body is known whose code is 'E17'")
class UnreadableCode(Toy):
    errors: ClassVar = {(418, "E17"): Rejected}

    def error_code(self, body: Any) -> str | None:
        return body.get("teapot") if isinstance(body, dict) else None


@caught_by("test_address", "root ignores base_url")
class IgnoresBaseUrl(Toy):
    @property
    def root(self) -> str:
        return f"https://{self.settings.domain}/v2/"


@caught_by("test_account", "account tells the setting api_key")
class KeyAsAccount(Toy):
    @property
    def account(self) -> str:
        return f"toy/{self.settings.api_key.get_secret_value()}"


@caught_by("test_account", "account is not stable")
class HomeAsAccount(Toy):
    @property
    def account(self) -> str:
        return self.home.url
