"""Between the entry's words and Freshsales' fields: types out, names of what was refused and of what is missing in."""

import re
from typing import Final

from connector.adapter import Described, Fields

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

#: Fields of contacts that each of ours has, in the spellings of `GET /settings/contacts/fields`.
CONTACTS: Final = Fields(
    title="Freshsales",
    sent=frozenset({"first_name", "last_name", "mobile_number", "external_id"}),
    described=Described(choices=""),
)
#: Fields of call logs; what is sent of them is named as in `GET /settings/sales_activities/fields`.
FIELDS: Final = Fields(
    title="Freshsales",
    numbers=".*_id",
    digits=19,
    custom="custom_field",
    sent=frozenset(
        {"title", "notes", "targetable_type", "targetable_id", "targetable", "owner_id", "start_date", "end_date"}
        | {"sales_activity_type_id"}
    ),
    described=Described(choices=""),
)
#: What helps where every contact must have a field that nobody fills.
CONTACTS_WAY_OUT: Final = (
    ", which is not known of a new caller: make it optional in Freshsales, or set options.unknown_caller: none."
)


def part_of(words: str) -> str:
    """A refusal's words -> the part of the entry that they are about, as far as they tell; else `""`."""
    field = next((name for name in _FIELD.findall(words) if name not in _NO_FIELDS), None)
    if field is not None:
        return f"fields.{field}"
    return next((part for pattern, part in _PARTS if pattern.search(words)), "")
