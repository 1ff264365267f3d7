"""Zoho Desk: contacts, tickets, comments and call activities of one department.

API: v1, https://desk.zoho.com/DeskAPIDocument and its OpenAPI files, as docs/reference/zoho_desk.md has it. Auth: OAuth
2 of Zoho accounts, a server per data centre, plus the header `orgId`. Limits: credits per day, and few requests at
once. Quirks: search lags minutes behind, lists do not, but they leave the texts out; an empty list is 204 without a
body; a missing scope may be answered 401; public comments are mailed to the customer; nothing can be upserted.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from connector.adapter import (
    Adapter,
    Agent,
    Caller,
    Checked,
    Desk,
    EditableNotes,
    Entry,
    Files,
    Grant,
    Kind,
    Probe,
    Quota,
    Ref,
    Sales,
    TicketRule,
    agent_of,
    below,
    file_form,
    given_to,
    grant_of,
    has_number,
    link,
    marked,
    one_line,
    rows_of,
    signed,
    stamp,
    subject_of,
)
from connector.errors import ConfigError, Rejected
from connector.exotel.model import Call
from connector_zoho_desk.settings import ZohoDeskOptions, ZohoDeskSettings
from connector_zoho_desk.tables import (
    FIELDS,
    KEYS,
    WAITS_S,
    call_facts,
    fields_of,
    is_duplicate,
    list_of,
    phone_of,
    quota_of,
    refused,
    searched,
)

_SUBJECT, _CALL_SUBJECT = 1000, 300
_GONE = ("isTrashed", "isDeleted")
_RULE = TicketRule(owner="assigneeId", gone=_GONE, longest=_SUBJECT)
#: What cannot be done without: path, query, scopes.
_NEEDED = (
    ("contacts/search", {"phone": "0", "limit": "1"}, "Desk.contacts.READ and Desk.search.READ"),
    ("tickets", {"limit": "1"}, "Desk.tickets.READ"),
)


class ZohoDesk(Adapter[ZohoDeskSettings], Desk, EditableNotes, Sales, Files):
    name, title = "zoho_desk", "Zoho Desk"
    settings_model, options_model = ZohoDeskSettings, ZohoDeskOptions
    default_options: ClassVar = {
        "answered": "ticket",
        "missed": "open_ticket",
        # the ticket's own number, which its people call back (docs/reference/exotel-flows.md §4.7.1)
        "fields": {"phone": "{{ number }}"},
    }
    default_words: ClassVar = {
        "subject": {"answered": "Inbound call from {{ number }}"},
        "log_subject": {"answered": "Inbound call from {{ number }}", "outbound": "Outbound call to {{ number }}"},
    }
    #: Nothing is limited per minute; this is where a 429 and spent credits (`quota`) are kept.
    limits: ClassVar = {"all": (1_000_000, 60.0)}
    #: The plan with the fewest allows five at once, over all programs.
    in_flight = 4
    lookup: ClassVar = {
        "contact": "search",
        "ticket": "listing",
        "note": "listing",
        "call_log": "listing",
        "file": "listing",
    }
    findable_after_s = 300.0
    #: What the plan does not include is no bad login.
    errors: ClassVar = {(403, "LICENSE_ACCESS_LIMITED"): Rejected}
    code_key = "errorCode"
    authorization = "Zoho-oauthtoken {token}"

    options: ZohoDeskOptions

    @property
    def root(self) -> str:
        return self.at(f"https://{self.settings.desk_host}/api/v1/")

    @property
    def account(self) -> str:
        return f"{self.settings.desk_host}/{self.settings.org_id}"

    def headers(self) -> dict[str, str]:
        return {"orgId": self.settings.org_id}

    def grant(self) -> Grant:
        told = self.settings.accounts_url
        accounts = told.rstrip("/") if told else self.at(self.settings.accounts)
        return grant_of(self.settings, f"{accounts}/oauth/v2/token")

    def quota(self, headers: Mapping[str, str]) -> Mapping[str, Quota]:
        return quota_of(headers)

    def wait_s(self, body: Any) -> float | None:
        return WAITS_S.get(self.error_code(body) or "")

    def error_words(self, body: Any) -> Mapping[str, str]:
        return refused(body)

    async def check(self) -> Checked:
        organisations = rows_of(await self.http.get("organizations"))
        organisation = self._own("organizations", "org_id", "companyName", organisations)
        departments = [row async for row in list_of(200, 5).rows(self.http, "departments")]
        department = self._own("departments", "department_id", "name", departments)
        probe = Probe(self.http, refused=(401, 403))  # a missing scope shows up as either
        if not department.get("isEnabled", True):
            probe.missing.append("The department is disabled.")
        for path, query, scopes in _NEEDED:
            await probe.needed(path, query, lacks=f"The login lacks the scopes {scopes}: connect again with them.")
        lacks = "The login lacks the scope Desk.settings.READ: mandatory fields cannot be named in advance."
        fields = await probe.wanted("organizationFields", {"module": "tickets"}, lacks=lacks)
        probe.missing += FIELDS.mandatory(rows_of(fields), "ticket")
        lacks = "The login may not list agents (scope Desk.basic.READ): enter them by hand."
        await probe.wanted("agents", {"limit": "1"}, lacks=lacks)
        lacks = "Calls cannot be logged: the scopes Desk.calls.* or the plan's activities are missing."
        await probe.wanted("calls", {"limit": "1"}, lacks=lacks, or_else=(404,))
        return probe.checked(f"{organisation.get('companyName')}, {department.get('name')}")

    async def list_agents(self) -> list[Agent]:
        rows = list_of(200, 25).rows(self.http, "agents", {"status": "ACTIVE"})
        return [agent_of(row, "mobile", "phone", email="emailId", ids={"zuid": "zuid"}) async for row in rows]

    async def find_contacts(self, caller: Caller) -> list[Ref]:
        values = searched(caller.spellings)
        if not values:
            return []
        found: dict[str, dict[str, Any]] = {}
        for name in ("phone", "mobile"):  # together in one request they would both have to fit
            query = {name: values, "sortBy": "-modifiedTime", "limit": "100"}
            found |= {str(row["id"]): row for row in rows_of(await self.http.get("contacts/search", query))}
        rows = [row for row in found.values() if has_number(row, caller.spellings, "phone", "mobile")]
        rows = [row for row in rows if not _gone(row)]
        rows.sort(key=lambda row: (not row.get("isSpam"), _changed(row), int(row["id"])), reverse=True)
        return [_ref("contact", row) for row in rows]

    async def create_contact(self, key: str, caller: Caller, name: str) -> Ref:
        body = {
            "lastName": one_line(name, 200, caller.text[:200]),
            **phone_of(caller.spellings, caller.saved),
            "description": signed("", key),
        }
        made = await self.http.write("POST", "contacts", body, accept=(422,))
        if made.status != 422:
            return _ref("contact", made.body)
        twins = await self.find_contacts(caller) if is_duplicate(made.body) else []
        if not twins:
            raise self.http.refusal(made)
        return twins[0]

    async def create_ticket(self, key: str, contact: Ref, entry: Entry) -> Ref:
        body = {
            "departmentId": self.settings.department_id,
            "contactId": contact.id,
            "channel": "Phone",
            **_words(key, entry),
        }
        return _ref("ticket", await self.http.post("tickets", body))

    async def update_ticket(self, key: str, ticket: Ref, entry: Entry, was: str) -> None:
        words = _RULE.change(await self.http.get(f"tickets/{ticket.id}"), was, _words(key, entry))
        if words is not None:
            await self.http.patch(f"tickets/{ticket.id}", words)

    async def add_note(self, key: str, ticket: Ref, entry: Entry) -> Ref:
        body = {"content": entry.html + stamp(key), "contentType": "html", "isPublic": not entry.private}
        return _note(ticket, await self.http.post(f"tickets/{ticket.id}/comments", body))

    async def update_note(self, key: str, note: Ref, entry: Entry) -> None:
        ticket, _, comment = note.id.partition("/")
        await self.http.patch(f"tickets/{ticket}/comments/{comment}", {"content": entry.html + stamp(key)})

    async def attach(self, key: str, to: Ref, name: str, content: bytes, mime: str) -> Ref:
        # its name is the only place for a key; what is not public the customer does not see
        form, query = file_form("file", marked(key, name), content, mime), {"isPublic": "false"}
        made = await self.http.write("POST", f"tickets/{to.id}/attachments", form=form, query=query)
        return Ref("file", str(made.body["id"]), to.url)

    async def find_open_ticket(self, contact: Ref) -> Ref | None:
        query = {"sortBy": "-createdTime", "limit": "50"}
        for row in rows_of(await self.http.get(f"contacts/{contact.id}/tickets", query)):
            ours = str(row.get("departmentId")) == self.settings.department_id
            if ours and (row.get("statusType") or row.get("status")) != "Closed" and not _gone(row):
                return _ref("ticket", row)
        return None

    async def log_call(self, key: str, contact: Ref, call: Call, entry: Entry) -> Ref:
        ticket = next((ref for ref in entry.related if ref.kind == "ticket"), None)
        body = {
            "contactId": contact.id,
            "departmentId": self.settings.department_id,
            **({"ticketId": ticket.id} if ticket and "ticket" in self.options.associate else {}),
            **_call_words(key, call, entry),
        }
        return _ref("call_log", await self.http.post("calls", body))

    async def update_call_log(self, key: str, log: Ref, call: Call, entry: Entry) -> None:
        await self.http.patch(f"calls/{log.id}", _call_words(key, call, entry))

    async def find_by_key(self, kind: Kind, key: str, parent: Ref | None) -> Ref | None:
        if kind == "contact":
            for row in rows_of(await self.http.get("contacts/search", {"_all": key, "limit": "10"})):
                if await KEYS[kind].is_in(self.http, key, row):
                    return _ref(kind, row)
            return None
        parent = below(kind, parent)
        ours = {"departmentId": self.settings.department_id} if kind == "call_log" else {}
        found = await KEYS[kind].row_with(self.http, key, parent, ours)
        if found is None:
            return None
        if kind == "note":
            return _note(parent, found)
        return Ref("file", str(found["id"]), parent.url) if kind == "file" else _ref(kind, found)

    def _own(self, path: str, setting: str, title: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """The row of a list that a setting names. Raises `ConfigError` with those that there are."""
        wanted = getattr(self.settings, setting)
        for row in rows:
            if str(row["id"]) == wanted:
                return row
        known = ", ".join(f"{row['id']} ({row.get(title)})" for row in rows) or "none"
        raise ConfigError(f"{wanted} is not among the {path} of this login: {known}.", field=setting)


def _gone(row: Mapping[str, Any]) -> bool:
    return any(row.get(name) for name in _GONE)


def _changed(row: Mapping[str, Any]) -> str:
    return str(row.get("modifiedTime") or row.get("createdTime") or "")


def _words(key: str, entry: Entry) -> dict[str, Any]:
    words = {"subject": subject_of(entry.subject, _SUBJECT), "description": entry.html + stamp(key)}
    return {**words, **given_to("assigneeId", entry), **fields_of(entry.fields)}


def _call_words(key: str, call: Call, entry: Entry) -> dict[str, Any]:
    subject = subject_of(entry.subject, _CALL_SUBJECT)
    words = {"subject": subject, **call_facts(call), "description": signed(entry.text, key)}
    return {**words, **given_to("ownerId", entry), **fields_of(entry.fields)}


def _ref(kind: Kind, row: Mapping[str, Any]) -> Ref:
    return Ref(kind, str(row["id"]), link(row.get("webUrl")))


def _note(ticket: Ref, row: Mapping[str, Any]) -> Ref:
    # a comment is changed below its ticket, so its id names both
    return Ref("note", f"{ticket.id}/{row['id']}", ticket.url)
