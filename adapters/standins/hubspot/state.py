"""The records of one HubSpot portal, and how they are looked up.

Two views, as in the real one: reads by id, by unique property and by association see everything at once; the search's
index follows `search_lag_s` later.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import nh3
import phonenumbers
from standins.hubspot import rules
from standins.hubspot.limits import SCOPES, Limits, failed

from connector.kit.standin import Refused, StandinAccount
from connector.kit.standin.limits import Rolling
from connector.kit.standin.tokens import Tokens

Record = dict[str, Any]

OWNERS = (
    ("53718705", 9586504, "Avnish", "Kumar", "avnish@acme.example", "PERSON"),
    ("51730228", 9586505, "Ashmita", "Rao", "ashmita@acme.example", "PERSON"),
    ("60158084", None, "", "", "support-queue@acme.example", "QUEUE"),
)
PIPELINES: list[Record] = [
    {
        "id": "0",
        "label": "Support Pipeline",
        "displayOrder": 0,
        "stages": [
            {"id": str(place + 1), "label": label, "displayOrder": place, "metadata": {"ticketState": state}}
            for place, (label, state) in enumerate(
                [("New", "OPEN"), ("Waiting on contact", "OPEN"), ("Waiting on us", "OPEN"), ("Closed", "CLOSED")]
            )
        ],
    }
]
#: Object -> type id in links (docs/reference/hubspot.md §15).
TYPE_IDS: Mapping[str, str] = {
    "contacts": "0-1",
    "companies": "0-2",
    "deals": "0-3",
    "tickets": "0-5",
    "calls": "0-48",
    "notes": "0-46",
    "tasks": "0-27",
}
_SHOWN_AS_HTML = {"hs_call_body", "hs_note_body", "hs_task_body"}
_CALCULATED = {
    "phone": "hs_searchable_calculated_phone_number",
    "mobilephone": "hs_searchable_calculated_mobile_number",
}
_INDEXED = (*_CALCULATED, *_CALCULATED.values())


@dataclass
class Account(StandinAccount):
    """One portal. Whatever is public may be changed while it runs."""

    portal: int = 8624729
    #: Tokens of private apps; None: any.
    tokens: set[str] | None = None
    client_id: str = "hs-app"
    client_secret: str = "hs-secret"  # noqa: S105 (of a stand-in)
    refresh_token: str = "hs-refresh"  # noqa: S105
    scopes: frozenset[str] = SCOPES
    #: None: as many requests as one likes.
    limits: Limits | None = None
    pipelines: list[Record] = field(default_factory=lambda: [dict(one) for one in PIPELINES])
    #: Custom properties of contacts: name -> definition.
    custom: dict[str, Record] = field(default_factory=dict)
    spent: int = 0
    objects: dict[str, dict[str, Record]] = field(default_factory=lambda: {name: {} for name in TYPE_IDS})
    owners: dict[str, Record] = field(default_factory=dict)
    #: (object, id, other object) -> ids and types of what it is tied to.
    tied: dict[tuple[str, str, str], dict[str, int]] = field(default_factory=lambda: defaultdict(dict))

    changeable: ClassVar[frozenset[str]] = frozenset({"search_lag_s", "limits", "scopes"})

    def __post_init__(self) -> None:
        #: Access tokens that the token endpoint gave.
        self.issued = Tokens(lambda: self.clock())
        self.windows: defaultdict[str, Rolling] = defaultdict(Rolling)
        self._last_id = 100
        #: Contact -> what search saw of it since when, oldest first.
        self._seen: dict[str, list[tuple[float, Record]]] = defaultdict(list)
        self._by_number: dict[str, set[str]] = defaultdict(set)
        self._by_unique: dict[tuple[str, str], str] = {}
        for id_, user, first, last, email, kind in OWNERS:
            names = {"firstName": first, "lastName": last, "email": email}
            self.owners[id_] = {"id": id_, "userId": user, **names, "type": kind, "archived": False, "teams": []}

    def change(self, values: Mapping[str, Any]) -> None:
        """As the kit's, with limits and scopes as JSON has them."""
        given = dict(values)
        if isinstance(given.get("limits"), dict):
            given["limits"] = Limits(**given["limits"])
        if "scopes" in given:
            given["scopes"] = frozenset(given["scopes"])
        super().change(given)

    def not_found(self) -> Refused:
        return failed(404, "OBJECT_NOT_FOUND", "resource not found")

    def counts(self) -> dict[str, int]:
        return {name: len(rows) for name, rows in self.objects.items()}

    def dump(self) -> dict[str, Any]:
        return {name: list(rows.values()) for name, rows in self.objects.items()}

    # --- records ---

    def add(self, objects: str, properties: Mapping[str, str], *, indexed: bool = False) -> Record:
        """A new record. `indexed`: as if made long ago, so that search sees it at once."""
        self._last_id += 1
        id_, now = str(self._last_id), self.now()
        times = {"createdate": now} if objects in ("contacts", "tickets") else {"hs_createdate": now}
        row = {"id": id_, "properties": {**times, "hs_object_id": id_}, "createdAt": now, "archived": False}
        self.objects[objects][id_] = row
        self.write(objects, row, properties, indexed=indexed)
        return row

    def write(self, objects: str, row: Record, properties: Mapping[str, str], *, indexed: bool = False) -> None:
        """Changes properties; an empty value clears one."""
        stored = row["properties"]
        for name, value in properties.items():
            stored[name] = (nh3.clean(value) if name in _SHOWN_AS_HTML else value) or None
            if name in _CALCULATED:
                stored[_CALCULATED[name]] = local_number(value)
        row["updatedAt"] = self.now()
        stored["lastmodifieddate" if objects == "contacts" else "hs_lastmodifieddate"] = row["updatedAt"]
        if objects == "contacts":
            self._seen[row["id"]].append((0.0 if indexed else self.clock(), dict(stored)))
            for name in _INDEXED:
                if stored.get(name):
                    self._by_number[stored[name].lower()].add(row["id"])
            for name in self._unique_names():
                if stored.get(name):
                    self._by_unique[name, stored[name]] = row["id"]

    def archive(self, objects: str, id_: str) -> None:
        """Into the recycle bin, with what ties it to others."""
        self.objects[objects].pop(id_).update(archived=True)
        for (ours, one, theirs), others in list(self.tied.items()):
            if (ours, one) == (objects, id_):
                del self.tied[ours, one, theirs]
            elif theirs == objects:
                others.pop(id_, None)

    def tie(self, objects: str, id_: str, others: str, other: str, kind: int = 0) -> None:
        """Ties two records, seen from both."""
        self.tied[objects, id_, others][other] = kind
        self.tied[others, other, objects][id_] = rules.TIES.get(others, {}).get(objects, 0)

    def twin(self, properties: Mapping[str, str]) -> tuple[str, str] | None:
        """Property and contact that hold one of these unique values already."""
        for name in self._unique_names():
            if properties.get(name) and (row := self.by_unique(name, properties[name])):
                return name, row["id"]
        return None

    def by_unique(self, name: str, value: str) -> Record | None:
        """The contact with this value of a unique property."""
        row = self.objects["contacts"].get(self._by_unique.get((name, value), ""))
        return row if row and row["properties"].get(name) == value else None

    def _unique_names(self) -> list[str]:
        return ["email", *(name for name, one in self.custom.items() if one.get("hasUniqueValue"))]

    # --- search ---

    def indexed(self, numbers: Iterable[str] | None) -> list[tuple[Record, Record]]:
        """Contacts as search sees them: record, and properties as they were indexed. `numbers`: only those with one."""
        contacts = self.objects["contacts"]
        ids = contacts if numbers is None else {id_ for number in numbers for id_ in self._by_number[number.lower()]}
        limit = self.clock() - self.search_lag_s
        found = []
        for id_ in ids:
            seen = [properties for at, properties in self._seen[id_] if at <= limit]
            if id_ in contacts and seen:
                found.append((contacts[id_], seen[-1]))
        return found


def local_number(number: str) -> str | None:
    """What `hs_searchable_calculated_*` holds: area code and local number, without country code."""
    if not re.fullmatch(r"[+\d\s().\-/]*\d[\d\s().\-/]*", number):
        return None
    try:
        read = phonenumbers.parse(number, "IN")
    except phonenumbers.NumberParseException:
        return re.sub(r"\D", "", number)
    return phonenumbers.national_significant_number(read)
