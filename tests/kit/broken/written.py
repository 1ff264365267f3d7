"""What an adapter may leave wrongly in the CRM."""

import re
from typing import Any, ClassVar
from uuid import uuid4

from connector.adapter import Agent, Caller, Checked, Entry, Kind, Lookup, Ref, stamp
from tests.kit.broken import caught_by
from tests.kit.toy import Toy


@caught_by("test_refs_are_whole", "the id is int")
class IntIds(Toy):
    def ref(self, kind: Kind, row: dict[str, Any]) -> Ref:
        return Ref(kind=kind, id=row["id"], url=row["url"])


@caught_by("test_refs_are_whole", "the ref is of a note")
class WrongKind(Toy):
    async def log_call(self, *given: Any) -> Ref:
        return Ref("note", (await super().log_call(*given)).id)


@caught_by("test_update_keeps_the_key", "the note was not found by its key after an update")
class LosesKeyOnUpdate(Toy):
    async def update_note(self, key: str, note: Ref, entry: Entry) -> None:
        await self.http.put(f"notes/{note.id}", {"html": entry.html})


@caught_by("test_key_is_matched_whole", "a longer key was found by a shorter one")
class MatchesPrefix(Toy):
    async def find_by_key(self, kind: Kind, key: str, parent: Ref | None) -> Ref | None:
        if kind != "note" or parent is None:
            return await super().find_by_key(kind, key, parent)
        rows = [row for row in await self.rows(kind, ticket_id=parent.id) if key in row["html"]]
        return self.ref(kind, rows[0]) if rows else None


@caught_by("test_connections_are_apart", "the other connection's record was found")
class FindsOthers(Toy):
    """Looks for the call and forgets whose it is."""

    async def find_by_key(self, kind: Kind, key: str, parent: Ref | None) -> Ref | None:
        found = await super().find_by_key(kind, key, parent)
        if found or kind != "ticket":
            return found
        of_call = key.split(":", 1)[1]
        rows = [row for row in await self.rows(kind) if row["external_ref"].endswith(of_call)]
        return self.ref(kind, rows[0]) if rows else None


@caught_by("test_connections_are_apart", "two connections share one record")
class SharesKeys(Toy):
    """Leaves the call in the CRM and forgets whose it is."""

    async def create_ticket(self, key: str, contact: Ref, entry: Entry) -> Ref:
        return await super().create_ticket(key.split(":", 1)[1], contact, entry)

    async def find_by_key(self, kind: Kind, key: str, parent: Ref | None) -> Ref | None:
        found = await super().find_by_key(kind, key.split(":", 1)[1] if kind == "ticket" else key, parent)
        # As another connection would see it that asks before the first one wrote.
        return None if found and kind == "ticket" and key.startswith("kit2") else found


@caught_by("test_key_survives_cleaning", "was not found by its key after the CRM cleaned the HTML")
class StampInComment(Toy):
    def note(self, key: str, entry: Entry) -> dict[str, Any]:
        return {"html": f"{entry.html}<!-- {stamp(key)} -->"}


@caught_by("test_key_survives_cleaning", "was not found by its key after the CRM cleaned the HTML")
class StampHidden(Toy):
    def note(self, key: str, entry: Entry) -> dict[str, Any]:
        return {"html": f'{entry.html}<span style="display: none">{stamp(key)}</span>'}


@caught_by("test_words_survive", "was not found by its key after long words")
class CutsTheStamp(Toy):
    def note(self, key: str, entry: Entry) -> dict[str, Any]:
        return {"html": (entry.html + stamp(key))[:5000]}


@caught_by("test_words_survive", "was not sent")
class StripsText(Toy):
    def note(self, key: str, entry: Entry) -> dict[str, Any]:
        return {"html": entry.html.encode("ascii", "ignore").decode() + stamp(key)}


