"""Between the entry's words and Zoho Desk's fields: the tenant's fields out, what was refused or is missing in."""

import re
from collections.abc import Mapping
from typing import Any

_LISTS = frozenset({"secondaryContacts", "entitySkills", "uploads"})

#: Zoho's field -> the part of the entry that it holds; any other is an entry of `fields`.
_PARTS = {
    **dict.fromkeys(("assigneeId", "ownerId"), "agent"),
    **dict.fromkeys(("contactId", "lastName"), "contact"),
    **dict.fromkeys(("description", "content"), "html"),
    "subject": "subject",
    "recordingUrl": "recording",
}
#: Fields that every ticket of ours has, or that Zoho fills by itself.
_SENT = frozenset({"contactId", "subject", "departmentId", "description", "channel", "status", "ticketNumber"})
_QUOTED = re.compile(r"'/?(?:cf/)?([A-Za-z]\w{0,99})'")


def fields_of(fields: Mapping[str, str]) -> dict[str, Any]:
    """The tenant's `fields` as a part of a record's JSON; an empty value leaves its field alone.

    Names that begin with `cf_` are custom fields, whose values are texts in Zoho Desk whatever they look like. Lists of
    ids are parted by commas. A `phone` that is none is left out: the words for a caller who withheld it, `…3606`.
    """
    written: dict[str, Any] = {}
    custom: dict[str, str] = {}
    for name, value in fields.items():
        text = value.strip()
        if not text or (name == "phone" and not re.fullmatch(r"[^…]*\d[^…]*", text)):
            continue
        if name.startswith("cf_"):
            custom[name] = text
        elif name in _LISTS:
            written[name] = [item.strip() for item in text.split(",") if item.strip()]
        else:
            written[name] = text
    return written | ({"cf": custom} if custom else {})


def refused(body: Any) -> dict[str, str]:
    """An error body's words by the part of the entry that they are about (reference zoho_desk.md §9)."""
    if not isinstance(body, dict):
        return {}
    words: dict[str, str] = {}
    errors = body.get("errors")
    for error in errors if isinstance(errors, list) else ():
        if isinstance(error, dict):
            part = _part(str(error.get("fieldName", "")).rpartition("/")[2])
            text = f"{error.get('errorMessage') or 'refused'} ({error.get('errorType') or 'invalid'})"
            words[part] = f"{words[part]}; {text}" if part in words else text
    message = body.get("message")
    if not words and isinstance(message, str) and message:
        # UNPROCESSABLE_ENTITY has no list: the field stands in quotes in the sentence
        named = _QUOTED.search(message) if body.get("errorCode") == "UNPROCESSABLE_ENTITY" else None
        words[_part(named[1]) if named else ""] = message
    return words


def is_duplicate(body: Any) -> bool:
    """Whether a record was refused because there is one like it."""
    errors = body.get("errors") if isinstance(body, dict) else None
    return any(error.get("errorType") == "duplicate" for error in errors or () if isinstance(error, dict))


def _part(field: str) -> str:
    return _PARTS.get(field) or (f"fields.{field}" if field else "")


def mandatory(row: Mapping[str, Any]) -> str | None:
    """What to do about a row of `GET /organizationFields` that every new ticket must fill; None where nothing."""
    name = str(row.get("apiName", ""))
    if not row.get("isMandatory") or name in _SENT:
        return None
    choices = [choice.get("value") for choice in row.get("allowedValues") or () if isinstance(choice, dict)]
    example = f" (one of {', '.join(f'`{choice}`' for choice in choices[:5])})" if choices else ""
    return (
        f"Every ticket must have the field {row.get('displayLabel') or name}: "
        f"options.fields.{name} has to fill it{example}."
    )
