"""The records of one Freshdesk account, kept as the JSON that the API gives back, and how they are looked up.

Two views on contacts, as in the real one: the list, which reads the database, and the search, whose index follows
`search_lag_s` later.
"""

import html
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, ClassVar

import nh3
from standins.freshdesk.limits import Limits, Rights

from connector.kit.standin import StandinAccount
from connector.kit.standin.index import Index
from connector.kit.standin.limits import Windows
from connector.kit.standin.markup import without_hidden

Record = dict[str, Any]

AGENTS: Sequence[Record] = (
    {"id": 81007555518, "name": "Avnish Kumar", "email": "avnish@acme.example", "mobile": "+919711581199"},
    {"id": 81007555519, "name": "Manish Singh", "email": "manish@acme.example", "mobile": "+919810012345"},
    {"id": 81007555520, "name": "Priya Nair", "email": "priya@acme.example", "mobile": ""},
)
_STANDARD_FIELDS = (
    ("requester", "Search a requester", "default_requester", True),
    ("subject", "Subject", "default_subject", True),
    ("ticket_type", "Type", "default_ticket_type", False),
    ("source", "Source", "default_source", False),
    ("status", "Status", "default_status", True),
    ("priority", "Priority", "default_priority", True),
    ("group", "Group", "default_group", False),
    ("agent", "Agent", "default_agent", False),
    ("description", "Description", "default_description", True),
)
_TAGS = {"a", "b", "blockquote", "br", "code", "div", "em", "h1", "h2", "h3", "hr", "i", "img", "li", "ol", "p", "pre"}
_TAGS |= {"small", "span", "strong", "table", "tbody", "td", "th", "thead", "tr", "u", "ul"}
_ATTRIBUTES = {"a": {"href", "title"}, "img": {"src", "alt", "width", "height"}}
_TAG = re.compile(r"<[^>]*>")


