"""Freshdesk: contacts, tickets and notes of a help desk; a call is a ticket, what is learned later a private note.

API: v2, https://developers.freshdesk.com/api/, as read in the project's reference. Auth: one agent's key, Basic.
Limits: per account and minute, with lower ones for lists, ticket creation and update; headers tell the total only.
Quirks: the contact search lags minutes behind, the lists do not; one unknown JSON key refuses a request; `tags`
replace; a wrong sub-domain is a 404 without a body; an external id stays taken by deleted contacts and by agents.
"""

from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar

import aiohttp
from pydantic import Field, SecretStr, field_validator

from connector.adapter import (
    Adapter,
    Agent,
    Caller,
    Checked,
    Desk,
    DeskOptions,
    EditableNotes,
    Entry,
    Files,
    Kind,
    Lookup,
    Quota,
    Ref,
    Settings,
    alike,
    pasted_host,
    stamp,
    stamped,
)
from connector.errors import AuthFailed, CannotTell, ConfigError, CrmError, NotFound, Rejected
from connector_freshdesk.fields import mandatory, number_of, part_of, ticket_fields
from connector_freshdesk.wire import one_line, quota_of, search_for, subject_of

_PHONE, _OPEN, _LOW = 3, 2, 1  # source, status, priority
_DONE = (4, 5)  # resolved, closed; other numbers are open, also the account's own
#: Without it the list holds tickets of the last 30 days only (Tickets, list all).
_EVER = "2000-01-01T00:00:00Z"
_PAGES = 10


class FreshdeskSettings(Settings):
    """What a tenant enters to connect a Freshdesk account."""

    domain: str = Field(
        title="Domain",
        description="The account's own name, as acme.freshdesk.com",
        pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.freshdesk\.com$",
    )
    api_key: SecretStr = Field(
        title="API key",
        description="Freshdesk > profile picture > Profile settings; best an administrator's",
        min_length=1,
    )

    @field_validator("domain", mode="before")
    @classmethod
    def _host(cls, value: object) -> object:
        """Takes the address as people paste it: with scheme, path, blanks, or the bare label."""
        host = pasted_host(value, ".freshdesk.com")
        if isinstance(host, str) and not host.endswith(".freshdesk.com"):
            raise ValueError(
                "must be the account's own name, such as acme.freshdesk.com: "
                "the API does not answer at a host name of your own"
            )
        return host


