"""The records of one Freshsales account, kept as the JSON that the API gives back, and how they are looked up.

Uniqueness is decided at once; look-ups, filters and searches follow `search_lag_s` later, since nothing is documented
about their delay.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, ClassVar, Literal

import nh3

from connector.kit.standin import Refused, StandinAccount
from connector.kit.standin.index import Index
from connector.kit.standin.limits import Windows

Record = dict[str, Any]
#: `restricted` may not list users and fields, `none` has no access to contacts.
Rights = Literal["admin", "restricted", "none"]
Format = Literal["multipart", "json"]

OWNERS: tuple[Record, ...] = (
    {"id": 70000042679, "display_name": "Avnish Kumar", "email": "avnish@acme.example", "mobile_number": "9711581199"},
    {"id": 70000043413, "display_name": "Manish Singh", "email": "manish@acme.example", "mobile_number": None},
)
_NOT_UNIQUE = {
    "en": {"mobile_number": "MobileNumber is not unique", "external_id": "ExternalId is not unique"},
    "es": dict.fromkeys(("mobile_number", "external_id"), "El valor ya se ha registrado"),
}
_TAGS = {"a", "b", "br", "div", "em", "i", "li", "ol", "p", "small", "span", "strong", "u", "ul"}


def refusal(status: int, *messages: str, **more: Any) -> Refused:
    """An error in the API's shape (docs/reference/freshsales.md §10)."""
    return Refused(status, {"errors": {"code": status, "message": list(messages), **more}})


@dataclass
class Account(StandinAccount):
    """One account. Whatever is public may be changed while it runs."""

    domain: str = "acme.myfreshworks.com"
    #: API key -> its rights; None: every key is an administrator's.
    keys: dict[str, Rights] | None = None
    #: False: no account has this name.
    exists: bool = True
    #: Requests an hour; None: no limit.
    limit: int | None = None
    unique_mobile: bool = True
    #: Of the words about a duplicate.
    language: Literal["en", "es"] = "en"
    #: The body of a call log that keeps its target; with the other one it is dropped (§5).
    call_log_format: Format = "multipart"
    #: Whether the activities of a contact bring along the words of calls and notes; nothing is documented about it.
    tells_words: bool = True
    #: So many of the next writes of a contact are refused because a service behind is asked too often (§9).
    hidden_429s: int = 0
    #: Further rows of `GET /settings/.../fields`.
    contact_fields: list[Record] = field(default_factory=list)
    activity_fields: list[Record] = field(default_factory=list)
    owners: dict[int, Record] = field(default_factory=lambda: {owner["id"]: dict(owner) for owner in OWNERS})
    activity_types: list[Record] = field(
        default_factory=lambda: [
            {"id": 7000, "name": "Meeting", "internal_name": "meeting"},
            {"id": 7001, "name": "Phone", "internal_name": "cphone"},
        ]
    )
    #: kind (`contact`, `lead`, `phone_call`, `note`, `sales_activity`, `task`) -> id -> record.
    records: defaultdict[str, dict[int, Record]] = field(default_factory=lambda: defaultdict(dict))
    #: (`contact` or `lead`, id) -> its activities, oldest first.
    timelines: defaultdict[tuple[str, int], list[Record]] = field(default_factory=lambda: defaultdict(list))

    changeable: ClassVar[frozenset[str]] = frozenset(
        {"search_lag_s", "exists", "limit", "unique_mobile", "language", "call_log_format", "tells_words"}
        | {"hidden_429s"}
    )

    def __post_init__(self) -> None:
        self.windows = Windows()
        self._ids = 70000000000
        self._unique: dict[tuple[str, str, str], int] = {}
        self._by: Index[int] = Index()

    @property
    def classic(self) -> bool:
        """The older generation, which has leads."""
        return self.domain.endswith(".freshsales.io")

    @property
    def home(self) -> str:
        """Path that the account's pages and API are below."""
        return "" if self.classic else "/crm/sales"

    def not_found(self) -> Refused:
        return refusal(404, "Not Found")

    # --- records ---

    def counts(self) -> dict[str, int]:
        return {f"{kind}s": len(records) for kind, records in self.records.items()}

    def dump(self) -> dict[str, Any]:
        return {f"{kind}s": list(records.values()) for kind, records in self.records.items()}

    def add(self, kind: str, values: Mapping[str, Any], *, indexed: bool = False) -> Record:
        """Makes a record; `indexed`: look-ups see it at once, as one that has been there for long."""
        self._ids += 1
        record: Record = {"id": self._ids, "created_at": self.now()}
        self.records[kind][self._ids] = record
        self.write(kind, record, values, indexed=indexed)
        return record

    def write(self, kind: str, record: Record, values: Mapping[str, Any], *, indexed: bool = False) -> None:
        """Writes fields of a record."""
        record.update(values)
        record["updated_at"] = self.now()
        if "description" in values and kind == "note":
            record["description"] = nh3.clean(values["description"], tags=_TAGS, attributes={"a": {"href"}})
        for name in ("mobile_number", "external_id", "email", "first_name", "last_name"):
            if kind in ("contact", "lead") and values.get(name):
                self._unique.setdefault((kind, name, values[name]), record["id"])
                self._by.add((kind, name, values[name]), record["id"], self.visible_at(indexed=indexed))

    def problem_of(self, values: Mapping[str, Any], but: int | None = None) -> str | None:
        """What a duplicate is answered."""
        for name in ("external_id", *(("mobile_number",) if self.unique_mobile else ())):
            if self._unique.get(("contact", name, values.get(name, "")), but) != but:
                return _NOT_UNIQUE[self.language][name]
        return None

    def found(self, kind: str, name: str, value: str) -> Iterator[Record]:
        """Contacts or leads whose field is `value` to the letter, as far as the index knows."""
        for id_ in self._by.ids((kind, name, value), self.clock()):
            record = self.records[kind].get(id_, {})
            if record.get(name) == value and not record.get("is_deleted"):
                yield record

    def note_down(self, of: tuple[str, int], kind: str, record: Record) -> None:
        """Adds to what was done with a contact or lead."""
        self._ids += 1
        done = {"phone_call": "PhoneCall", "note": "Note", "sales_activity": "SalesActivity", "task": "Task"}[kind]
        self.timelines[of].append(
            {
                "id": str(self._ids),
                "action_type": "create",
                "actionable_type": done,
                "actionable_id": record["id"],
                "targetable_id": of[1],
                "created_at": self.now(),
                "user_activity": True,
            }
        )

    def now(self) -> str:
        """The time as the API writes it."""
        return _iso(int(self.clock()))


@lru_cache(maxsize=8)
def _iso(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()
