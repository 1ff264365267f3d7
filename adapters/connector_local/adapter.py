"""Local desk: tickets and notes that the connector keeps itself, for demos and for tenants without a CRM.

API: `/desk/v1` of this connector (`connector.web.desk`). Auth: the connection's own token, made by the connector.
Limits: none besides the machine's.
Quirks: creating is idempotent by `external_ref`; the desk's agents are the connection's.
"""

from typing import Any, ClassVar
from urllib.parse import urlencode, urlsplit

from connector.adapter import (
    Adapter,
    Agent,
    Caller,
    Checked,
    Desk,
    DeskOptions,
    EditableNotes,
    Entry,
    Kind,
    Ref,
    Settings,
    agent_of,
    below,
)
from connector.errors import CannotTell, CrmUnavailable

#: The desk's fields -> the entry's parts.
_PARTS = {"assignee": "agent", "author": "agent", "body_html": "html", "contact_id": "contact"}


class LocalSettings(Settings):
    """Nothing to enter: address and token are the connector's own."""


class LocalDesk(Adapter[LocalSettings], Desk, EditableNotes):
    name, title = "local", "Local desk"
    settings_model, options_model = LocalSettings, DeskOptions
    read_at_home = True
    lookup: ClassVar = {"contact": "unique", "ticket": "unique", "note": "unique"}
    #: A store that is busy has kept nothing.
    errors: ClassVar = {(503, "busy"): CrmUnavailable}
    timeout_s = 10.0
    #: The desk gives a write to its store at once; the store answers within a few seconds, whatever it answers.
    settle_s = 5.0

    @property
    def root(self) -> str:
        return self.at(f"{self.home.url.rstrip('/')}/desk/v1/")

    @property
    def account(self) -> str:
        # Where this connector listens may change; its desk stays the same one.
        base = self.settings.base_url
        return f"{urlsplit(base).netloc}/desk" if base else "local/desk"

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.home.token}"}

    def error_code(self, body: Any) -> str | None:
        return str(body["error"]["code"]) if _explains(body) else None

    def error_words(self, body: Any) -> dict[str, str]:
        if not _explains(body):
            return {}
        field = body["error"]["field"] or ""
        return {_PARTS.get(field, field): str(body["error"]["message"])}

    async def check(self) -> Checked:
        return Checked(account=str((await self.http.get("account"))["name"]))

    async def list_agents(self) -> list[Agent]:
        return [agent_of(row) for row in (await self.http.get("agents"))["agents"]]

    async def find_contacts(self, caller: Caller) -> list[Ref]:
        if not caller.spellings:
            return []
        query = urlencode([("phone", spelling) for spelling in caller.spellings])
        return [_ref("contact", row) for row in (await self.http.get(f"contacts?{query}"))["contacts"]]

    async def create_contact(self, key: str, caller: Caller, name: str) -> Ref:
        body = {"external_ref": key, "name": name[:255], "phone": caller.saved[:255]}
        return _ref("contact", await self.http.post("contacts", body))

    async def create_ticket(self, key: str, contact: Ref, entry: Entry) -> Ref:
        body = {"external_ref": key, "contact_id": int(contact.id), **_words(entry)}
        return _ref("ticket", await self.http.post("tickets", body))

    async def update_ticket(self, key: str, ticket: Ref, entry: Entry, was: str) -> None:
        await self.http.put(f"tickets/{ticket.id}", {"if_subject": was[:255], **_words(entry)})

    async def add_note(self, key: str, ticket: Ref, entry: Entry) -> Ref:
        return _ref("note", await self.http.post(f"tickets/{ticket.id}/notes", {"external_ref": key, **_note(entry)}))

    async def update_note(self, key: str, note: Ref, entry: Entry) -> None:
        await self.http.put(f"notes/{note.id}", _note(entry))

    async def find_open_ticket(self, contact: Ref) -> Ref | None:
        rows = (await self.http.get("tickets", {"contact_id": contact.id, "state": "open"}))["tickets"]
        return _ref("ticket", rows[0]) if rows else None

    async def find_by_key(self, kind: Kind, key: str, parent: Ref | None) -> Ref | None:
        if kind not in self.lookup:
            raise CannotTell(f"The desk keeps no {kind}.")
        path = f"tickets/{below(kind, parent).id}/notes" if kind == "note" else f"{kind}s"
        rows = (await self.http.get(path, {"external_ref": key}))[f"{kind}s"]
        return _ref(kind, rows[0]) if rows else None


def _words(entry: Entry) -> dict[str, Any]:
    return {
        "subject": entry.subject[:255],  # a longer one is refused, not cut
        "body_html": entry.html,
        "assignee": entry.agent.id if entry.agent else None,
        "fields": dict(entry.fields),
    }


def _note(entry: Entry) -> dict[str, Any]:
    return {"body_html": entry.html, "private": entry.private, "author": entry.agent.id if entry.agent else None}


def _ref(kind: Kind, row: dict[str, Any]) -> Ref:
    return Ref(kind=kind, id=str(row["id"]), url=row.get("url"))


def _explains(body: Any) -> bool:
    return isinstance(body, dict) and isinstance(body.get("error"), dict)
