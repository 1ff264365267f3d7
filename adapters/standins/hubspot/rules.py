"""Which properties there are, and what HubSpot refuses in them (docs/reference/hubspot.md §3, §5, §6, §7)."""

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from standins.hubspot.limits import failed

from connector.kit.standin import Refused
from connector.kit.standin.checks import Check, Shape, among

#: (code, words) where a value is refused.
Problem = tuple[str, str]

_ISO: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z")
_LONGEST: Final = 65_536


def _must(fits: Callable[[str], object], code: str, words: str) -> Check[Problem]:
    """A check of a text; the words may tell the text, or its length."""
    return lambda value: None if fits(value) else (code, words.format(value=value, length=len(value)))


def _is_moment(value: str) -> bool:
    if re.fullmatch(r"\d{12,13}", value):
        return True
    try:
        return bool(_ISO.fullmatch(value) and datetime.fromisoformat(value))
    except ValueError:
        return False


def one_of(*values: str) -> Check[Problem]:
    """One of these options."""
    return _must(among(*values), "INVALID_OPTION", "{value} was not one of the allowed options")


_text = _must(lambda value: len(value) <= _LONGEST, "INVALID_LENGTH", "{length} characters are too many")
_moment = _must(_is_moment, "INVALID_DATE", "{value} is neither milliseconds nor ISO 8601 in UTC")
_whole = _must(re.compile(r"\d{1,15}").fullmatch, "INVALID_INTEGER", "{value} was not a valid long")
_https = _must(lambda value: value.startswith("https://"), "INVALID_URL", "{value:.8} is not https")
_read_only = _must(lambda _value: False, "READ_ONLY_VALUE", "the property is read-only")

_DISPOSITIONS: Final = (
    "9d9162e7-6cf3-4944-bf63-4dff82258764",
    "f240bbac-87c9-4f6e-bf70-924b57d47db7",
    "a4c4c377-d246-4b32-a13b-75a56a4cd0ff",
    "b2cf5968-551e-4856-9783-52b3da59a7d0",
    "73a0d17f-1163-4015-bdd5-ec830791da20",
    "17b47fee-58de-441e-a44c-c6300d46f273",
)
_STATUSES: Final = (
    *("BUSY", "CALLING_CRM_USER", "CANCELED", "COMPLETED", "CONNECTING", "FAILED", "IN_PROGRESS", "NO_ANSWER"),
    *("QUEUED", "RINGING"),
)
_CALCULATED: Final = ("hs_object_id", "createdate", "lastmodifieddate", "hs_createdate", "hs_lastmodifieddate")

