"""How HubSpot is searched, and how it refuses (docs/reference/hubspot.md §4, §13)."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import phonenumbers

from connector.adapter import Caller
from connector_hubspot.fields import FIELDS

#: HubSpot's own reading of a number, whatever its spelling: area code and local number, without country code.
_SEARCHABLE: Final = ("hs_searchable_calculated_phone_number", "hs_searchable_calculated_mobile_number")
STORED: Final = ("phone", "mobilephone")
_FOUND: Final = 100
#: Where a refusal names the scopes that are missing.
_SCOPES: Final = ("requiredScopes", "missingScopes", "requiredGranularScopes")


def search_for(caller: Caller) -> dict[str, Any]:
    """A contact search for a number in any spelling, as HubSpot reads it and as it was typed in (§4.1).

    `IN` compares with lower-case values; one sort order, and a body of at most 3,000 characters.
    """
    spellings = [spelling.lower() for spelling in caller.spellings]
    local = _local(caller.e164)
    filters: list[dict[str, Any]] = [
        {"propertyName": name, "operator": "EQ", "value": local} for name in _SEARCHABLE if local
    ]
    filters += [{"propertyName": name, "operator": "IN", "values": spellings} for name in STORED]
    return {
        "filterGroups": [{"filters": [one]} for one in filters],
        "properties": list(STORED),
        "sorts": [{"propertyName": "lastmodifieddate", "direction": "DESCENDING"}],
        "limit": _FOUND,
        "after": "0",
    }


def _local(e164: str | None) -> str | None:
    return phonenumbers.national_significant_number(phonenumbers.parse(e164)) if e164 else None


def words_of(body: Any) -> dict[str, str]:
    """An error body's words, per part of the entry; `""` where none is named. Every key may be missing (§13)."""
    if not isinstance(body, dict):
        return {}
    words = FIELDS.refused(_properties(body))
    if words:
        return words
    text = " ".join([_text(body.get("message")), *_scopes(body)]).strip()
    # What a record is tied to is the contact: it was merged away or deleted.
    part = "contact" if "associat" in f"{text} {body.get('subCategory')}".lower() else ""
    return {part: text} if text else {}


def is_conflict(body: Any) -> bool:
    """Whether a unique value belongs to another record already."""
    return "CONFLICTING_UNIQUE_VALUE" in str(body)


def existing_id(body: Any) -> str | None:
    """The record that a conflict names; the id is only in the text (§5)."""
    found = re.search(r"Existing ID: (\d+)|(\d+) already has that value", str(body))
    return (found[1] or found[2]) if found else None


def _properties(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and words of each property that was refused: from `errors`, else from the list inside the message."""
    errors = [error for error in _list(body.get("errors")) if isinstance(error, dict)]
    named = False
    for error in errors:
        context = error.get("context")
        context = context if isinstance(context, dict) else {}
        names = context.get("propertyName") or context.get("properties") or error.get("name")
        for name in _list(names):
            named = True
            yield str(name), f"{_text(error.get('message'))} ({error.get('code') or 'refused'})"
    if not named:
        message = _text(body.get("message"))
        codes = re.findall(r'"error":"(\w+)"', message)
        for place, name in enumerate(re.findall(r'"name":"(\w+)"', message)):
            yield name, codes[place] if place < len(codes) else "refused"


def _scopes(body: Mapping[str, Any]) -> list[str]:
    contexts = [error.get("context") for error in _list(body.get("errors")) if isinstance(error, dict)]
    lists = [context.get(name) for context in contexts if isinstance(context, dict) for name in _SCOPES]
    return [str(scope) for scopes in lists for scope in _list(scopes)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