class Freshdesk(Adapter[FreshdeskSettings], Desk, EditableNotes, Files):
    name, title = "freshdesk", "Freshdesk"
    settings_model, options_model = FreshdeskSettings, DeskOptions
    #: Pro's, the middle of the plans, until the first answer tells the account's total (`quota`): too much for Growth
    #: costs one 429, too little for Enterprise one request's time.
    limits: ClassVar = {
        "all": (400, 60.0),
        "ticket_create": (160, 60.0),
        "ticket_update": (160, 60.0),
        "list": (100, 60.0),
        "contact_list": (100, 60.0),
    }
    lookup: ClassVar[Mapping[Kind, Lookup]] = {
        "contact": "unique",
        "ticket": "listing",
        "note": "listing",
        "file": "listing",
    }
    #: A record in the trash answers 405 to a change; a feature that the plan lacks is 403, which is no bad key.
    errors: ClassVar[Mapping[tuple[int, str | None], type[CrmError]]] = {
        (405, None): NotFound,
        (403, "require_feature"): Rejected,
    }

    @property
    def root(self) -> str:
        return self.at(f"https://{self.settings.domain}/api/v2/")

    @property
    def account(self) -> str:
        return self.settings.domain

    def headers(self) -> dict[str, str]:
        key = self.settings.api_key.get_secret_value()
        return {"Authorization": "Basic " + b64encode(f"{key}:X".encode()).decode()}

    def quota(self, headers: Mapping[str, str]) -> Mapping[str, Quota]:
        return quota_of(headers)

    def error_words(self, body: Any) -> Mapping[str, str]:
        if not isinstance(body, dict):
            return {}
        if not isinstance(body.get("errors"), list):
            return {"": str(body["message"])} if body.get("message") else {}
        words: dict[str, str] = {}
        for error in body["errors"]:
            part = part_of(str(error.get("field", "")))
            text = f"{error.get('message', '')} ({error.get('code', 'refused')})"
            words[part] = f"{words[part]}; {text}" if part in words else text
        return words

    async def check(self) -> Checked:
        domain = self.settings.domain
        me = await self.http.read("agents/me", accept=(403, 404))
        if me.status == 404:
            raise ConfigError(f"There is no Freshdesk account {domain}.", field="domain")
        if me.status == 403:
            raise AuthFailed(f"The agent whose key this is may not use the API of {domain}.", status=403)
        missing = []
        fields = await self.http.read("ticket_fields", accept=(403,))
        if fields.status == 403:
            missing.append("The key's agent may not read the ticket fields: mandatory ones cannot be named in advance.")
        else:
            missing += [words for row in fields.body if (words := mandatory(row))]
        if (await self.http.read("agents", {"per_page": "1"}, accept=(403,))).status == 403:
            missing.append("The key's agent may not list agents: enter them by hand, or use an administrator's key.")
        return Checked(f"{domain} as {me.body['contact']['name']}", tuple(missing))

    async def list_agents(self) -> list[Agent]:
        return [
            Agent(
                id=str(row["id"]),
                name=row["contact"].get("name") or "",
                email=row["contact"].get("email"),
                phone=row["contact"].get("mobile") or row["contact"].get("phone"),
            )
            async for row in self._listed("agents", {}, pages=100)
        ]

    async def find_contacts(self, caller: Caller) -> list[Ref]:
        query = search_for(caller.spellings)
        if not query:
            return []
        rows = (await self.http.get("search/contacts", {"query": query}))["results"]
        wanted = {alike(spelling) for spelling in caller.spellings}
        rows = [row for row in rows if alike(row.get("mobile")) in wanted or alike(row.get("phone")) in wanted]
        rows.sort(key=lambda row: (bool(row.get("active")), str(row.get("updated_at")), row["id"]), reverse=True)
        return [self._contact(row["id"]) for row in rows]

    async def create_contact(self, key: str, caller: Caller, name: str) -> Ref:
        # One of e-mail, phone, mobile and Twitter name has to be there (an external id is not always enough), so a
        # caller without a number has his text as phone; `mobile` is left to numbers.
        body = {
            "name": one_line(name) or "Unknown",
            "unique_external_id": key,
            "mobile" if caller.e164 else "phone": caller.saved or caller.text,
        }
        made = await self.http.write("POST", "contacts", body, accept=(409,))
        return self._contact(made.body["id"]) if made.status != 409 else await self._twin(made.body)

    async def create_ticket(self, key: str, contact: Ref, entry: Entry) -> Ref:
        body = {
            "source": _PHONE,
            "status": _OPEN,
            "priority": _LOW,
            "requester_id": number_of("contact", contact.id),
            **self._words(key, entry),
        }
        return self._ticket((await self.http.post("tickets", body, bucket="ticket_create"))["id"])

    async def update_ticket(self, key: str, ticket: Ref, entry: Entry, was: str) -> None:
        now = await self._living(ticket)
        if one_line(now.get("subject") or "") != subject_of(was):
            return
        words = self._words(key, entry)
        # where a ticket stands, and who has it, is its people's business once it is made
        words.pop("status", None)
        if now.get("responder_id"):
            words.pop("responder_id", None)
        if "tags" in words:
            words["tags"] = list(dict.fromkeys([*now.get("tags", []), *words["tags"]]))
        await self.http.put(f"tickets/{ticket.id}", words, bucket="ticket_update")

    async def add_note(self, key: str, ticket: Ref, entry: Entry) -> Ref:
        body: dict[str, Any] = {"body": entry.html + stamp(key), "private": entry.private}
        if entry.agent:
            body["user_id"] = number_of("agent", entry.agent.id)  # else the note's author is the key's agent
        return self._note("note", ticket, await self.http.post(f"tickets/{ticket.id}/notes", body))

    async def update_note(self, key: str, note: Ref, entry: Entry) -> None:
        await self.http.put(f"conversations/{note.id}", {"body": entry.html + stamp(key)})

    async def attach(self, key: str, to: Ref, name: str, content: bytes, mime: str) -> Ref:
        if len(content) > self.largest_file:
            raise Rejected("Freshdesk takes files of at most 20 MB.", parts=("recording",))
        # a file hangs on a note of its own, whose words hold the key
        form = aiohttp.FormData({"body": stamp(key), "private": "true"}, quote_fields=False)  # names as they are
        form.add_field("attachments[]", content, filename=name, content_type=mime)
        return self._note("file", to, (await self.http.write("POST", f"tickets/{to.id}/notes", form=form)).body)

    async def find_open_ticket(self, contact: Ref) -> Ref | None:
        rows = await self.http.get("tickets", {**_newest_of(contact), "per_page": "100"}, bucket="list")
        return next((self._ticket(row["id"]) for row in rows if row["status"] not in _DONE), None)

    async def find_by_key(self, kind: Kind, key: str, parent: Ref | None) -> Ref | None:
        if kind == "contact":
            return await self._contact_with(key)
        if parent is None:
            raise CannotTell(f"A {kind} is looked for below the record it hangs on, which is not known.")
        if kind == "ticket":
            query = {**_newest_of(parent), "include": "description"}
            async for row in self._listed("tickets", query, bucket="list"):
                if stamped(key, row.get("description") or ""):
                    return self._ticket(row["id"])
        else:
            async for row in self._listed(f"tickets/{parent.id}/conversations", {}):
                if stamped(key, row.get("body") or ""):
                    return self._note(kind, parent, row)
        return None

    async def _contact_with(self, key: str) -> Ref | None:
        rows = await self.http.get("contacts", {"unique_external_id": key}, bucket="contact_list")
        found = [row for row in rows if row.get("unique_external_id") == key]
        if rows and not found:
            # this filter is used by many clients but missing from one description: were it ignored, all would come
            raise CannotTell("Freshdesk did not filter contacts by their external id; making this one again is safe.")
        return self._contact(found[0]["id"]) if found else None

    async def _twin(self, body: Any) -> Ref:
        """The user whom a 409 names: a contact, one in the trash, or an agent, who may be a requester as well."""
        errors = body.get("errors", []) if isinstance(body, dict) else []
        user = next(filter(None, ((error.get("additional_info") or {}).get("user_id") for error in errors)), None)
        if user is None:
            words = self.error_words(body)
            raise Rejected("Freshdesk has such a contact already, but does not say which.", words=words, status=409)
        contact = await self.http.read(f"contacts/{user}", accept=(404,))
        if contact.status == 404:
            return Ref("contact", str(user))
        if contact.body.get("deleted"):
            await self.http.write("PUT", f"contacts/{user}/restore")
        return self._contact(user)

    async def _living(self, ticket: Ref) -> dict[str, Any]:
        row: dict[str, Any] = await self.http.get(f"tickets/{ticket.id}")
        if row.get("deleted"):
            raise NotFound("The ticket was deleted.", status=404)
        return row

    async def _listed(
        self, path: str, query: Mapping[str, str], *, bucket: str = "all", pages: int = _PAGES
    ) -> AsyncIterator[dict[str, Any]]:
        """The rows of a list, page by page. Raises `CannotTell` where it is longer than so many pages."""
        for page in range(1, pages + 1):
            answer = await self.http.read(path, {**query, "per_page": "100", "page": str(page)}, bucket=bucket)
            for row in answer.body:
                yield row
            if 'rel="next"' not in answer.headers.get("Link", ""):
                return
        raise CannotTell(f"The list is longer than {pages * 100} records.")

    def _words(self, key: str, entry: Entry) -> dict[str, Any]:
        words: dict[str, Any] = {"subject": subject_of(entry.subject), "description": entry.html + stamp(key)}
        if entry.agent:
            words["responder_id"] = number_of("agent", entry.agent.id)
        return words | ticket_fields(entry.fields)

    def _contact(self, id_: int) -> Ref:
        return Ref("contact", str(id_), self.at(f"https://{self.settings.domain}/a/contacts/{id_}"))

    def _ticket(self, id_: int) -> Ref:
        return Ref("ticket", str(id_), self.at(f"https://{self.settings.domain}/a/tickets/{id_}"))

    def _note(self, kind: Kind, ticket: Ref, row: Mapping[str, Any]) -> Ref:
        return Ref(kind, str(row["id"]), ticket.url)


def _newest_of(contact: Ref) -> dict[str, str]:
    return {
        "requester_id": contact.id,
        "updated_since": _EVER,
        "order_by": "created_at",
        "order_type": "desc",
    }
