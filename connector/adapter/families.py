"""What an adapter may offer: families by what a call becomes, and small capabilities beside them."""

from abc import ABC, abstractmethod
from typing import ClassVar

from connector.adapter.records import Agent, Entry, Kind, Ref
from connector.exotel.model import Call
from connector.phone import Caller


class Desk(ABC):
    """A call is a ticket; what is learned of it later is a note on the ticket."""

    @abstractmethod
    async def create_ticket(self, key: str, contact: Ref, entry: Entry) -> Ref:
        """Makes a ticket of `contact`; `entry.agent` is whom it is given to."""

    @abstractmethod
    async def update_ticket(self, key: str, ticket: Ref, entry: Entry, was: str) -> None:
        """Writes the entry's words and fields; a ticket whose subject is not `was` any more is left alone."""

    @abstractmethod
    async def add_note(self, key: str, ticket: Ref, entry: Entry) -> Ref:
        """Adds a note; private unless `entry.private` is False."""

    @abstractmethod
    async def find_open_ticket(self, contact: Ref) -> Ref | None:
        """The contact's newest ticket that is not closed or resolved."""


class EditableNotes(ABC):
    """Notes can be changed after they were written."""

    @abstractmethod
    async def update_note(self, key: str, note: Ref, entry: Entry) -> None:
        """Replaces the note's words."""


class Sales(ABC):
    """A call is a call log on a contact, lead or deal.

    The `call` that these methods get is settled: its `outcome` is the final one, `duration_s` is talk time (None where
    nobody talked), `recording_url` is a link that may be shown (None where the tenant wants none), `customer_number`
    and its legs' numbers are None where the tenant wants customers' numbers masked.
    """

    @abstractmethod
    async def log_call(self, key: str, contact: Ref, call: Call, entry: Entry) -> Ref:
        """Makes a call log; direction, outcome, times and recording come from `call`, words from `entry`.

        `entry.agent` is the owner, `entry.related` what else to tie it to. The text of `entry` names the digits, the
        duration and the recording as well, for CRMs without fields for them.
        """

    @abstractmethod
    async def update_call_log(self, key: str, log: Ref, call: Call, entry: Entry) -> None:
        """Writes the call log anew."""


class Chat(ABC):
    """A call is a conversation between customer and agent."""

    @abstractmethod
    async def find_open_conversation(self, contact: Ref, agent: Agent | None) -> Ref | None:
        """The contact's newest open conversation with this agent (None: with nobody in particular)."""

    @abstractmethod
    async def open_conversation(self, key: str, contact: Ref, entry: Entry) -> Ref:
        """Opens a conversation, with the entry as its first message."""

    @abstractmethod
    async def post_message(self, key: str, conversation: Ref, entry: Entry) -> Ref:
        """Posts a message; seen by agents only unless `entry.private` is False. `NotFound`: post it elsewhere."""


class Tasks(ABC):
    """Follow-ups can be asked for."""

    @abstractmethod
    async def create_task(self, key: str, contact: Ref, call: Call, entry: Entry) -> Ref:
        """Makes a task on the contact."""


class Leads(ABC):
    """Unknown callers can become leads."""

    @abstractmethod
    async def create_lead(self, key: str, caller: Caller, name: str) -> Ref:
        """Makes a lead, or returns the one that already carries `key` or the number."""


class Owners(ABC):
    """People in the CRM belong to its users."""

    @abstractmethod
    async def find_owner(self, contact: Ref) -> str | None:
        """Id of the user, as `list_agents` gives it, whom the contact or lead belongs to; None: it is nobody's.

        Raises `NotFound` where the contact was deleted. A caller waits on the line: one request.
        """


class Files(ABC):
    """Records can carry files."""

    #: Kinds of record that files hang on.
    files_on: ClassVar[tuple[Kind, ...]] = ("ticket",)
    #: Bytes of the largest file that the CRM takes.
    largest_file: ClassVar[int] = 20 * 1024 * 1024

    @abstractmethod
    async def attach(self, key: str, to: Ref, name: str, content: bytes, mime: str) -> Ref:
        """Attaches a file to a record of one of `files_on`. `Rejected`: the CRM does not take it, a link stands in.

        Where a file has no place for the key but its name, `marked(key, name)` is one that `find_by_key` knows.
        """
