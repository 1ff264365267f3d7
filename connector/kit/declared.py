"""What an adapter says of itself: class, families, settings, look-ups, limits. No CRM is needed."""

import inspect
import re
from typing import Any, ClassVar
from urllib.parse import urlsplit

from connector.adapter import Adapter, Home, registry
from connector.adapter.options import DeskOptions
from connector.errors import CrmError
from connector.kit.bench import Refusal, idle, secret_fields, writes_of

_SECRETIVE = re.compile(r"key|token|secret|password|credential", re.IGNORECASE)
_LOOKUPS = {"unique", "listing", "search", "none"}


class DeclaredChecks:
    """Checks of the class itself."""

    adapter: ClassVar[type[Adapter[Any]]]
    refusals: ClassVar[tuple[Refusal, ...]]

    def _adapter_at(self, url: str | None) -> Adapter[Any]:
        return idle(self.adapter, self.settings_at(url or ""), self.home("kit1", url or "http://home.example"))

    def settings_at(self, url: str) -> dict[str, Any]:
        """Settings for a CRM at `url`."""
        raise NotImplementedError

    def home(self, connection: str, url: str) -> Home:
        """The connector itself, for an adapter that talks back to it."""
        raise NotImplementedError

    async def test_is_an_adapter(self) -> None:
        assert registry.problems(self.adapter) == []

    async def test_families_are_whole(self) -> None:
        """Each family's methods are coroutines that take what the contract says; none is there without its family."""
        for family in registry.FAMILIES:
            for name in family.__abstractmethods__:  # type: ignore[attr-defined]
                if not issubclass(self.adapter, family):
                    assert not hasattr(self.adapter, name), f"{name} is there, but {family.__name__} is not inherited"
                    continue
                wanted, given = getattr(family, name), getattr(self.adapter, name)
                assert inspect.iscoroutinefunction(given), f"{name} is not `async def`"
                takes = list(inspect.signature(given).parameters)
                assert takes == list(inspect.signature(wanted).parameters), f"{name} takes {takes}"

    async def test_settings_make_a_form(self) -> None:
        """Each setting has a title to be shown, and settings that make no sense are refused."""
        schema = self.adapter.settings_model.model_json_schema()
        for name, info in self.adapter.settings_model.model_fields.items():
            assert info.title, f"the setting {name} has no title"
        assert schema.get("additionalProperties") is False, (
            "unknown settings are not refused (model_config of Settings)"
        )
        self.adapter.settings_model.model_validate(self.settings_at("http://127.0.0.1:1"))

    async def test_secrets_are_secret(self) -> None:
        """Settings that are secrets are `SecretStr`, and a wrong one is not echoed by the error."""
        model, secret = self.adapter.settings_model, secret_fields(self.adapter)
        for name in model.model_fields:
            if _SECRETIVE.search(name):
                assert name in secret, f"the setting {name} is not a SecretStr"
        assert model.model_config.get("hide_input_in_errors"), "an error would show what was entered"

    async def test_lookup_covers_what_it_writes(self) -> None:
        """`lookup` says of each kind that is written, and of no other, how surely it is found again."""
        lookup = self.adapter.lookup
        assert set(lookup) == {write.kind for write in writes_of(self.adapter)}
        assert set(lookup.values()) <= _LOOKUPS
        if "search" in lookup.values():
            assert self.adapter.findable_after_s > 0, "a search needs findable_after_s"

    async def test_declarations_make_sense(self) -> None:
        """Limits, times, default options and words are what the pipeline can work with."""
        adapter = self.adapter
        for bucket, (requests, per_s) in adapter.limits.items():
            assert requests > 0, f"{bucket}: no requests"
            assert per_s > 0, f"{bucket}: in no time"
        assert not adapter.limits or "all" in adapter.limits, (
            "limits has no bucket `all`, which requests name by default"
        )
        assert 0 < adapter.settle_s < 15
        assert 0 < adapter.timeout_s <= 60
        assert adapter.findable_after_s >= 0
        assert adapter.in_flight > 0
        assert adapter.find_by, "no spelling to look a number up by"
        options = adapter.options_model.model_validate(dict(adapter.default_options))
        if "Desk" in registry.families(adapter) and "Sales" not in registry.families(adapter):
            assert isinstance(options, DeskOptions), "options_model of a Desk is DeskOptions, or extends it"

    async def test_errors_are_known(self) -> None:
        """The `errors` table names CRM errors, and its codes are found in bodies."""
        table = self.adapter.errors
        assert all(issubclass(error, CrmError) for error in table.values())
        adapter = self._adapter_at("http://127.0.0.1:1")
        documented = {(refusal.status, adapter.error_code(refusal.body)) for refusal in self.refusals}
        for status, code in table:
            if code is not None and (status, code) not in documented:
                read = any(adapter.error_code(shape) == code for shape in _shapes(code))
                assert read, f"no body is known whose code is {code!r}; give a Refusal({status}, ...) in `refusals`"

    async def test_address(self) -> None:
        """`root` ends in a slash; `base_url` replaces the origin and keeps the API's path."""
        here, there = self._adapter_at(None), self._adapter_at("http://127.0.0.1:1")
        assert here.root.endswith("/")
        assert urlsplit(there.root).netloc == "127.0.0.1:1", "root ignores base_url; see Adapter.at"
        assert urlsplit(there.root).path == urlsplit(here.root).path

    async def test_account(self) -> None:
        """`account` follows from the settings alone, and tells no secret."""
        one, home = self._adapter_at(None), Home(url="http://elsewhere.example:8081", token="another")  # noqa: S106
        assert isinstance(one.account, str)
        assert one.account, "account is empty"
        assert one.account == idle(self.adapter, self.settings_at(""), home).account, "account is not stable"
        settings = self.settings_at("")
        for name in secret_fields(self.adapter):
            if name in settings:
                assert str(settings[name]) not in one.account, f"account tells the setting {name}"
        assert one.home.token not in one.account, "account tells the home token"


def _shapes(code: str) -> list[Any]:
    """Bodies that carry a code in one of the usual places."""
    flat = [{name: code} for name in ("code", "errorCode", "error_code", "error", "category", "status", "type")]
    return [
        *flat,
        *({"error": shape} for shape in flat),
        *({"errors": [shape]} for shape in flat),
        *({"errors": shape} for shape in flat),
        *({"data": [shape]} for shape in flat),
        *([shape] for shape in flat),
    ]
