"""Between the entry's words and Freshsales' fields: types out, names of what was refused and of what is missing in."""

import re
from collections.abc import Mapping
from typing import Any, Final

from connector.errors import Rejected

#: First that is found in a refusal's words -> the part of the entry that was refused.
_PARTS: Final = (
    (re.compile(r"\b(?:owner|user)(?:_id\b|\b)", re.IGNORECASE), "agent"),
    (re.compile(r"\btargetable", re.IGNORECASE), "contact"),
    (re.compile(r"\btitle\b", re.IGNORECASE), "subject"),
    (re.compile(r"\b(?:description|notes?)\b", re.IGNORECASE), "html"),
    (re.compile(r"mobile|e-?mail|external_?\s?id|(?:first|last)_?\s?name|\bcontact\b", re.IGNORECASE), "contact"),
)
_FIELD = re.compile(r"\b(?:cf_\w+|\w+_id)\b")
_NO_FIELDS = frozenset({"owner_id", "user_id", "targetable_id", "external_id"})

#: Fields that each record of ours has, in the spellings of `GET /settings/.../fields`.
_SENT: Final[Mapping[str, frozenset[str]]] = {
    "contacts": frozenset({"first_name", "last_name", "mobile_number", "external_id"}),
    "sales_activities": frozenset(
        {"title", "notes", "targetable_type", "targetable_id", "targetable", "owner_id", "start_date", "end_date"}
        | {"sales_activity_type_id"}
    ),
}


def typed(fields: Mapping[str, str]) -> dict[str, Any]:
    """The tenant's `fields` as a part of a record's JSON; an empty value leaves its field alone.

    Names that begin with `cf_` are custom fields, names that end in `_id` hold numbers. Raises `Rejected`.
    """
    written: dict[str, Any] = {}
    custom: dict[str, str] = {}
    for name, value in fields.items():
        text = value.strip()
        if not text:
            continue
        if name.startswith("cf_"):
            custom[name] = text
        else:
            written[name] = number_of(f"fields.{name}", text) if name.endswith("_id") else text
    return written | ({"custom_field": custom} if custom else {})


def number_of(part: str, text: str) -> int:
    """`text` as the number that Freshsales wants for this part of the entry. Raises `Rejected`."""
    if not re.fullmatch(r"[0-9]{1,19}", text):
        raise Rejected(f"Freshsales takes a number for {part}.", parts=(part,))
    return int(text)


def part_of(words: str) -> str:
    """A refusal's words -> the part of the entry that they are about, as far as they tell; else `""`."""
    field = next((name for name in _FIELD.findall(words) if name not in _NO_FIELDS), None)
    if field is not None:
        return f"fields.{field}"
    return next((part for pattern, part in _PARTS if pattern.search(words)), "")


def mandatory(row: Mapping[str, Any], of: str) -> str | None:
    """What to do about a field that every new record of a module must fill; None where nothing."""
    name = str(row.get("name"))
    if not row.get("required") or name in _SENT[of]:
        return None
    label = row.get("label") or name
    if of == "contacts":
        return (
            f"Every contact must have the field {label}, which is not known of a new caller: make it optional in "
            "Freshsales, or set options.unknown_caller: none."
        )
    return f"Every sales activity must have the field {label}: options.fields.{name} has to fill it."
