"""Freshdesk: contacts, tickets and notes of a help desk; a call is a ticket, what is learned later a private note.

API: v2, https://developers.freshdesk.com/api/, as docs/reference/freshdesk.md has it. Auth: one agent's key, Basic.
Limits: per account and minute, with lower ones for lists, ticket creation and update; headers tell the total only.
Quirks: the contact search lags minutes behind, the lists do not; one unknown JSON key refuses a request; `tags`
replace; a wrong sub-domain is a 404 without a body; an external id stays taken by deleted contacts and by agents.
"""

from base64 import b64encode
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field, SecretStr

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
    Probe,
    Quota,
    Ref,
    Settings,
    TicketRule,
    agent_of,
    below,
    file_form,
    has_number,
    one_line,
    own_host,
    pasted,
    stamp,
    subject_of,
)
from connector.errors import CannotTell, NotFound, Rejected
from connector_freshdesk.tables import FIELDS, KEYS, LIMITS, PAGES, newest_of, quota_of, search_for

_PHONE, _OPEN, _LOW = 3, 2, 1  # source, status, priority
_DONE = (4, 5)  # resolved, closed; other numbers are open, also the account's own
_RULE = TicketRule(owner="responder_id", gone=("deleted",))


class FreshdeskSettings(Settings):
    """What a tenant enters to connect a Freshdesk account."""

    domain: Annotated[
        str,
        pasted(
            ".freshdesk.com",
            refusal="must be the account's own name, such as acme.freshdesk.com: "
            "the API does not answer at a host name of your own",
        ),
    ] = Field(
        title="Domain",
        description="The account's own name, as acme.freshdesk.com",
        pattern=own_host(r"\.freshdesk\.com"),
    )
    api_key: SecretStr = Field(
        title="API key",
        description="Freshdesk > profile picture > Profile settings; best an administrator's",
        min_length=1,
    )


