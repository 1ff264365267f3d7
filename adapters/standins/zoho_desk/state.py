"""The records of one Zoho Desk organisation, as the JSON that the API gives back.

Lists read the database; the contact search reads an index that follows `search_lag_s` later
(docs/reference/zoho_desk.md §4.2). Lists and searches leave the long texts out, as the real ones do.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import nh3
from standins.zoho_desk.rules import refusal

from connector.kit.standin import Refused, StandinAccount
from connector.kit.standin.limits import Rolling
from connector.kit.standin.markup import without_hidden
from connector.kit.standin.tokens import Tokens

Record = dict[str, Any]

AGENTS: Sequence[Record] = (
    {"id": "4000000008692", "zuid": "60001281001", "name": "Avnish Gupta", "emailId": "avnish@acme.example"},
    {"id": "4000000008693", "zuid": "60001281002", "name": "Manish Singh", "emailId": "manish@acme.example"},
)
DEPARTMENT = "4000000010772"
#: First words of a route that are the modules of its scopes, too.
MODULES = ("contacts", "tickets", "calls")
OPERATIONS = {"GET": "READ", "POST": "CREATE", "PATCH": "UPDATE"}
ALL_SCOPES = frozenset(
    {f"Desk.{module}.{operation}" for module in MODULES for operation in OPERATIONS.values()}
    | {"Desk.search.READ", "Desk.basic.READ", "Desk.settings.READ"}
)
_LONG = ("description", "resolution", "cf")


@dataclass
class Account(StandinAccount):
    """One organisation. Whatever is public may be changed while it runs."""

    org_id: str = "60001280952"
    name: str = "Acme"
    client_id: str = "1000.DEMOCLIENT"
    client_secret: str = "demo-client-secret"  # noqa: S105 - it opens nothing but this
    refresh_token: str = "1000.demo-refresh-token"  # noqa: S105
    scopes: frozenset[str] = ALL_SCOPES
    token_life_s: int = 3600
    #: Access tokens made per refresh token in ten minutes; None: any number (the real one: 10).
    token_limit: int | None = None
    #: Credits left of the day; None: no limit.
    credits: int | None = None
    #: Requests at once; None: no limit (plan Free: 5).
    at_once: int | None = None
    #: False: the plan has no activities.
    has_calls: bool = True
    #: No two contacts with one phone.
    unique_phone: bool = False
    #: Custom and standard fields of tickets in the shape of `GET /organizationFields`.
    fields: list[Record] = field(default_factory=list)
    statuses: tuple[str, ...] = ("Open", "On Hold", "Escalated", "Closed")
    priorities: tuple[str, ...] = ("High", "Medium", "Low")
    departments: list[Record] = field(
        default_factory=lambda: [
            {"id": DEPARTMENT, "name": "Support", "isEnabled": True, "isDefault": True},
            {"id": "4000000010773", "name": "Sales", "isEnabled": True, "isDefault": False},
        ]
    )
    agents: dict[str, Record] = field(default_factory=lambda: {agent["id"]: dict(agent) for agent in AGENTS})
    contacts: dict[str, Record] = field(default_factory=dict)
    tickets: dict[str, Record] = field(default_factory=dict)
    calls: dict[str, Record] = field(default_factory=dict)
    #: Ticket id -> its files, oldest first.
    attachments: defaultdict[str, list[Record]] = field(default_factory=lambda: defaultdict(list))
    #: Ticket id -> its comments, oldest first.
    comments: defaultdict[str, list[Record]] = field(default_factory=lambda: defaultdict(list))

    changeable: ClassVar[frozenset[str]] = frozenset(
        {"search_lag_s", "refresh_token", "credits", "at_once", "token_limit", "has_calls"}
    )

    def __post_init__(self) -> None:
        self.tokens = Tokens(lambda: self.clock())
        #: When they were given.
        self.made = Rolling()
        self._last_id = 4000000100000
        #: Contact id -> when the index shows it.
        self._indexed_at: dict[str, float] = {}
        self._by_contact: defaultdict[str, list[Record]] = defaultdict(list)

    def forget_tokens(self) -> None:
        """Ends every access token, as the 31st does with the first."""
        self.tokens.end()

    def not_found(self) -> Refused:
        return refusal(404, "URL_NOT_FOUND", "The URL you are looking for is not found.")

    # --- records ---

    def _new(self, kind: str, origin: str) -> Record:
        self._last_id += 1
        id_ = str(self._last_id)
        now = self.now()
        return {"id": id_, "createdTime": now, "modifiedTime": now, "webUrl": f"{origin}/agent/acme/{kind}/{id_}"}

    def add_contact(self, values: Mapping[str, Any], origin: str = "", *, indexed: bool = False) -> Record:
        """Makes a contact; `indexed`: search sees it at once, as one that has been there for long."""
        contact = {
            **self._new("contacts", origin),
            **dict.fromkeys(("firstName", "email", "phone", "mobile", "description")),
            "isSpam": False,
            "isTrashed": False,
            **values,
        }
        self.contacts[contact["id"]] = contact
        self._indexed_at[contact["id"]] = self.visible_at(indexed=indexed)
        return contact

    def searchable(self) -> list[Record]:
        """Contacts that the index shows."""
        now = self.clock()
        return [
            contact
            for contact in self.contacts.values()
            if self._indexed_at[contact["id"]] <= now and not contact["isTrashed"]
        ]

    def add_ticket(self, values: Mapping[str, Any], origin: str = "") -> Record:
        """Makes a ticket; the description is cleaned."""
        ticket: Record = {
            **self._new("tickets", origin),
            "ticketNumber": str(101 + len(self.tickets)),
            "status": "Open",
            "statusType": "Open",
            **dict.fromkeys(("assigneeId", "phone", "email", "channel", "priority")),
            "isSpam": False,
            "isTrashed": False,
            "cf": {},
        }
        self.change_ticket(ticket, values)
        self.tickets[ticket["id"]] = ticket
        self._by_contact[ticket["contactId"]].append(ticket)
        return ticket

    def change_ticket(self, ticket: Record, values: Mapping[str, Any]) -> None:
        """Writes fields of a ticket; custom fields merge."""
        ticket.update({**values, "cf": {**ticket["cf"], **values.get("cf", {})}, "modifiedTime": self.now()})
        if "description" in values:
            ticket["description"] = cleaned(values["description"])
        if "status" in values:
            ticket["statusType"] = values["status"] if values["status"] in ("Closed", "On Hold") else "Open"

    def tickets_of(self, contact: str) -> list[Record]:
        """A contact's tickets, oldest first, without those in the trash."""
        return [ticket for ticket in self._by_contact[contact] if not ticket["isTrashed"]]

    def add_comment(self, ticket: Record, values: Mapping[str, Any]) -> Record:
        """Adds a comment to a ticket."""
        self._last_id += 1
        comment = {
            "id": str(self._last_id),
            "contentType": "html",
            "isPublic": True,
            "commentedTime": self.now(),
            "modifiedTime": None,
            "commenterId": next(iter(self.agents)),
            "attachments": [],
        }
        self.change_comment(comment, values)
        self.comments[ticket["id"]].append(comment)
        return comment

    def add_attachment(self, ticket: Record, name: str, size: int, *, is_public: bool, origin: str = "") -> Record:
        """Adds a file to a ticket."""
        self._last_id += 1
        id_ = str(self._last_id)
        attachment = {
            "id": id_,
            "name": name,
            "size": str(size),
            "href": f"{origin}/api/v1/tickets/{ticket['id']}/attachments/{id_}/content",
            "isPublic": is_public,
            "creatorId": next(iter(self.agents)),
            "createdTime": self.now(),
            "previewurl": None,
        }
        self.attachments[ticket["id"]].append(attachment)
        return attachment

    def change_comment(self, comment: Record, values: Mapping[str, Any]) -> None:
        """Writes a comment anew."""
        comment.update(values)
        if comment["contentType"] == "html":
            comment["content"] = cleaned(comment["content"])

    def add_call(self, values: Mapping[str, Any], origin: str = "") -> Record:
        """Makes a call activity."""
        call = {
            **self._new("calls", origin),
            **dict.fromkeys(("ticketId", "ownerId", "description")),
            "isTrashed": False,
        }
        self.change_call(call, values)
        self.calls[call["id"]] = call
        return call

    def change_call(self, call: Record, values: Mapping[str, Any]) -> None:
        """Writes fields of a call; the duration comes back as text."""
        call.update({**values, "modifiedTime": self.now()})
        if "duration" in values:
            call["duration"] = str(values["duration"])

    def counts(self) -> dict[str, int]:
        return {
            "contacts": len(self.contacts),
            "tickets": len(self.tickets),
            "comments": sum(map(len, self.comments.values())),
            "calls": len(self.calls),
            "files": sum(map(len, self.attachments.values())),
        }

    def dump(self) -> dict[str, Any]:
        tickets = [
            {**ticket, "comments": self.comments[id_], "attachments": self.attachments[id_]}
            for id_, ticket in self.tickets.items()
        ]
        return {"contacts": list(self.contacts.values()), "tickets": tickets, "calls": list(self.calls.values())}


def short(record: Mapping[str, Any]) -> Record:
    """A record as lists and searches show it."""
    return {name: value for name, value in record.items() if name not in _LONG}


def cleaned(text: str) -> str:
    """HTML as it comes back: no scripts, comments, hidden spans, handlers, styles."""
    return nh3.clean(without_hidden(text), attributes={"a": {"href"}}, url_schemes={"http", "https", "mailto", "tel"})
