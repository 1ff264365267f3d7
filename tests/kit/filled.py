"""The methods that `new-adapter` leaves to its author, written for the stand-in that it comes with."""

from typing import Any

from connector.adapter import (
    Adapter,
    Agent,
    Caller,
    Checked,
    Entry,
    Kind,
    Listing,
    Pages,
    Probe,
    Ref,
    Settings,
    TicketRule,
    agent_of,
    below,
    one_line,
    stamp,
)

#: As the template has them.
NOTES = Listing(Pages({}, lambda page: None), "", "")
RULE = TicketRule(owner="")


class Filled(Adapter[Settings]):
    def error_words(self, body: Any) -> dict[str, str]:
        return {"": str(body["message"])} if isinstance(body, dict) and "message" in body else {}

    async def check(self) -> Checked:
        probe = Probe(self.http)
        account = await probe.needed("account", lacks="The key may not read its account.")
        await probe.wanted("agents", lacks="The key may not list agents.")
        return probe.checked(account["name"])

    async def list_agents(self) -> list[Agent]:
        return [agent_of(row) for row in (await self.http.get("agents"))["agents"]]

    async def find_contacts(self, caller: Caller) -> list[Ref]:
        if not caller.spellings:
            return []
        from urllib.parse import urlencode

        query = urlencode([("phone", spelling) for spelling in caller.spellings])
        return [self._ref("contact", row) for row in (await self.http.get(f"contacts?{query}"))["rows"]]

    async def create_contact(self, key: str, caller: Caller, name: str) -> Ref:
        body = {"name": one_line(name), "phone": caller.saved, "external_ref": key}
        return self._ref("contact", await self.http.post("contacts", body))

    async def create_ticket(self, key: str, contact: Ref, entry: Entry) -> Ref:
        body = {"contact_id": int(contact.id), "external_ref": key, **self._words(entry)}
        return self._ref("ticket", await self.http.post("tickets", body))

    async def update_ticket(self, key: str, ticket: Ref, entry: Entry, was: str) -> None:
        words = RULE.change(await self.http.get(f"tickets/{ticket.id}"), was, self._words(entry))
        if words is not None:
            await self.http.put(f"tickets/{ticket.id}", words)

    async def add_note(self, key: str, ticket: Ref, entry: Entry) -> Ref:
        body = {"html": entry.html + stamp(key), "private": entry.private}
        return self._ref("note", await self.http.post(f"tickets/{ticket.id}/notes", body))

    async def find_open_ticket(self, contact: Ref) -> Ref | None:
        rows = (await self.http.get("tickets", {"contact_id": contact.id, "state": "open"}))["rows"]
        return self._ref("ticket", rows[0]) if rows else None

    async def find_by_key(self, kind: Kind, key: str, parent: Ref | None) -> Ref | None:
        if kind == "note":
            row = await NOTES.row_with(self.http, key, below(kind, parent))
        else:
            row = next(iter((await self.http.get(f"{kind}s", {"external_ref": key}))["rows"]), None)
        return self._ref(kind, row) if row else None

    def _words(self, entry: Entry) -> dict[str, Any]:
        return {"subject": entry.subject, "html": entry.html}

    def _ref(self, kind: Kind, row: dict[str, Any]) -> Ref:
        return Ref(kind=kind, id=str(row["id"]), url=row.get("url"))