class Freshdesk(Adapter[FreshdeskSettings], Desk, EditableNotes, Files):
    name, title = "freshdesk", "Freshdesk"
    settings_model, options_model = FreshdeskSettings, DeskOptions
    limits: ClassVar = LIMITS
    lookup: ClassVar = {"contact": "unique", "ticket": "listing", "note": "listing", "file": "listing"}
    #: A record in the trash answers 405 to a change; a feature that the plan lacks is 403, which is no bad key.
    errors: ClassVar = {(405, None): NotFound, (403, "require_feature"): Rejected}

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
        if not isinstance(body, dict) or not isinstance(body.get("errors"), list):
            return {"": str(body["message"])} if isinstance(body, dict) and body.get("message") else {}
        return FIELDS.refused(
            (str(row.get("field", "")), f"{row.get('message', '')} ({row.get('code', 'refused')})")
            for row in body["errors"]
        )

    async def check(self) -> Checked:
        domain, probe = self.settings.domain, Probe(self.http)
        me = await probe.needed(
            "agents/me",
            lacks=f"The agent whose key this is may not use the API of {domain}.",
            absent=f"There is no Freshdesk account {domain}.",
        )
        lacks = "The key's agent may not read the ticket fields: mandatory ones cannot be named in advance."
        probe.missing += FIELDS.mandatory(await probe.wanted("ticket_fields", lacks=lacks) or (), "ticket")
        lacks = "The key's agent may not list agents: enter them by hand, or use an administrator's key."
        await probe.wanted("agents", {"per_page": "1"}, lacks=lacks)
        return probe.checked(f"{domain} as {me['contact']['name']}")

    async def list_agents(self) -> list[Agent]:
        rows = PAGES.rows(self.http, "agents", most=100)
        return [agent_of({**row["contact"], "id": row["id"]}, "mobile", "phone") async for row in rows]

    async def find_contacts(self, caller: Caller) -> list[Ref]:
        query = search_for(caller.spellings)
        if not query:
            return []
        rows = (await self.http.get("search/contacts", {"query": query}))["results"]
        rows = [row for row in rows if has_number(row, caller.spellings, "mobile", "phone")]
        rows.sort(key=lambda row: (bool(row.get("active")), str(row.get("updated_at")), row["id"]), reverse=True)
        return [self._ref("contact", row["id"]) for row in rows]

    async def create_contact(self, key: str, caller: Caller, name: str) -> Ref:
        # One of e-mail, phone, mobile and Twitter name has to be there (an external id is not always enough), so a
        # caller without a number has his text as phone; `mobile` is left to numbers.
        number = {"mobile" if caller.e164 else "phone": caller.saved or caller.text}
        body = {"name": one_line(name, otherwise="Unknown"), "unique_external_id": key, **number}
        made = await self.http.write("POST", "contacts", body, accept=(409,))
        return self._ref("contact", made.body["id"]) if made.status != 409 else await self._twin(made.body)

    async def create_ticket(self, key: str, contact: Ref, entry: Entry) -> Ref:
        requester = {"requester_id": FIELDS.number("contact", contact.id)}
        body = {"source": _PHONE, "status": _OPEN, "priority": _LOW, **requester, **self._words(key, entry)}
        return self._ref("ticket", (await self.http.post("tickets", body, bucket="ticket_create"))["id"])

    async def update_ticket(self, key: str, ticket: Ref, entry: Entry, was: str) -> None:
        now = await self.http.get(f"tickets/{ticket.id}")
        words = _RULE.change(now, was, self._words(key, entry))
        if words is None:
            return
        if "tags" in words:
            words["tags"] = list(dict.fromkeys([*now.get("tags", []), *words["tags"]]))
        await self.http.put(f"tickets/{ticket.id}", words, bucket="ticket_update")

    async def add_note(self, key: str, ticket: Ref, entry: Entry) -> Ref:
        # without user_id the note's author is the key's agent
        body = {"body": entry.html + stamp(key), "private": entry.private, **FIELDS.agent("user_id", entry)}
        return Ref("note", str((await self.http.post(f"tickets/{ticket.id}/notes", body))["id"]), ticket.url)

    async def update_note(self, key: str, note: Ref, entry: Entry) -> None:
        await self.http.put(f"conversations/{note.id}", {"body": entry.html + stamp(key)})

    async def attach(self, key: str, to: Ref, name: str, content: bytes, mime: str) -> Ref:
        if len(content) > self.largest_file:
            raise Rejected("Freshdesk takes files of at most 20 MB.", parts=("recording",))
        # a file hangs on a note of its own, whose words hold the key
        words = {"body": stamp(key), "private": "true"}
        form = file_form("attachments[]", name, content, mime, words, quoted=False)
        return Ref("file", str((await self.http.write("POST", f"tickets/{to.id}/notes", form=form)).body["id"]), to.url)

    async def find_open_ticket(self, contact: Ref) -> Ref | None:
        rows = await self.http.get("tickets", {**newest_of(contact), "per_page": "100"}, bucket="list")
        return next((self._ref("ticket", row["id"]) for row in rows if row["status"] not in _DONE), None)

    async def find_by_key(self, kind: Kind, key: str, parent: Ref | None) -> Ref | None:
        if kind == "contact":
            return await self._contact_with(key)
        parent = below(kind, parent)
        row = await KEYS[kind].row_with(self.http, key, parent)
        if row is None:
            return None
        return self._ref("ticket", row["id"]) if kind == "ticket" else Ref(kind, str(row["id"]), parent.url)

    async def _contact_with(self, key: str) -> Ref | None:
        rows = await self.http.get("contacts", {"unique_external_id": key}, bucket="contact_list")
        found = [row for row in rows if row.get("unique_external_id") == key]
        if rows and not found:
            # this filter is used by many clients but missing from one description: were it ignored, all would come
            raise CannotTell("Freshdesk did not filter contacts by their external id; making this one again is safe.")
        return self._ref("contact", found[0]["id"]) if found else None

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
        return self._ref("contact", user)

    def _words(self, key: str, entry: Entry) -> dict[str, Any]:
        words = {"subject": subject_of(entry.subject), "description": entry.html + stamp(key)}
        return words | FIELDS.agent("responder_id", entry) | FIELDS.written(entry.fields)

    def _ref(self, kind: Kind, id_: int) -> Ref:
        return Ref(kind, str(id_), self.at(f"https://{self.settings.domain}/a/{kind}s/{id_}"))
