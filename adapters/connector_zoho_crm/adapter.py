"""Zoho CRM: a call is a record of the module Calls, on a contact or a lead; follow-ups are tasks, events or calls.

API: v8, https://www.zoho.com/crm/developer/docs/api/v8/, as docs/reference/zoho_crm.md has it. Auth: OAuth 2,
a refresh token per login. Limits: credits per rolling 24 hours, told by a header once half are gone; requests at once.
Quirks: a 2xx can refuse the record inside; nothing found is 204 without a body; search compares loosely and lags; type
and owner of a call stay as they were made; answered calls need a duration, missed ones must not have one.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from connector.adapter import (
    Adapter,
    Agent,
    Caller,
    Checked,
    Entry,
    Files,
    Grant,
    Kind,
    Leads,
    Listing,
    Owners,
    Pages,
    Probe,
    Quota,
    Ref,
    Sales,
    Tasks,
    agent_of,
    below,
    by_number,
    file_form,
    fingerprint,
    grant_of,
    has_number,
    is_marked,
    marked,
    one_line,
    rows_of,
    signed,
)
from connector.errors import CannotTell, CrmUnavailable, NotFound, Rejected
from connector.exotel.model import Call
from connector_zoho_crm.fields import FIELDS, call_fields, call_type, follow_up_fields
from connector_zoho_crm.settings import ZohoCrmOptions, ZohoCrmSettings
from connector_zoho_crm.wire import (
    NUMBER,
    code_of,
    details_of,
    is_dialable,
    item_of,
    quota_of,
    search_for,
    term,
    verdict_of,
    words_of,
)

#: In a call log's subject: what the contact or lead is called in the CRM.
_NAME = "{contact}"
_NUMBER_IN_NAME = re.compile(r"\+?\d[\d\s().-]{5,}\d")
_MODULES: Mapping[Kind, str] = {"contact": "Contacts", "lead": "Leads", "call_log": "Calls"}
#: Option `follow_up` -> module, and the related list in which open ones are; a call that is over is in another list.
_FOLLOW_UPS = {"task": "Tasks", "event": "Events", "call": "Calls"}
_CALLS_OVER = "Calls_History"
#: The one field has two names: SDKs have the first, the documentation the second (docs/reference/zoho_crm.md §5).
_STATUS_NAMES = ("Outgoing_Call_Status", "Outbound_Call_Status")
#: What a Description takes, less room for the key.
_TEXT = 31_000
_PAGE = 200
_PAGES = Pages(
    {"page": "1", "per_page": str(_PAGE)},
    by_number(lambda page: bool(((page.answer.body or {}).get("info") or {}).get("more_records"))),
    "data",
    hidden="Zoho CRM does not show the list {list}.",
)
_FILES = Listing(_PAGES, "Calls/{parent.id}/Attachments", "File_Name", {"fields": "File_Name"}, carries=is_marked)


class ZohoCrm(Adapter[ZohoCrmSettings], Sales, Tasks, Leads, Files, Owners):
    name, title = "zoho_crm", "Zoho CRM"
    settings_model, options_model = ZohoCrmSettings, ZohoCrmOptions
    options: ZohoCrmOptions
    default_words: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "log_subject": {
            "missed": f"Missed call from {_NAME} ({{{{ number }}}})",
            # an outgoing call has a second of duration at least, so that the subject says that nobody was reached
            "outbound": "Outgoing call to {{ number }}{% if not duration_s %} - {{ outcome }}{% endif %}",
        }
    }
    authorization = "Zoho-oauthtoken {token}"
    account_by_login = True
    #: Half of the smallest paid edition's day; from there on the header tells how to go on (`quota`).
    limits: ClassVar = {"all": (25_000, 3600.0)}
    #: Standard's; Free has half of it (docs/reference/zoho_crm.md §9).
    in_flight = 10
    #: People are known by their number alone, unless `options.key_field` holds the key.
    lookup: ClassVar = {
        "contact": "none",
        "lead": "none",
        "call_log": "listing",
        "task": "listing",
        "file": "listing",
    }
    files_on: ClassVar = ("call_log",)
    #: A record that is locked, or in a blueprint, is free again after a while; a missing right is no bad login.
    errors: ClassVar = {
        (423, None): CrmUnavailable,
        (403, "NO_PERMISSION"): Rejected,
        (403, "PERMISSION_DENIED"): Rejected,
        (413, None): Rejected,
    }

    @property
    def root(self) -> str:
        return self.at(f"https://{self.settings.api_host}/crm/v8/")

    @property
    def account(self) -> str:
        # No setting names the organisation; its login does.
        return f"{self.settings.api_host}/{fingerprint(self.grant().identity)}"

    def headers(self) -> dict[str, str]:
        return {}

    def grant(self) -> Grant:
        accounts = self.settings.accounts_url or self.at(f"https://accounts.{self.settings.domain}")
        return grant_of(self.settings, f"{accounts.rstrip('/')}/oauth/v2/token")

    def quota(self, headers: Mapping[str, str]) -> Mapping[str, Quota]:
        return quota_of(headers)

    def verdict(self, status: int, body: Any) -> int:
        return verdict_of(status, body)

    def error_code(self, body: Any) -> str | None:
        return code_of(body)

    def error_words(self, body: Any) -> Mapping[str, str]:
        return words_of(body)

    async def prepare(self) -> None:
        field = self.options.key_field
        for module in self._keyed_modules():
            rows = await self._fields(module)
            if rows is not None and not any(row["api_name"] == field for row in rows):
                # Zoho makes the API name of the label; without the right, or room, for it `check` says what is lost.
                made = {"field_label": str(field).replace("_", " "), "data_type": "text", "length": 120}
                body = {"fields": [{**made, "unique": {"case_sensitive": True}}]}
                await self.http.write("POST", "settings/fields", body, query={"module": module}, accept=(400, 403, 409))

    async def check(self) -> Checked:
        probe = Probe(self.http)
        org = await probe.needed(
            "org", lacks="The login may not read its organisation: it needs the scope ZohoCRM.org.READ."
        )
        lacks = "The login may not read fields (ZohoCRM.settings.fields.READ): mandatory ones are not known."
        fields = await probe.wanted("settings/fields", {"module": "Calls"}, lacks=lacks)
        probe.missing += FIELDS.mandatory(rows_of(fields, "fields"), "call")
        lacks = "The login may not list users (ZohoCRM.users.READ): enter agents by hand."
        await probe.wanted("users", {"type": "ActiveConfirmedUsers", "page": "1", "per_page": "1"}, lacks=lacks)
        for module in self._keyed_modules():
            rows = await self._fields(module)
            if not any(row["api_name"] == self.options.key_field and row.get("unique") for row in rows or ()):
                probe.missing.append(
                    f"{module} has no text field {self.options.key_field} without duplicates, and the login may not "
                    "make it: make it, or leave options.key_field out."
                )
        found = rows_of(org, "org") or [{}]
        return probe.checked(f"{found[0].get('company_name') or 'Zoho CRM'} ({self.settings.data_center})")

    async def list_agents(self) -> list[Agent]:
        rows = _PAGES.rows(self.http, "users", {"type": "ActiveConfirmedUsers"}, name="users")
        return [agent_of(row, "mobile", "phone", name="full_name", ids={"zuid": "zuid"}) async for row in rows]

    async def find_contacts(self, caller: Caller) -> list[Ref]:
        criteria = search_for(caller.spellings)
        kinds: tuple[Kind, ...] = ("contact", "lead") if criteria else ()
        for kind in kinds:
            query = {"criteria": criteria, "fields": "Last_Name,Phone,Mobile,Modified_Time", "per_page": str(_PAGE)}
            rows = rows_of(await self.http.get(f"{_MODULES[kind]}/search", query))
            # `equals` means "contains" where there are several terms (docs/reference/zoho_crm.md §3.1)
            at = ("Phone", "Mobile", "Last_Name")
            rows = [row for row in rows if has_number(row, caller.spellings, *at, digits=NUMBER)]
            if rows:
                rows.sort(key=lambda row: (str(row.get("Modified_Time")), str(row["id"])), reverse=True)
                return [self._ref(kind, str(row["id"])) for row in rows]
        return []

    async def create_contact(self, key: str, caller: Caller, name: str) -> Ref:
        return await self._insert("contact", "Contacts", self._person(key, caller, name))

    async def create_lead(self, key: str, caller: Caller, name: str) -> Ref:
        # the layout that accounts begin with demands a company
        company = {"Company": one_line(name, otherwise=caller.text)}
        return await self._insert("lead", "Leads", self._person(key, caller, name) | company)

    async def log_call(self, key: str, contact: Ref, call: Call, entry: Entry) -> Ref:
        wanted = ["Full_Name"] if _NAME in entry.subject else []
        if "company" in self.options.associate and contact.kind == "contact":
            wanted.append("Account_Name")
        who = await self._person_of(contact, wanted) if wanted else {}
        body = {
            "Call_Type": call_type(call),
            **self._words("Subject", key, entry, who.get("Full_Name")),
            **call_fields(call),
            **await self._associated(contact, who),
            **(await self._status("Completed") if call.direction == "outbound" else {}),
            **_owner(entry),
            **FIELDS.written(entry.fields),
        }
        return await self._insert("call_log", "Calls", body)

    async def update_call_log(self, key: str, log: Ref, call: Call, entry: Entry) -> None:
        name = await self._name_in(log) if _NAME in entry.subject else None
        # type and owner of a call cannot be changed, and whom it is with stays (docs/reference/zoho_crm.md §5)
        words = self._words("Subject", key, entry, name)
        body = {"id": log.id, **words, **call_fields(call), **FIELDS.written(entry.fields)}
        await self.http.put(f"Calls/{log.id}", {"data": [body]})

    async def create_task(self, key: str, contact: Ref, call: Call, entry: Entry) -> Ref:
        kind = self.options.follow_up if self.options.follow_up in _FOLLOW_UPS else "task"
        words = self._words("Event_Title" if kind == "event" else "Subject", key, entry, None)
        subject = str(words.get("Subject") or words.get("Event_Title"))
        body = {
            **follow_up_fields(kind, subject, call, datetime.now(UTC)),
            **words,
            **_links(contact),
            **(await self._status("Scheduled") if kind == "call" else {}),
            **_owner(entry),
        }
        return await self._insert("task", _FOLLOW_UPS[kind], body)

    async def attach(self, key: str, to: Ref, name: str, content: bytes, mime: str) -> Ref:
        # its name is the only place for a key
        form = file_form("file", marked(key, name), content, mime)
        made = await self.http.write("POST", f"Calls/{to.id}/Attachments", form=form)
        return self._ref("file", str(details_of(item_of(made.body))["id"]), "Calls", shown=to)

    async def find_owner(self, contact: Ref) -> str | None:
        owner = (await self._person_of(contact, ["Owner"])).get("Owner") or {}
        return str(owner["id"]) if owner.get("id") else None

    async def find_by_key(self, kind: Kind, key: str, parent: Ref | None) -> Ref | None:
        if kind == "file" and parent is not None:
            row = await _FILES.row_with(self.http, key, parent)
            return None if row is None else self._ref("file", str(row["id"]), "Calls", shown=parent)
        module = self._module_of(kind)
        field = self.options.key_field
        if field:
            query = {"criteria": term(field, key), "fields": field}
            rows = rows_of(await self.http.get(f"{module}/search", query))
            return next((self._ref(kind, str(row["id"]), module) for row in rows if row.get(field) == key), None)
        if kind in ("contact", "lead"):
            raise CannotTell("Zoho CRM has no place for a key on a person; people are found by their number.")
        parent = below(kind, parent)
        over = f"{_MODULES[parent.kind]}/{{parent.id}}/{_CALLS_OVER if kind == 'call_log' else module}"
        found = await Listing(_PAGES, over, "Description", {"fields": "Description"}).row_with(self.http, key, parent)
        return None if found is None else self._ref(kind, str(found["id"]), module)

    # --- parts of requests ---

    def _person(self, key: str, caller: Caller, name: str) -> dict[str, Any]:
        number = caller.saved or caller.text
        # A `sip:` address is no phone number to Zoho; as a name it is found again.
        known_as = name if is_dialable(number) or not caller.spellings else caller.text
        phone = {"Phone": number} if is_dialable(number) else {}
        return {"Last_Name": one_line(known_as, otherwise=caller.text)[:80], **phone, **self._key(key)}

    def _key(self, key: str) -> dict[str, str]:
        return {self.options.key_field: key} if self.options.key_field else {}

    def _words(self, subject: str, key: str, entry: Entry, name: str | None) -> dict[str, Any]:
        line = one_line(entry.subject.replace(_NAME, _without_number(name or "") or "Unknown"), otherwise="Call")
        text = entry.text[:_TEXT].rstrip()
        text = text.lstrip() if self.options.key_field else signed(text, key)
        return {subject: line, "Description": text, **self._key(key)}

    async def _associated(self, contact: Ref, who: Mapping[str, Any]) -> dict[str, Any]:
        """Whom a call is with, and what it is about: the contact's newest deal, else the company."""
        links = _links(contact)
        deals: list[dict[str, Any]] = []
        if "deal" in self.options.associate and contact.kind == "contact":
            query = {"fields": "Deal_Name,Modified_Time", "per_page": str(_PAGE)}
            deals = rows_of(await self.http.get(f"Contacts/{contact.id}/Deals", query))
        if deals:
            newest = max(deals, key=lambda row: (str(row.get("Modified_Time")), str(row["id"])))
            links |= {"What_Id": {"id": str(newest["id"])}, "$se_module": "Deals"}
        elif company := who.get("Account_Name"):
            links |= {"What_Id": {"id": str(company["id"])}, "$se_module": "Accounts"}
        return links

    async def _status(self, value: str) -> dict[str, str]:
        answer = await self.http.known("settings/fields", {"module": "Calls"}, accept=(400, 403, 404))
        names = {row["api_name"] for row in rows_of(answer.body, "fields")} if answer.status < 300 else set()
        return next(({name: value} for name in _STATUS_NAMES if name in names), {})

    # --- reads ---

    async def _fields(self, module: str) -> list[dict[str, Any]] | None:
        """The module's fields; None where the login may not read them."""
        answer = await self.http.read("settings/fields", {"module": module}, accept=(403,))
        return None if answer.status == 403 else rows_of(answer.body, "fields")

    async def _person_of(self, contact: Ref, fields: list[str]) -> dict[str, Any]:
        rows = rows_of(await self.http.get(f"{_MODULES[contact.kind]}/{contact.id}", {"fields": ",".join(fields)}))
        if not rows:
            raise NotFound(f"The {contact.kind} was deleted.", status=404)
        return rows[0]

    async def _name_in(self, log: Ref) -> str | None:
        """What the contact or lead of a call is called."""
        rows = rows_of(await self.http.get(f"Calls/{log.id}", {"fields": "Who_Id,What_Id"}))
        if not rows:
            raise NotFound("The call was deleted.", status=404)
        with_whom = rows[0].get("Who_Id") or rows[0].get("What_Id") or {}
        return with_whom.get("name")

    # --- writes ---

    async def _insert(self, kind: Kind, module: str, body: Mapping[str, Any]) -> Ref:
        """Makes a record, or returns the one that a unique field says is there already."""
        made = await self.http.write("POST", module, {"data": [body]}, accept=(409,))
        item = item_of(made.body)
        details = details_of(item)
        if made.status != 409:
            return self._ref(kind, str(details["id"]), module)
        there = details.get("id") or (details.get("duplicate_record") or {}).get("id")
        ours = kind in ("contact", "lead") or details.get("api_name") in (None, self.options.key_field)
        if there is None or not ours:
            raise self.http.refusal(made)
        return self._ref(kind, str(there), module)

    def _keyed_modules(self) -> tuple[str, ...]:
        if not self.options.key_field:
            return ()
        follow_up = _FOLLOW_UPS.get(self.options.follow_up)
        return tuple(dict.fromkeys(filter(None, ("Contacts", "Leads", "Calls", follow_up))))

    def _module_of(self, kind: Kind) -> str:
        return _MODULES.get(kind) or _FOLLOW_UPS.get(self.options.follow_up, "Tasks")

    def _ref(self, kind: Kind, id_: str, module: str | None = None, *, shown: Ref | None = None) -> Ref:
        """`shown`: the record on whose page it is seen, where it has none of its own."""
        if shown is not None:
            return Ref(kind, id_, shown.url)
        page = f"https://crm.{self.settings.domain}/crm/tab/{module or _MODULES[kind]}/{id_}"
        return Ref(kind, id_, self.at(page))


def _without_number(name: str) -> str:
    """A contact's name without the number that some connectors make part of it; a subject has its own words for it."""
    return " ".join(_NUMBER_IN_NAME.sub(" ", name).split())


def _owner(entry: Entry) -> dict[str, Any]:
    return {"Owner": {"id": entry.agent.id}} if entry.agent else {}


def _links(person: Ref) -> dict[str, Any]:
    """A contact is whom a call is with, a lead what it is about (docs/reference/zoho_crm.md §5)."""
    if person.kind == "lead":
        return {"What_Id": {"id": person.id}, "$se_module": "Leads"}
    return {"Who_Id": {"id": person.id}}
