"""Records: which method of the contract makes, changes or finds each kind of record."""

from dataclasses import dataclass, replace
from typing import Any

from connector.adapter import Adapter, Agent, Chat, Desk, EditableNotes, Entry, Files, Kind, Ref, Sales, Tasks
from connector.exotel.model import Call
from connector.exotel.recordings import File
from connector.pipeline.delivery.journal import Journal


@dataclass(frozen=True, slots=True)
class Records:
    """The adapter's methods for one settled call."""

    adapter: Adapter[Any]
    call: Call
    journal: Journal
    #: The recording, while its slot is carried out.
    file: File | None = None

    async def make(self, kind: Kind, key: str, parent: Ref, entry: Entry) -> Ref:
        """Makes a record on `parent`. Raises as the contract's methods do."""
        adapter = self.adapter
        match kind:
            case "ticket":
                assert isinstance(adapter, Desk)
                return await adapter.create_ticket(key, parent, entry)
            case "call_log":
                assert isinstance(adapter, Sales)
                ticket = self.journal.ref("ticket")
                related = (ticket,) if ticket is not None else ()
                return await adapter.log_call(key, parent, self.call, replace(entry, related=related))
            case "task":
                assert isinstance(adapter, Tasks)
                return await adapter.create_task(key, parent, self.call, entry)
            case "conversation" | "message":
                assert isinstance(adapter, Chat)
                if parent.kind == "conversation":
                    return await adapter.post_message(key, parent, entry)
                return await adapter.open_conversation(key, parent, entry)
            case "file":
                assert isinstance(adapter, Files)
                assert self.file is not None
                return await adapter.attach(key, parent, entry.subject, self.file.content, self.file.mime)
            case _:
                assert isinstance(adapter, Desk)
                return await adapter.add_note(key, parent, entry)

    async def change(self, kind: Kind, key: str, ref: Ref, entry: Entry, was: str) -> None:
        """Writes a record anew; `was` is the subject that we wrote last. Raises as the contract's methods do."""
        adapter = self.adapter
        if kind == "ticket":
            assert isinstance(adapter, Desk)
            await adapter.update_ticket(key, ref, entry, was)
        elif kind == "call_log":
            assert isinstance(adapter, Sales)
            await adapter.update_call_log(key, ref, self.call, entry)
        else:
            assert isinstance(adapter, EditableNotes)
            await adapter.update_note(key, ref, entry)

    async def find_open(self, kind: Kind, contact: Ref, agent: Agent | None) -> Ref | None:
        """The contact's open ticket, or open conversation with the agent."""
        adapter = self.adapter
        if kind == "conversation":
            assert isinstance(adapter, Chat)
            return await adapter.find_open_conversation(contact, agent)
        assert isinstance(adapter, Desk)
        return await adapter.find_open_ticket(contact)
