"""The records of one Zoho organisation, kept as the JSON that the API gives back, and how they are looked up.

Two views, as in the real one: related lists read the database, a search reads an index that follows `search_lag_s`
later. Access tokens are the account's, too: made of the refresh token.
"""

import re
import secrets
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, ClassVar

from standins.zoho_crm import rules
from standins.zoho_crm.rules import Invalid, Record

from connector.kit.standin import Refused, StandinAccount
from connector.kit.standin.tokens import Tokens

_IST = timezone(timedelta(hours=5, minutes=30))
_FIRST = 4876876000000111001
USERS: Sequence[Record] = (
    {"id": "4876876000000327001", "zuid": "739756987", "full_name": "Avnish Kumar", "phone": "+919711581199"},
    {"id": "4876876000000327002", "zuid": "695309857", "full_name": "Manish Singh", "phone": "+919810012345"},
    {"id": "4876876000000327003", "zuid": "695309858", "full_name": "Priya Nair", "phone": None},
)
TOKEN_LIFE_S = 3600
_SHOWN_AS_MANDATORY = ("Subject", "Call_Type", "Call_Start_Time", "Last_Name")
#: Fields that a search compares.
_SEARCHED = ("Phone", "Mobile", "Last_Name")


@dataclass
class Account(StandinAccount):
    """One organisation. Whatever is public may be changed while it runs."""

    changeable: ClassVar[frozenset[str]] = frozenset(
        {"search_lag_s", "refresh_tokens", "missing_scopes", "custom_fields", "credits", "locked"}
    )

    company: str = "Acme Telecom"
    #: Refresh tokens that are taken; None: every one is.
    refresh_tokens: list[str] | None = None
    #: Scopes that the login does not have.
    missing_scopes: list[str] = field(default_factory=list)
    #: Module -> custom fields, in the shape of `GET /settings/fields`.
    custom_fields: dict[str, list[Record]] = field(default_factory=dict)
    #: Calls of the API that are left of as many; None: not counted.
    credits: int | None = None
    #: Ids of records that somebody holds in an approval.
    locked: list[str] = field(default_factory=list)
    users: dict[str, Record] = field(default_factory=lambda: {user["id"]: dict(user) for user in USERS})
    #: Module -> id -> record.
    records: dict[str, dict[str, Record]] = field(default_factory=lambda: {module: {} for module in rules.MODULES})

    #: Id of a call -> its files, oldest first.
    attachments: defaultdict[str, list[Record]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self.tokens = Tokens(lambda: self.clock())
        #: Of the credits.
        self.used = 0
        self._next = _FIRST
        self._visible_at: dict[str, float] = {}
        #: (module, field, what the index compares) -> ids
        self._index: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
        self._unique: dict[tuple[str, str, str], str] = {}
        #: (id of a person, module) -> records that hang on it
        self._below: defaultdict[tuple[str, str], list[Record]] = defaultdict(list)

    def now(self) -> str:
        """The time as the API writes it."""
        return datetime.fromtimestamp(int(self.clock()), UTC).astimezone(_IST).isoformat()

    # --- who may come in ---

    def log_in(self, refresh_token: str) -> str | None:
        """A new access token; None where the refresh token is not taken."""
        if self.refresh_tokens is not None and refresh_token not in self.refresh_tokens:
            return None
        return self.tokens.give(f"1000.{secrets.token_hex(16)}", TOKEN_LIFE_S)

    def log_out(self) -> None:
        """Ends every access token before its time."""
        self.tokens.end()

    def not_found(self) -> Refused:
        return refusal(404, "INVALID_URL_PATTERN", "Please check if the URL trying to access is a correct one")

    # --- records ---

    def add(self, module: str, values: Record, *, indexed: bool = False) -> Record:
        """Makes a record; `indexed`: search sees it at once. Raises `Invalid`."""
        self._check(module, values, None)
        self._next += 1000
        id_ = str(self._next)
        now = self.now()
        record: Record = {"id": id_, "Created_Time": now, "Modified_Time": now, "Owner": {"id": next(iter(self.users))}}
        self.records[module][id_] = record
        self._visible_at[id_] = self.visible_at(indexed=indexed)
        self._write(module, record, values)
        for name in ("Who_Id", "What_Id"):
            if name in values:
                self._below[values[name]["id"], module].append(record)
        if module == "Deals" and "Contact_Name" in values:
            self._below[values["Contact_Name"]["id"], module].append(record)
        return record

    def rewrite(self, module: str, id_: str, values: Record) -> Record:
        """Writes fields of a record. Raises `Invalid`."""
        record = self.records[module].get(id_)
        if record is None:
            raise Invalid("INVALID_DATA", "the id given seems to be invalid", api_name="id", json_path="$.data[0].id")
        if id_ in self.locked:
            raise Invalid("RECORD_LOCKED", "the record is locked")
        self._check(module, values, record)
        record["Modified_Time"] = self.now()
        self._write(module, record, values)
        return record

    def attach(self, module: str, id_: str, name: str, size: int) -> Record:
        """Adds a file to a record."""
        self._next += 1000
        now = self.now()
        user = next(iter(self.users.values()))
        who = {"id": user["id"], "name": user["full_name"]}
        row = {
            "id": str(self._next),
            "File_Name": name,
            "Size": str(size),
            "$type": "File",
            "$se_module": module,
            "Created_Time": now,
            "Modified_Time": now,
            "Created_By": who,
            "Modified_By": who,
        }
        self.attachments[id_].append(row)
        return row

    def remove(self, module: str, id_: str) -> None:
        """Deletes a record, as a person would."""
        self.records[module].pop(id_)
        for below in self._below.values():
            below[:] = [record for record in below if record["id"] != id_]

    def below(self, person: str, module: str) -> list[Record]:
        """What hangs on a person, oldest first."""
        return self._below[person, module]

    def found(self, module: str, field_: str, value: str) -> list[Record]:
        """Records that the index finds for one term: a number that contains it, text that is the same."""
        now, records = self.clock(), self.records[module]
        ids = self._index[module, field_, _compared(field_, value)]
        rows = [records[id_] for id_ in dict.fromkeys(ids) if id_ in records and self._visible_at[id_] <= now]
        if field_ in ("Phone", "Mobile"):
            return [row for row in rows if value in row.get(field_, "")]
        return [row for row in rows if str(row.get(field_, "")).casefold() == value.casefold()]

    def fields_of(self, module: str) -> list[Record]:
        """What `GET /settings/fields` lists."""
        standard = [
            {"api_name": name, "field_label": name.replace("_", " "), "custom_field": False, "unique": {}}
            | {"system_mandatory": name in _SHOWN_AS_MANDATORY, "data_type": "text"}
            for name in rules.MODULES[module]
            if not name.startswith("$")
        ]
        return standard + self.custom_fields.get(module, [])

    def counts(self) -> dict[str, int]:
        files = sum(map(len, self.attachments.values()))
        return {**{module.lower(): len(records) for module, records in self.records.items()}, "files": files}

    def dump(self) -> dict[str, Any]:
        files = [file for files in self.attachments.values() for file in files]
        return {**{module.lower(): list(records.values()) for module, records in self.records.items()}, "files": files}

    # --- within ---

    def _check(self, module: str, values: Record, before: Record | None) -> None:
        custom = self.custom_fields.get(module, [])
        rules.check_values(module, values, custom, create=before is None)
        if "Owner" in values and values["Owner"]["id"] not in self.users:
            raise Invalid("INVALID_DATA", "the owner is not a user", api_name="Owner")
        rules.check_links(values)
        for name, other in (("Who_Id", "Contacts"), ("What_Id", values.get("$se_module"))):
            if name in values and values[name]["id"] not in self.records[str(other)]:
                raise Invalid("INVALID_DATA", "the related id given seems to be invalid", api_name=name)
        if module == "Calls":
            rules.check_call(values, self.clock(), before)
        for own in custom:
            name = own["api_name"]
            there = self._unique.get((module, name, str(values.get(name)))) if own.get("unique") else None
            if there is not None and there in self.records[module] and (before is None or before["id"] != there):
                raise Invalid(
                    "DUPLICATE_DATA", "duplicate data", api_name=name, id=there, json_path=f"$.data[0].{name}"
                )

    def _write(self, module: str, record: Record, values: Record) -> None:
        record.update({name: value for name, value in values.items() if name != "$se_module"})
        if "$se_module" in values:
            record["$se_module"] = values["$se_module"]
        if "Last_Name" in record:
            record["Full_Name"] = f"{record.get('First_Name') or ''} {record['Last_Name']}".strip()
        unique = [own["api_name"] for own in self.custom_fields.get(module, []) if own.get("unique")]
        for name in (*_SEARCHED, *unique):
            if name in values:
                self._index[module, name, _compared(name, values[name])].append(record["id"])
        for name in unique:
            if name in values:
                self._unique[module, name, values[name]] = record["id"]


def _compared(field_: str, value: str) -> str:
    return re.sub(r"\D", "", value)[-10:] if field_ in ("Phone", "Mobile") else value.casefold()


def failure(code: str, message: str, **details: Any) -> Record:
    """What is wrong with a request, or with one thing in it."""
    return {"code": code, "details": details, "message": message, "status": "error"}


def refusal(status: int, code: str, message: str, **details: Any) -> Refused:
    """A refusal of a whole request."""
    return Refused(status, failure(code, message, **details))