_TABLES: Final[Mapping[str, Shape[Problem]]] = {
    "contacts": {
        **dict.fromkeys(("firstname", "lastname", "email", "phone", "mobilephone", "company", "hs_lead_status"), _text),
        "hubspot_owner_id": _whole,
        "hs_searchable_calculated_phone_number": _read_only,
        "hs_searchable_calculated_mobile_number": _read_only,
        "lifecyclestage": one_of("subscriber", "lead", "opportunity", "customer"),
    },
    "calls": {
        "hs_timestamp": _moment,
        **dict.fromkeys(("hs_call_title", "hs_call_body", "hs_call_from_number", "hs_call_to_number"), _text),
        "hs_call_direction": one_of("INBOUND", "OUTBOUND"),
        "hs_call_status": one_of(*_STATUSES),
        "hs_call_disposition": one_of(*_DISPOSITIONS),
        "hs_call_duration": _whole,
        "hs_call_recording_url": _https,
        "hs_call_source": one_of("INTEGRATIONS_PLATFORM"),
        "hs_activity_type": _text,
        "hubspot_owner_id": _whole,
    },
    "notes": {"hs_timestamp": _moment, "hs_note_body": _text, "hubspot_owner_id": _whole},
    "tasks": {
        "hs_timestamp": _moment,
        **dict.fromkeys(("hs_task_subject", "hs_task_body"), _text),
        "hs_task_status": one_of("NOT_STARTED", "COMPLETED", "IN_PROGRESS", "WAITING", "DEFERRED"),
        "hs_task_priority": one_of("LOW", "MEDIUM", "HIGH"),
        "hs_task_type": one_of("CALL", "EMAIL", "TODO"),
        "hubspot_owner_id": _whole,
    },
    "tickets": {
        **dict.fromkeys(("subject", "content", "hs_pipeline", "hs_pipeline_stage", "hs_ticket_category"), _text),
        "hs_ticket_priority": one_of("LOW", "MEDIUM", "HIGH", "URGENT"),
        "source_type": one_of("CHAT", "EMAIL", "FORM", "PHONE"),
        "hubspot_owner_id": _whole,
    },
    "companies": {"name": _text},
    "deals": {"dealname": _text, "hs_is_closed": one_of("true", "false")},
}
#: Object -> its properties and what is checked of them.
PROPERTIES: Final[Mapping[str, Shape[Problem]]] = {
    name: {**dict.fromkeys(_CALCULATED, _read_only), **table} for name, table in _TABLES.items()
}
_REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "calls": ("hs_timestamp",),
    "notes": ("hs_timestamp",),
    "tasks": ("hs_timestamp",),
    "tickets": ("subject", "hs_pipeline_stage"),
}
#: From -> to -> type of a plain association.
TIES: Final[Mapping[str, Mapping[str, int]]] = {
    "calls": {"contacts": 194, "companies": 182, "deals": 206, "tickets": 220},
    "notes": {"contacts": 202, "companies": 190, "deals": 214, "tickets": 228},
    "tasks": {"contacts": 204, "companies": 192, "deals": 216, "tickets": 230},
    "tickets": {"contacts": 16, "companies": 339, "deals": 28},
    "contacts": {"companies": 279, "deals": 4, "tickets": 15},
}


def check(objects: str, given: Any, custom: Collection[str], owners: Collection[str], *, create: bool) -> None:
    """Refuses properties that do not exist, are no texts, or hold what they may not."""
    if not isinstance(given, dict):
        raise failed(400, "VALIDATION_ERROR", "Invalid input JSON: properties is an object of texts")
    known = PROPERTIES[objects]
    wrong = [(name, problem) for name, value in given.items() if (problem := _wrong(known, custom, name, value))]
    owner = given.get("hubspot_owner_id")
    if owner and owner not in owners:
        wrong.append(("hubspot_owner_id", ("INVALID_OWNER_ID", f"{owner} was not a valid owner")))
    if wrong:
        raise invalid(wrong)
    missing = [name for name in _REQUIRED.get(objects, ()) if create and not given.get(name)]
    if missing:
        context = {"properties": missing}
        error = {"message": "Some required properties were not set.", "code": "MISSING_REQUIRED", "context": context}
        raise failed(400, "VALIDATION_ERROR", f"Error creating {objects}. {error['message']}", errors=[error])


def _wrong(known: Shape[Problem], custom: Collection[str], name: str, value: Any) -> Problem | None:
    if name not in known and name not in custom:
        return "PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist'
    if not isinstance(value, str):
        return "INVALID_TYPE", f"{type(value).__name__} is no text"
    return known.get(name, _text)(value) if value else None


def invalid(wrong: Iterable[tuple[str, Problem]], status: int = 400) -> Refused:
    """Values that are refused, told twice: as errors, and as a list inside the message."""
    rows = [(name, code, words) for name, (code, words) in wrong]
    listed = [
        {"isValid": False, "message": words, "error": code, "name": name, "localizedErrorMessage": words}
        for name, code, words in rows
    ]
    errors = [{"message": words, "code": code, "context": {"propertyName": [name]}} for name, code, words in rows]
    said = f"Property values were not valid: {json.dumps(listed, separators=(',', ':'))}"
    return failed(status, "VALIDATION_ERROR", said, errors=errors)