@dataclass
class Account(StandinAccount):
    """One account. Whatever is public may be changed while it runs."""

    changeable: ClassVar = frozenset({"search_lag_s", "exists", "keys", "custom_fields", "limits"})

    domain: str = "acme.freshdesk.com"
    #: API key -> its rights; None: every key is an administrator's.
    keys: dict[str, Rights] | None = None
    #: None: no limit, and the headers tell of a very large one.
    limits: Limits | None = None
    #: False: no account has this name, every request gets a 404 without a body.
    exists: bool = True
    #: Custom fields in the shape of `GET /ticket_fields`.
    custom_fields: list[Record] = field(default_factory=list)
    statuses: tuple[int, ...] = (2, 3, 4, 5, 6, 7)
    types: tuple[str, ...] = ("Question", "Incident", "Problem", "Feature Request", "Refund")
    groups: tuple[int, ...] = (77, 78)
    agents: dict[int, Record] = field(default_factory=lambda: {agent["id"]: dict(agent) for agent in AGENTS})
    contacts: dict[int, Record] = field(default_factory=dict)
    tickets: dict[int, Record] = field(default_factory=dict)
    #: Ticket id -> its conversations, oldest first.
    conversations: defaultdict[int, list[Record]] = field(default_factory=lambda: defaultdict(list))
    notes: dict[int, Record] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._by_number: Index[int] = Index()
        self._by_unique: dict[tuple[str, str], int] = {
            ("email", agent["email"]): agent["id"] for agent in self.agents.values()
        }
        self._by_requester: defaultdict[int, list[Record]] = defaultdict(list)
        self.windows = Windows()

    def change(self, values: Mapping[str, Any]) -> None:
        """As the base's; `limits` come as a mapping, null for none."""
        limits = values.get("limits")
        super().change({**values, "limits": Limits(**limits)} if limits else values)

    def counts(self) -> dict[str, int]:
        """Contacts, tickets (deleted ones too), notes."""
        deleted = sum(bool(ticket.get("deleted")) for ticket in self.tickets.values())
        return {
            "contacts": len(self.contacts),
            "tickets": len(self.tickets),
            "deleted_tickets": deleted,
            "notes": len(self.notes),
        }

    def dump(self) -> dict[str, Any]:
        """Every contact, and every ticket with its `conversations`."""
        tickets = [{**ticket, "conversations": self.conversations[id_]} for id_, ticket in self.tickets.items()]
        return {"contacts": list(self.contacts.values()), "tickets": tickets}

    def now(self) -> str:
        """The time as the API writes it."""
        return iso(int(self.clock()))

    # --- contacts ---

    def twin(self, values: Mapping[str, Any], but: int | None = None) -> tuple[str, int] | None:
        """The field and the user (deleted contacts and agents too) whose e-mail or external id is taken already."""
        for name in ("email", "unique_external_id"):
            found = self._by_unique.get((name, values.get(name) or ""))
            if found is not None and found != but:
                return name, found
        return None

    def add_contact(self, values: Mapping[str, Any], *, indexed: bool = False) -> Record:
        """Makes a contact; `indexed`: search sees it at once, as one that has been there for long."""
        now = self.now()
        contact: Record = {
            "id": 43000000001 + len(self.contacts),
            "active": False,
            "name": None,
            "email": None,
            "phone": None,
            "mobile": None,
            "twitter_id": None,
            "unique_external_id": None,
            "company_id": None,
            "description": None,
            "language": "en",
            "time_zone": "Chennai",
            "tags": [],
            "custom_fields": {},
            "created_at": now,
            "updated_at": now,
        }
        self.contacts[contact["id"]] = contact
        self.change_contact(contact, values, indexed=indexed)
        return contact

    def change_contact(self, contact: Record, values: Mapping[str, Any], *, indexed: bool = False) -> None:
        """Writes fields of a contact."""
        contact.update(values)
        contact["updated_at"] = self.now()
        for name in ("phone", "mobile"):
            if values.get(name):
                self._by_number.add(values[name], contact["id"], self.visible_at(indexed=indexed))
        for name in ("email", "unique_external_id"):
            if values.get(name):
                self._by_unique[name, values[name]] = contact["id"]

    def contacts_with(self, name: str, value: str, *, search: bool = False) -> list[Record]:
        """Contacts whose `phone` or `mobile` is `value` to the letter; the search sees those that are indexed."""
        ids = self._by_number.ids(value, self.clock() if search else None)
        return [self.contacts[id_] for id_ in ids if self.contacts[id_][name] == value]

    # --- tickets ---

    def add_ticket(self, values: Mapping[str, Any]) -> Record:
        """Makes a ticket; the body is cleaned as Freshdesk cleans it."""
        now = self.now()
        ticket: Record = {
            "id": 1 + len(self.tickets),
            "subject": None,
            "status": 2,
            "priority": 1,
            "source": 2,
            "type": None,
            "requester_id": None,
            "responder_id": None,
            "group_id": None,
            "product_id": None,
            "company_id": None,
            "tags": [],
            "cc_emails": [],
            "spam": False,
            "attachments": [],
            "created_at": now,
            "updated_at": now,
            **values,
            "custom_fields": {f["name"]: None for f in self.custom_fields} | values.get("custom_fields", {}),
        }
        self._describe(ticket, values)
        self.tickets[ticket["id"]] = ticket
        self._by_requester[ticket["requester_id"]].append(ticket)
        return ticket

    def change_ticket(self, ticket: Record, values: Mapping[str, Any]) -> None:
        """Writes fields of a ticket; tags replace, custom fields merge."""
        ticket.update({**values, "custom_fields": ticket["custom_fields"] | values.get("custom_fields", {})})
        ticket["updated_at"] = self.now()
        self._describe(ticket, values)

    def tickets_of(self, requester: int | None) -> list[Record]:
        """A requester's tickets (None: all), oldest first, deleted ones left out."""
        tickets = list(self.tickets.values()) if requester is None else self._by_requester[requester]
        return [ticket for ticket in tickets if not ticket.get("deleted")]

    def add_note(self, ticket: Record, values: Mapping[str, Any], author: int) -> Record:
        """Adds a note to a ticket."""
        now = self.now()
        note: Record = {
            "id": 15000000001 + len(self.notes),
            "private": True,
            "incoming": False,
            "user_id": author,
            "source": 2,
            "support_email": None,
            "to_emails": [],
            "created_at": now,
            "updated_at": now,
            **values,
            "attachments": [],
            "ticket_id": ticket["id"],
        }
        self.change_note(note, values)
        self.conversations[ticket["id"]].append(note)
        self.notes[note["id"]] = note
        ticket["updated_at"] = now
        return note

    def change_note(self, note: Record, values: Mapping[str, Any]) -> None:
        """Replaces a note's body."""
        if "body" in values:
            note["body"] = cleaned(values["body"])
            note["body_text"] = plain(note["body"])
        note["attachments"] = [*note["attachments"], *values.get("attachments", [])]
        note["updated_at"] = self.now()

    def _describe(self, ticket: Record, values: Mapping[str, Any]) -> None:
        if "description" in values:
            ticket["description"] = cleaned(values["description"])
            ticket["description_text"] = plain(ticket["description"])

    # --- the rest ---

    def ticket_fields(self) -> list[Record]:
        """What `GET /ticket_fields` lists."""
        standard = [
            {"id": 1 + n, "name": name, "label": label, "type": kind, "default": True, "required_for_agents": required}
            for n, (name, label, kind, required) in enumerate(_STANDARD_FIELDS)
        ]
        return standard + [{"id": 100 + n, "default": False, **f} for n, f in enumerate(self.custom_fields)]

    def agent_row(self, agent: Record) -> Record:
        """An agent as `GET /agents` lists him."""
        contact = {"active": True, **{name: agent[name] or None for name in ("name", "email", "mobile")}, "phone": None}
        return {"id": agent["id"], "contact": contact, "occasional": False, "ticket_scope": 1, "group_ids": [77]}


@lru_cache(maxsize=8)
def iso(at: int) -> str:
    """Unix seconds as `2025-03-02T11:06:00Z`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def cleaned(text: str) -> str:
    """HTML as it comes back: no comments, hidden spans, handlers, styles; links open elsewhere."""
    return nh3.clean(
        without_hidden(text),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        link_rel="noreferrer",
        set_tag_attribute_values={"a": {"target": "_blank"}},
        url_schemes={"http", "https", "mailto", "tel"},
    )


def plain(text: str) -> str:
    """HTML without its tags, as `description_text` and `body_text` have it."""
    return html.unescape(_TAG.sub(" ", text)).strip()
