"""Freshsales, the CRM of Freshworks: a call is a call log on its contact, a missed one also a follow-up task.

API: `/crm/sales/api` of `*.myfreshworks.com` (Suite), `/api` of `*.freshsales.io` (Classic, which has leads too), as
docs/reference/freshsales.md has it. Auth: one user's key. Limits: 1000 to 5000 requests an hour and account. Quirks:
numbers are compared as they are spelled; call logs want a multipart body, and have no fields for duration, recording
and outcome, so these are words of the log's note, the only part that can be changed; a duplicate is a 400 in the
account's language; a 400 may hide a 429; `selector/owners` may be forbidden to a key that can write.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import aiohttp

from connector.adapter import (
    Adapter,
    Agent,
    Caller,
    Checked,
    Entry,
    Kind,
    Listing,
    Owners,
    Pages,
    Probe,
    Ref,
    Sales,
    Spelling,
    Tasks,
    agent_of,
    below,
    by_number,
    by_part,
)
from connector.errors import CannotTell, ConfigError, CrmUnavailable, Rejected
from connector.exotel.model import Call
from connector_freshsales.bodies import activity_of, contact_of, note_of, phone_call_of, task_of
from connector_freshsales.fields import CONTACTS, CONTACTS_WAY_OUT, FIELDS, part_of
from connector_freshsales.logs import LogId, Timeline, logged
from connector_freshsales.settings import FreshsalesOptions, FreshsalesSettings
from connector_freshsales.wire import QUOTA, code_of, form_of, hides_429, is_duplicate, messages, with_number

_PAGE = 100
_OPEN_TASKS = Listing(
    Pages(
        {"page": "1", "per_page": str(_PAGE)},
        by_number(lambda page: len(page.rows) == _PAGE),
        "tasks",
        most=5,
        longer="There are more open tasks than are read.",
    ),
    "tasks",
    "description",
    {"filter": "open"},
)
_ACTIVITIES = Pages(
    {},
    by_number(lambda page: Timeline(page.answer.body).has_next),
    name=None,
    most=5,
    longer="The contact has more activities than are read.",
    hidden="The contact's activities cannot be read.",
)
#: After so long a contact that Freshsales has, but does not show yet, is looked for again.
_SHOWN_AFTER_S = 60.0


class Freshsales(Adapter[FreshsalesSettings], Sales, Tasks, Owners):
    name, title = "freshsales", "Freshsales"
    settings_model, options_model = FreshsalesSettings, FreshsalesOptions
    options: FreshsalesOptions
    #: Exotel's rule for Freshsales: contacts are kept with 10 digits, without a country code
    #: (docs/reference/exotel-flows.md §4.2.4).
    find_by: ClassVar[tuple[Spelling, ...]] = ("national", "e164", "digits", "trunk_zero")
    save_as: ClassVar[Spelling] = "national"
    #: Growth's, the smallest paid plan; Pro has 2000, Enterprise 5000 (§9).
    limits: ClassVar = {"all": (1000, 3600.0)}
    lookup: ClassVar = {"contact": "unique", "call_log": "listing", "task": "listing"}

    quota_headers = QUOTA

    @property
    def root(self) -> str:
        return self._address("api/")

    @property
    def account(self) -> str:
        return self.settings.domain

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Token token={self.settings.api_key.get_secret_value()}"}

    def verdict(self, status: int, body: Any) -> int:
        return 429 if status == 400 and hides_429(body) else status

    def error_code(self, body: Any) -> str | None:
        return code_of(body)

    def error_words(self, body: Any) -> Mapping[str, str]:
        return by_part((part_of(text), text) for text in messages(body))

    async def check(self) -> Checked:
        domain, probe = self.settings.domain, Probe(self.http)
        await probe.needed(
            "contacts/filters",
            lacks=f"The user whose key this is may not read the contacts of {domain}.",
            absent=f"There is no Freshsales account {domain}.",
        )
        lacks = "The key's user may not list users: enter the agents by hand, with their user ids."
        await probe.wanted("selector/owners", lacks=lacks)
        probe.missing += CONTACTS.mandatory(await self._fields(probe, "contacts"), "contact", CONTACTS_WAY_OUT)
        if self.options.log_as == "sales_activity":
            probe.missing += FIELDS.mandatory(await self._fields(probe, "sales_activities"), "sales activity")
            await self._phone_type()
        if set(self.options.associate) - {"contact"}:
            lacks = "Freshsales ties a call log to its contact alone: options.associate adds nothing here."
            probe.missing.append(lacks)
        return probe.checked(f"{domain} (Freshsales {'Classic' if self.settings.classic else 'Suite'})")

    async def list_agents(self) -> list[Agent]:
        rows = (await self.http.get("selector/owners"))["users"]
        phones = ("mobile_number", "work_number")
        return [agent_of(row, *phones, name="display_name") for row in rows if row.get("is_active") is not False]

    async def find_contacts(self, caller: Caller) -> list[Ref]:
        # A look-up compares one spelling. In Suite a filter takes the others at once; it knows no leads, so that
        # Classic is asked for one spelling after the other.
        first, others = caller.spellings[:1], caller.spellings[1:]
        for spelling in caller.spellings if self.settings.classic else first:
            if found := self._matching(await self._rows("mobile_number", spelling), caller):
                return found
        if self.settings.classic or not others:
            return []
        rule = {"attribute": "mobile_number", "operator": "is_in", "value": list(others)}
        query = {"filter_rule": [rule], "page": 1, "per_page": 25}
        rows = (await self.http.ask("POST", "filtered_search/contact", query))["contacts"]
        return self._matching({"contact": rows}, caller)

    async def create_contact(self, key: str, caller: Caller, name: str) -> Ref:
        made = await self.http.write("POST", "contacts", contact_of(key, caller, name), accept=(400,))
        if made.status != 400:
            return self._person("contact", made.body["contact"]["id"])
        # A duplicate is told in the account's language, so that whoever is there now is the one (§4.2).
        if self.error_words(made.body).keys() & {"", "contact"}:
            twins = [ref for ref in await self.find_contacts(caller) if ref.kind == "contact"]
            twin = twins[0] if twins else await self._contact_with(key)
            if twin is not None:
                return twin
        if is_duplicate(made.body):
            words = "Freshsales has such a contact, but does not show it: not yet, or because it was deleted."
            raise CrmUnavailable(words, status=400, retry_after_s=_SHOWN_AFTER_S)
        raise self.http.refusal(made)

    async def log_call(self, key: str, contact: Ref, call: Call, entry: Entry) -> Ref:
        if self.options.log_as == "sales_activity":
            activity = await self._whole_activity(contact, activity_of(key, contact, call, entry))
            made = await self.http.post("sales_activities", {"sales_activity": activity})
            return self._log(LogId("activity", str(made["sales_activity"]["id"]), contact.kind, contact.id))
        if self.options.log_as == "note":
            if entry.fields:
                parts = tuple(f"fields.{name}" for name in entry.fields)
                raise Rejected("Notes have no fields: options.fields needs another log_as.", parts=parts)
            made = await self.http.post("notes", note_of(key, contact, entry))
            return self._log(LogId("note", str(made["note"]["id"]), contact.kind, contact.id))
        log = logged(await self._post_call(phone_call_of(key, contact, call, entry)), contact)
        if log is None:
            other = "multipart" if self.options.call_log_format == "json" else "json"
            raise Rejected(
                "Freshsales made a call log, but not on the contact, or without its note: this account reads another "
                f"format. Set options.call_log_format: {other}, remove that call log, and replay the call."
            )
        return self._log(log)

    async def update_call_log(self, key: str, log: Ref, call: Call, entry: Entry) -> None:
        at = LogId.parse(log.id)
        if at.head == "activity":
            await self.http.put(f"sales_activities/{at.id}", {"sales_activity": activity_of(key, at.of, call, entry)})
        else:
            await self.http.put(f"notes/{at.id}", note_of(key, at.of, entry))

    async def create_task(self, key: str, contact: Ref, call: Call, entry: Entry) -> Ref:
        task = task_of(key, contact, call, entry)
        if "owner_id" not in task and (owner := await self._owner_of(contact)) is not None:
            task["owner_id"] = owner
        made = await self.http.post("tasks", {"task": task})
        return Ref("task", str(made["task"]["id"]), self._person(contact.kind, contact.id).url)

    async def find_owner(self, contact: Ref) -> str | None:
        owner = await self._owner_of(contact)
        return None if owner is None else str(owner)

    async def find_by_key(self, kind: Kind, key: str, parent: Ref | None) -> Ref | None:
        if kind == "contact":
            return await self._contact_with(key)
        parent = below(kind, parent)
        if kind != "task":
            return await self._log_with(key, parent)
        task = await _OPEN_TASKS.row_with(self.http, key, parent)
        return None if task is None else Ref("task", str(task["id"]), self._person(parent.kind, parent.id).url)

    async def _contact_with(self, key: str) -> Ref | None:
        rows = (await self._rows("external_id", key)).get("contact", ())
        if any(row.get("external_id", key) != key for row in rows):
            raise CannotTell("Freshsales did not look contacts up by their external id; making one again is safe.")
        return next((self._person("contact", row["id"]) for row in rows), None)

    async def _log_with(self, key: str, contact: Ref) -> Ref | None:
        async for page in _ACTIVITIES.pages(self.http, f"{contact.kind}s/{contact.id}/activities"):
            timeline = Timeline(page.answer.body)
            if log := timeline.log_with(key, contact):
                return self._log(log)
            if timeline.is_untold:
                raise CannotTell("The contact's activities do not tell the words of its call logs.")
        return None

    async def _rows(self, field: str, value: str) -> dict[str, Sequence[dict[str, Any]]]:
        """Contacts, and in Classic leads, whose field is the value to the letter."""
        kinds = ("contact", "lead") if self.settings.classic else ("contact",)
        found = await self.http.get("lookup", {"q": value, "f": field, "entities": ",".join(kinds)})
        # the key is doubled: {"contacts": {"contacts": []}}
        return {kind: (found.get(f"{kind}s") or {}).get(f"{kind}s") or () for kind in kinds}

    def _matching(self, rows: Mapping[str, Sequence[dict[str, Any]]], caller: Caller) -> list[Ref]:
        """Contacts before leads, newest first."""
        return [self._person(kind, row["id"]) for kind in rows for row in with_number(rows[kind], caller.spellings)]

    async def _post_call(self, body: dict[str, Any]) -> Any:
        if self.options.call_log_format == "json":
            return await self.http.post("phone_calls", body)
        # brackets stay as they are in the names of fields
        form = aiohttp.FormData(form_of(body), quote_fields=False, default_to_multipart=True)
        return (await self.http.write("POST", "phone_calls", form=form)).body

    async def _whole_activity(self, contact: Ref, activity: dict[str, Any]) -> dict[str, Any]:
        """The activity with the owner and the type that every one must have."""
        owner = activity.get("owner_id") or await self._owner_of(contact)
        if owner is None:
            raise Rejected(
                "Freshsales wants an owner for a sales activity: map the agent, give the contact an owner, or fill "
                "options.fields.owner_id."
            )
        kind = activity.get("sales_activity_type_id") or await self._phone_type()
        return {**activity, "owner_id": owner, "sales_activity_type_id": kind}

    async def _owner_of(self, contact: Ref) -> int | None:
        found = await self.http.get(f"{contact.kind}s/{contact.id}", {"include": "owner"})
        owner = found[contact.kind].get("owner_id")
        return None if owner is None else int(owner)

    async def _phone_type(self) -> int:
        rows = (await self.http.known("selector/sales_activity_types")).body["sales_activity_types"]
        found = next((row["id"] for row in rows if row.get("internal_name") == "cphone"), None)
        if found is None:
            raise ConfigError(
                "The account has no sales activity type Phone: fill options.fields.sales_activity_type_id."
            )
        return int(found)

    async def _fields(self, probe: Probe, module: str) -> list[dict[str, Any]]:
        """The fields of a module, as far as they may be read."""
        lacks = f"The key's user may not read the fields of {module}: mandatory ones cannot be named in advance."
        body = await probe.wanted(f"settings/{module}/fields", lacks=lacks, or_else=(404,))
        return list((body or {}).get("fields", ()))

    def _log(self, log: LogId) -> Ref:
        return Ref("call_log", str(log), self._person(log.kind, log.target).url)

    def _person(self, kind: str, id_: int | str) -> Ref:
        return Ref("lead" if kind == "lead" else "contact", str(id_), self._address(f"{kind}s/{id_}"))

    def _address(self, path: str) -> str:
        return self.at(f"https://{self.settings.domain}/{'' if self.settings.classic else 'crm/sales/'}{path}")