@caught_by("test_words_survive", "was not sent")
class StripsTags(Toy):
    def words(self, entry: Entry) -> dict[str, Any]:
        return {**super().words(entry), "html": re.sub(r"&\w+;|<[^>]*>", "", entry.html)}


@caught_by("test_write_is_found_by_key", "the task was not found by its key")
class ClaimsTooMuch(Toy):
    """Says that a lagging search is sure."""

    lookup: ClassVar[dict[Kind, Lookup]] = {**Toy.lookup, "task": "unique"}


@caught_by("test_fields_are_sent", "a field's name was not sent")
class DropsFields(Toy):
    def words(self, entry: Entry) -> dict[str, Any]:
        return super().words(Entry(entry.subject, entry.text, entry.html, entry.agent))


@caught_by("test_the_agent_is_named", "the call_log does not name the agent")
class ForgetsAgent(Toy):
    async def log_call(self, key: str, contact: Ref, call: Any, entry: Entry) -> Ref:
        return await super().log_call(key, contact, call, Entry(entry.subject, entry.text, entry.html))


@caught_by("test_a_changed_subject_is_left_alone", "the ticket was written over")
class OverwritesPeople(Toy):
    async def update_ticket(self, key: str, ticket: Ref, entry: Entry, was: str) -> None:
        await self.http.put(f"tickets/{ticket.id}", self.words(entry))


@caught_by("test_an_open_ticket_is_found", "a contact without tickets has an open one")
class FindsAnyTicket(Toy):
    async def find_open_ticket(self, contact: Ref) -> Ref | None:
        rows = await self.rows("ticket", state="open")
        return self.ref("ticket", rows[0]) if rows else None


@caught_by("test_an_open_conversation_is_found", "the open conversation was not found")
class ForgetsConversations(Toy):
    async def find_open_conversation(self, contact: Ref, agent: Agent | None) -> Ref | None:
        return None


@caught_by("test_a_stranger_gives_nothing", "IndexError")
class RaisesForStranger(Toy):
    async def find_contacts(self, caller: Caller) -> list[Ref]:
        return [(await super().find_contacts(caller))[0]]


@caught_by("test_a_contact_is_found_by_number", "assert")
class SavesOtherwise(Toy):
    """Writes a spelling that it does not look for."""

    async def create_contact(self, key: str, caller: Caller, name: str) -> Ref:
        return await self.make("contact", key, None, {"name": name, "phone": f"00{caller.key}"})


@caught_by("test_a_caller_without_a_number", "assert")
class EverybodyIsWithheld(Toy):
    async def find_contacts(self, caller: Caller) -> list[Ref]:
        return await super().find_contacts(caller) if caller.spellings else [Ref("contact", "1")]


@caught_by("test_a_repeated_create_is_one_contact", "a second contact was made")
class DoublesContacts(Toy):
    async def create_contact(self, key: str, caller: Caller, name: str) -> Ref:
        return await super().create_contact(f"{key}:{uuid4()}", caller, name)


@caught_by("test_an_owner_is_one_of_the_users", "81007-who")
class OwnedByNobody(Toy):
    async def find_owner(self, contact: Ref) -> str | None:
        return f"{await super().find_owner(contact)}-who"


@caught_by("test_buckets_are_declared", "burst")
class UnknownBucket(Toy):
    async def check(self) -> Checked:
        return Checked((await self.http.get("workspace", bucket="burst"))["name"])


@caught_by("test_holds_no_state", "last")
class Remembers(Toy):
    def ref(self, kind: Kind, row: dict[str, Any]) -> Ref:
        self.last = super().ref(kind, row)
        return self.last


@caught_by("test_check_names_the_account", "names no account")
class NamesNoAccount(Toy):
    async def check(self) -> Checked:
        await self.http.get("workspace")
        return Checked("")


@caught_by("test_agents", "an agent's id is int", agent=Agent(id="81007"))
class IntAgents(Toy):
    async def list_agents(self) -> list[Agent]:
        return [Agent(id=row["id"]) for row in (await self.http.get("agents"))["agents"]]
