"""Zoho Desk: contacts, tickets, comments and call activities of one department.

API: v1, https://desk.zoho.com/DeskAPIDocument and its OpenAPI files, as read in the project's reference. Auth: OAuth 2
of Zoho accounts, a server per data centre, plus the header `orgId`. Limits: credits per day, and few requests at once.
Quirks: search lags minutes behind, lists do not, but they leave the texts out; an empty list is 204 without a body; a
missing scope may be answered 401; public comments are mailed to the customer; nothing can be upserted.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar

import aiohttp

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
    Lookup,
    Quota,
    Ref,
    Sales,
    alike,
    is_marked,
    marked,
    stamp,
    stamped,
)
from connector.errors import AuthFailed, CannotTell, ConfigError, CrmError, NotFound, Rejected
from connector.exotel.model import Call
from connector_zoho_desk.fields import fields_of, is_duplicate, mandatory, refused
from connector_zoho_desk.settings import ZohoDeskOptions, ZohoDeskSettings
from connector_zoho_desk.wire import WAITS_S, call_facts, one_line, phone_of, quota_of, searched, subject_of

_CALL_SUBJECT = 300
#: What cannot be done without: path, query, scopes.
_NEEDED = (
    ("contacts/search", {"phone": "0", "limit": "1"}, "Desk.contacts.READ and Desk.search.READ"),
    ("tickets", {"limit": "1"}, "Desk.tickets.READ"),
)
_REFUSED = (401, 403)  # a missing scope shows up as either


class ZohoDesk(Adapter[ZohoDeskSettings], Desk, EditableNotes, Sales, Files):
    name, title = "zoho_desk", "Zoho Desk"
    settings_model, options_model = ZohoDeskSettings, ZohoDeskOptions
    default_options: ClassVar = {
        "answered": "ticket",
        "missed": "open_ticket",
        "fields": {"phone": "{{ number }}"},  # the ticket's own number, which its people call back (seed 004 §4.7.1)
    }
    default_words: ClassVar = {
        "subject": {"answered": "Inbound call from {{ number }}"},
        "log_subject": {"answered": "Inbound call from {{ number }}", "outbound": "Outbound call to {{ number }}"},
    }
    #: Nothing is limited per minute; this is where a 429 and spent credits (`quota`) are kept.
    limits: ClassVar = {"all": (1_000_000, 60.0)}
    #: The plan with the fewest allows five at once, over all programs.
    in_flight = 4
    lookup: ClassVar[Mapping[Kind, Lookup]] = {
        "contact": "search",
        "ticket": "listing",
        "note": "listing",
        "call_log": "listing",
        "file": "listing",
    }
    findable_after_s = 300.0
    #: What the plan does not include is no bad login.
    errors: ClassVar[Mapping[tuple[int, str | None], type[CrmError]]] = {(403, "LICENSE_ACCESS_LIMITED"): Rejected}
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
        return Grant(
            token_url=(told.rstrip("/") if told else self.at(f"https://{self.settings.accounts_host}"))
            + "/oauth/v2/token",
            client_id=self.settings.client_id,
            client_secret=self.settings.client_secret.get_secret_value(),
            refresh_token=self.settings.refresh_token.get_secret_value(),
        )

    def quota(self, headers: Mapping[str, str]) -> Mapping[str, Quota]:
        return quota_of(headers)

    def error_code(self, body: Any) -> str | None:
        code = body.get("errorCode") if isinstance(body, dict) else None
        return code if isinstance(code, str) else None

    def wait_s(self, body: Any) -> float | None:
        return WAITS_S.get(self.error_code(body) or "")

    def error_words(self, body: Any) -> Mapping[str, str]:
        return refused(body)

    async def check(self) -> Checked:
        organisation = await self._own("organizations", "org_id", "companyName", size=None)
        department = await self._own("departments", "department_id", "name", size=200)
        missing = [] if department.get("isEnabled", True) else ["The department is disabled."]
        for path, query, scopes in _NEEDED:
            found = await self.http.read(path, query, accept=_REFUSED)
            if found.status in _REFUSED:
                raise AuthFailed(f"The login lacks the scopes {scopes}: connect again with them.", status=found.status)
        fields = await self.http.read("organizationFields", {"module": "tickets"}, accept=_REFUSED)
        if fields.status in _REFUSED:
            missing.append("The login lacks the scope Desk.settings.READ: mandatory fields cannot be named in advance.")
        else:
            missing += [words for row in _rows(fields.body) if (words := mandatory(row))]
        if (await self.http.read("agents", {"limit": "1"}, accept=_REFUSED)).status in _REFUSED:
            missing.append("The login may not list agents (scope Desk.basic.READ): enter them by hand.")
        if (await self.http.read("calls", {"limit": "1"}, accept=(*_REFUSED, 404))).status >= 400:
            missing.append("Calls cannot be logged: the scopes Desk.calls.* or the plan's activities are missing.")
        return Checked(f"{organisation.get('companyName')}, {department.get('name')}", tuple(missing))

    async def list_agents(self) -> list[Agent]:
        return [
            Agent(
                id=str(row["id"]),
                name=row.get("name") or "",
                email=row.get("emailId"),
                phone=row.get("mobile") or row.get("phone"),
                ids={"zuid": str(row["zuid"])} if row.get("zuid") else {},
            )
            async for row in self._listed("agents", {"status": "ACTIVE"}, size=200, pages=25)
        ]

    async def find_contacts(self, caller: Caller) -> list[Ref]:
        values = searched(caller.spellings)
        if not values:
            return []
        found: dict[str, dict[str, Any]] = {}
        for name in ("phone", "mobile"):  # together in one request they would both have to fit
            query = {name: values, "sortBy": "-modifiedTime", "limit": "100"}
            found |= {str(row["id"]): row for row in _rows(await self.http.get("contacts/search", query))}
        wanted = {alike(spelling) for spelling in caller.spellings}
        rows = [
            row
            for row in found.values()
            if {alike(row.get("phone")), alike(row.get("mobile"))} & wanted and not _gone(row)
        ]
        rows.sort(key=lambda row: (not row.get("isSpam"), _changed(row), int(row["id"])), reverse=True)
        return [_ref("contact", row) for row in rows]

    async def create_contact(self, key: str, caller: Caller, name: str) -> Ref:
        body = {
            "lastName": one_line(name, 200) or caller.text[:200],
            **phone_of(caller.spellings, caller.saved),
            "description": _marked("", key),
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
        now: dict[str, Any] = await self.http.get(f"tickets/{ticket.id}")
        if _gone(now):
            raise NotFound("The ticket was deleted.", status=404)
        if one_line(now.get("subject") or "", 1000) != subject_of(was):
            return
        words = _words(key, entry)
        # where a ticket stands, and who has it, is its people's business once it is made
        words.pop("status", None)
        if now.get("assigneeId"):
            words.pop("assigneeId", None)
        await self.http.patch(f"tickets/{ticket.id}", words)

    async def add_note(self, key: str, ticket: Ref, entry: Entry) -> Ref:
        body = {"content": entry.html + stamp(key), "contentType": "html", "isPublic": not entry.private}
        return _note(ticket, await self.http.post(f"tickets/{ticket.id}/comments", body))

    async def update_note(self, key: str, note: Ref, entry: Entry) -> None:
        ticket, _, comment = note.id.partition("/")
        await self.http.patch(f"tickets/{ticket}/comments/{comment}", {"content": entry.html + stamp(key)})

    async def attach(self, key: str, to: Ref, name: str, content: bytes, mime: str) -> Ref:
        # its name is the only place for a key; what is not public the customer does not see
        form = aiohttp.FormData()
        form.add_field("file", content, filename=marked(key, name), content_type=mime)
        query = {"isPublic": "false"}
        made = await self.http.write("POST", f"tickets/{to.id}/attachments", form=form, query=query)
        return Ref("file", str(made.body["id"]), to.url)

    async def find_open_ticket(self, contact: Ref) -> Ref | None:
        query = {"sortBy": "-createdTime", "limit": "50"}
        for row in _rows(await self.http.get(f"contacts/{contact.id}/tickets", query)):
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
            rows = _rows(await self.http.get("contacts/search", {"_all": key, "limit": "10"}))
            return await self._marked_one(kind, key, "contacts", rows)
        if parent is None:
            raise CannotTell(f"A {kind} is looked for below the record it hangs on, which is not known.")
        newest = {"sortBy": "-createdTime"}
        if kind == "ticket":
            path = f"contacts/{parent.id}/tickets"
            async for row in self._listed(path, newest, size=50, pages=1):
                if found := await self._marked_one(kind, key, "tickets", [row]):
                    return found
        elif kind == "call_log":
            # a contact's calls have no list of their own
            query = {**newest, "departmentId": self.settings.department_id}
            async for row in self._listed("calls", query, size=100, pages=10):
                if str(row.get("contactId")) == parent.id and (
                    found := await self._marked_one(kind, key, "calls", [row])
                ):
                    return found
        elif kind == "file":
            async for row in self._listed(f"tickets/{parent.id}/attachments", newest, size=100, pages=10):
                if is_marked(key, row.get("name") or ""):
                    return Ref("file", str(row["id"]), parent.url)
        else:
            path = f"tickets/{parent.id}/comments"
            async for row in self._listed(path, {"sortBy": "-commentedTime"}, size=100, pages=10):
                if stamped(key, row.get("content") or ""):
                    return _note(parent, row)
        return None

    async def _marked_one(self, kind: Kind, key: str, path: str, rows: list[dict[str, Any]]) -> Ref | None:
        """The row that carries the key. Lists leave the description out: then the record itself is read."""
        for row in rows:
            whole = row
            if "description" not in row:
                whole = (await self.http.read(f"{path}/{row['id']}", accept=(404,))).body
            if stamped(key, whole.get("description") or ""):
                return _ref(kind, row)
        return None

    async def _own(self, path: str, setting: str, title: str, *, size: int | None) -> dict[str, Any]:
        """The row of a list that a setting names. Raises `ConfigError` with those that there are."""
        wanted = getattr(self.settings, setting)
        rows = [row async for row in self._listed(path, {}, size=size, pages=5)]
        for row in rows:
            if str(row["id"]) == wanted:
                return row
        known = ", ".join(f"{row['id']} ({row.get(title)})" for row in rows) or "none"
        raise ConfigError(f"{wanted} is not among the {path} of this login: {known}.", field=setting)

    async def _listed(
        self, path: str, query: Mapping[str, str], *, size: int | None, pages: int
    ) -> AsyncIterator[dict[str, Any]]:
        """The rows of a list, page by page; `size` None: it has one page. Raises `CannotTell` where it is longer."""
        if size is None:
            for row in _rows(await self.http.get(path, query)):
                yield row
            return
        seen: set[str] = set()
        for page in range(pages):
            begin = {"from": str(page * size)} if page else {}
            rows = _rows(await self.http.get(path, {**query, "limit": str(size), **begin}))
            for row in rows:
                # some lists are said to count from 1: then the last row comes again
                if row["id"] not in seen:
                    seen.add(row["id"])
                    yield row
            if len(rows) < size:
                return
        raise CannotTell(f"The list is longer than {pages * size} records.")


def _rows(body: Any) -> list[dict[str, Any]]:
    """The rows of a list's answer; 204 has no body."""
    rows: list[dict[str, Any]] = body["data"] if body else []
    return rows


