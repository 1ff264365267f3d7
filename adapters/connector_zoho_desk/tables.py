"""Zoho Desk's fields, lists, numbers to search for, calls, refusals, and what is left of its credits."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from connector.adapter import (
    Described,
    Fields,
    Kind,
    Listing,
    Pages,
    Quota,
    began_at,
    by_offset,
    is_marked,
    iso_utc,
    retry_after,
)
from connector.exotel.model import Call

FIELDS: Final = Fields(
    title="Zoho Desk",
    lists=frozenset({"secondaryContacts", "entitySkills", "uploads"}),
    custom="cf",
    parts={
        **dict.fromkeys(("assigneeId", "ownerId"), "agent"),
        **dict.fromkeys(("contactId", "lastName"), "contact"),
        **dict.fromkeys(("description", "content"), "html"),
        "subject": "subject",
        "recordingUrl": "recording",
    },
    # what every ticket of ours has, or Zoho fills by itself
    sent=frozenset({"contactId", "subject", "departmentId", "description", "channel", "status", "ticketNumber"}),
    described=Described("apiName", "displayLabel", ("isMandatory",), choices="allowedValues"),
)


def list_of(size: int, most: int) -> Pages:
    """Lists of at most so many pages of this size."""
    return Pages({"limit": str(size)}, by_offset(size, "from"), "data", most)


_NEWEST = {"sortBy": "-createdTime"}
_LISTED = list_of(100, 10)
#: Lists leave the description out: then the record itself is read. A contact's calls have no list of their own.
KEYS: Final[Mapping[Kind, Listing]] = {
    "contact": Listing(list_of(10, 1), "contacts/search", "description", whole="contacts"),
    "ticket": Listing(list_of(50, 1), "contacts/{parent.id}/tickets", "description", _NEWEST, whole="tickets"),
    "call_log": Listing(_LISTED, "calls", "description", _NEWEST, of="contactId", whole="calls"),
    "file": Listing(_LISTED, "tickets/{parent.id}/attachments", "name", _NEWEST, carries=is_marked),
    "note": Listing(_LISTED, "tickets/{parent.id}/comments", "content", {"sortBy": "-commentedTime"}),
}
_QUOTED = re.compile(r"'/?(?:cf/)?([A-Za-z]\w{0,99})'")
#: What a contact's phone may hold (docs/reference/zoho_desk.md §5.1); a SIP address may be longer, or have other signs.
_PHONE = re.compile(r"[\w+\-.()$@?,;:'/!\s]{1,50}")
#: How long nothing is sent when the day's credits are gone and no `Retry-After` tells: they come back with the next
#: day, which begins at an hour that is not documented. Too many requests at once are fewer a moment later.
_CREDITS_GONE_S = 900.0
WAITS_S: Final[Mapping[str, float]] = {"THRESHOLD_EXCEEDED": _CREDITS_GONE_S, "TOO_MANY_REQUESTS": 2.0}


def fields_of(fields: Mapping[str, str]) -> dict[str, Any]:
    """The tenant's `fields`; a `phone` that is none is left out: the words for a caller who withheld it, `…3606`."""
    is_number = re.compile(r"[^…]*\d[^…]*").fullmatch
    return FIELDS.written({name: value for name, value in fields.items() if name != "phone" or is_number(value)})


def phone_of(spellings: Sequence[str], saved: str) -> dict[str, str]:
    """The new contact's phone, where the caller has one that the field can hold."""
    return {"phone": saved} if spellings and _PHONE.fullmatch(saved) else {}


def searched(spellings: Sequence[str]) -> str:
    """Values of one search parameter: any of them may fit. A sign that means something there is nobody's number."""
    return ",".join(dict.fromkeys(one for one in spellings if not set(one) & set(",*$")))


def call_facts(call: Call) -> dict[str, Any]:
    """The fields of a call activity that a settled call fills (docs/reference/zoho_desk.md §5.6).

    A call that nobody took is `Missed` whichever way it went; a voicemail is one too, its length is the duration.
    """
    facts: dict[str, Any] = {
        "startTime": iso_utc(began_at(call)),
        "status": "Completed" if call.outcome in ("answered", "ivr") else "Missed",
        "direction": call.direction,
        "duration": call.duration_s or 0,
    }
    return facts | ({"recordingUrl": call.recording_url} if call.recording_url else {})


def quota_of(headers: Mapping[str, str]) -> Mapping[str, Quota]:
    """What an answer tells of the day's credits: only that they are gone stops us, since the total is not told."""
    left = headers.get("X-Rate-Limit-Remaining-v3", "").strip()
    if not re.fullmatch(r"-?\d+(\.\d+)?", left) or float(left) > 0:
        return {}
    told = retry_after(headers)
    return {"all": Quota(blocked_s=_CREDITS_GONE_S if told is None else told)}


def refused(body: Any) -> dict[str, str]:
    """An error body's words by the part of the entry that they are about (docs/reference/zoho_desk.md §9)."""
    if not isinstance(body, dict):
        return {}
    words = FIELDS.refused(
        (str(row.get("fieldName", "")).rpartition("/")[2], f"{row.get('errorMessage') or 'refused'} ({_type_of(row)})")
        for row in _errors(body)
    )
    message = body.get("message")
    if not words and isinstance(message, str) and message:
        # UNPROCESSABLE_ENTITY has no list: the field stands in quotes in the sentence
        named = _QUOTED.search(message) if body.get("errorCode") == "UNPROCESSABLE_ENTITY" else None
        words[FIELDS.part_of(named[1]) if named else ""] = message
    return words


def is_duplicate(body: Any) -> bool:
    """Whether a record was refused because there is one like it."""
    return any(_type_of(row) == "duplicate" for row in _errors(body))


def _errors(body: Any) -> list[dict[str, Any]]:
    errors = body.get("errors") if isinstance(body, dict) else None
    return [row for row in errors if isinstance(row, dict)] if isinstance(errors, list) else []


def _type_of(row: Mapping[str, Any]) -> str:
    return str(row.get("errorType") or "invalid")
