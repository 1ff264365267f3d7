"""The methods that `new-adapter` leaves to its author, written for the stand-in that it comes with."""

from typing import Any

from connector.adapter import Adapter, Agent, Caller, Checked, Entry, Kind, Ref, Settings, stamp, stamped


class Filled(Adapter[Settings]):
    def error_words(self, body: Any) -> dict[str, str]:
        return {"": str(body["message"])} if isinstance(body, dict) and "message" in body else {}

    async def check(self) -> Checked:
        return Checked((await self.http.get("account"))["name"])

    async def list_agents(self) -> list[Agent]:
        rows = (await self.http.get("agents"))["agents"]
        return [Agent(id=str(row["id"]), name=row["name"], email=row["email"]) for row in rows]

    async def find_contacts(self, caller: Caller) -> list[Ref]:
        if not caller.spellings:
            return []
        from urllib.parse import urlencode

        query = urlencode([("phone", spelling) for spelling in caller.spellings])
        return [self._ref("contact", row) for row in (await self.http.get(f"contacts?{query}"))["rows"]]

    async def create_contact(self, key: str, caller: Caller, name: str) -> Ref:
        body = {"name": name, "phone": caller.saved, "external_ref": key}
        return self._ref("contact", await self.http.post("contacts", body))

    async def create_ticket(self, key: str, contact: Ref, entry: Entry) -> Ref:
        agent = entry.agent.id if entry.agent else None
        words = {"subject": entry.subject[:150], "html": entry.html, "agent": agent, **entry.fields}
        body = {"contact_id": int(contact.id), "external_ref": key, **words}
        return self._ref("ticket", await self.http.post("tickets", body))

    async def update_ticket(self, key: str, ticket: Ref, entry: Entry, was: str) -> None:
        if (await self.http.get(f"tickets/{ticket.id}"))["subject"] == was:
            words = {"subject": entry.subject[:150], "html": entry.html, **entry.fields}
            await self.http.put(f"tickets/{ticket.id}", words)

    async def add_note(self, key: str, ticket: Ref, entry: Entry) -> Ref:
        body = {"html": entry.html + stamp(key), "private": entry.private}
        return self._ref("note", await self.http.post(f"tickets/{ticket.id}/notes", body))

    async def find_open_ticket(self, contact: Ref) -> Ref | None:
        rows = (await self.http.get("tickets", {"contact_id": contact.id, "state": "open"}))["rows"]
        return self._ref("ticket", rows[0]) if rows else None

    async def find_by_key(self, kind: Kind, key: str, parent: Ref | None) -> Ref | None:
        if kind == "note" and parent:
            rows = (await self.http.get(f"tickets/{parent.id}/notes"))["rows"]
            rows = [row for row in rows if stamped(key, row["html"])]
        else:
            rows = (await self.http.get(f"{kind}s", {"external_ref": key}))["rows"]
        return self._ref(kind, rows[0]) if rows else None

    def _ref(self, kind: Kind, row: dict[str, Any]) -> Ref:
        return Ref(kind=kind, id=str(row["id"]), url=row.get("url"))