def _gone(row: Mapping[str, Any]) -> bool:
    return bool(row.get("isTrashed") or row.get("isDeleted"))


def _changed(row: Mapping[str, Any]) -> str:
    return str(row.get("modifiedTime") or row.get("createdTime") or "")


def _words(key: str, entry: Entry) -> dict[str, Any]:
    words: dict[str, Any] = {"subject": subject_of(entry.subject), "description": entry.html + stamp(key)}
    if entry.agent:
        words["assigneeId"] = entry.agent.id
    return words | fields_of(entry.fields)


def _call_words(key: str, call: Call, entry: Entry) -> dict[str, Any]:
    words: dict[str, Any] = {
        "subject": subject_of(entry.subject, _CALL_SUBJECT),
        **call_facts(call),
        "description": _marked(entry.text, key),
    }
    if entry.agent:
        words["ownerId"] = entry.agent.id
    return words | fields_of(entry.fields)


def _marked(text: str, key: str) -> str:
    """Plain text with the key at its end, for descriptions that are not HTML."""
    return f"{text}\n[ref {key}]".lstrip()


def _ref(kind: Kind, row: Mapping[str, Any]) -> Ref:
    url = row.get("webUrl")
    return Ref(kind, str(row["id"]), url if isinstance(url, str) and url.startswith(("https://", "http://")) else None)


def _note(ticket: Ref, row: Mapping[str, Any]) -> Ref:
    # a comment is changed below its ticket, so its id names both
    return Ref("note", f"{ticket.id}/{row['id']}", ticket.url)
