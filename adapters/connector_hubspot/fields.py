"""What a call and an entry are in HubSpot's properties; every value is text.

See docs/reference/hubspot.md §3, §5, §6, §7.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from connector.adapter import Caller, Entry, Fields, given_to, iso_utc
from connector.exotel.model import Call

#: The unique contact property that holds a key (`HubSpot.prepare` makes it).
KEY: Final = "exotel_phone_key"
#: What `prepare` asks for; uniqueness can only be had at creation (§5).
KEY_PROPERTY: Final = {
    "name": KEY,
    "label": "Exotel caller key",
    "type": "string",
    "fieldType": "text",
    "groupName": "contactinformation",
    "hasUniqueValue": True,
}
OWNER: Final = "hubspot_owner_id"
#: Object -> property that holds the words, and the key with them.
BODY: Final = {"calls": "hs_call_body", "notes": "hs_note_body", "tasks": "hs_task_body", "tickets": "content"}
FIELDS: Final = Fields(
    title="HubSpot",
    parts={
        OWNER: "agent",
        **dict.fromkeys(BODY.values(), "html"),
        **dict.fromkeys(("hs_call_title", "hs_task_subject", "subject"), "subject"),
        **dict.fromkeys(("firstname", "lastname", "phone", "email", KEY), "contact"),
        "hs_call_recording_url": "recording",
    },
)
#: Object -> kind of record on the other side -> association type (§6, §7); types have a direction.
TIES: Final[Mapping[str, Mapping[str, int]]] = {
    "calls": {"contact": 194, "company": 182, "deal": 206, "ticket": 220},
    "notes": {"contact": 202, "ticket": 228},
    "tasks": {"contact": 204, "ticket": 230},
    "tickets": {"contact": 16},
}

_CONNECTED: Final = "f240bbac-87c9-4f6e-bf70-924b57d47db7"
_BUSY: Final = "9d9162e7-6cf3-4944-bf63-4dff82258764"
_NO_ANSWER: Final = "73a0d17f-1163-4015-bdd5-ec830791da20"
_LEFT_VOICEMAIL: Final = "b2cf5968-551e-4856-9783-52b3da59a7d0"
#: Outcome -> status and disposition. A caller whom the menu served was not `Connected` to anybody.
_OUTCOMES: Final[Mapping[str, tuple[str, str | None]]] = {
    "answered": ("COMPLETED", _CONNECTED),
    "voicemail": ("NO_ANSWER", _LEFT_VOICEMAIL),
    "ivr": ("COMPLETED", None),
}
#: How an outbound call failed; an inbound one that nobody took is always NO_ANSWER (§6: `MISSED` is not everywhere).
_UNREACHED: Final[Mapping[str, tuple[str, str | None]]] = {
    "busy": ("BUSY", _BUSY),
    "failed": ("FAILED", None),
    "canceled": ("CANCELED", None),
}


def call_properties(call: Call) -> dict[str, str]:
    """Direction, status, disposition, times (start; talk in milliseconds), numbers and recording of a settled call."""
    inbound = call.direction == "inbound"
    unreached = ("NO_ANSWER", _NO_ANSWER) if inbound else _UNREACHED.get(call.status, ("NO_ANSWER", _NO_ANSWER))
    status, disposition = _OUTCOMES.get(call.outcome, unreached)
    if call.machine:
        disposition = None  # nobody was connected to anybody
    ends = (call.customer_number, call.exophone) if inbound else (call.exophone, call.customer_number)
    # A player takes https only (§6); the words name any other link as well.
    recording = call.recording_url if (call.recording_url or "").startswith("https://") else None
    told = {
        "hs_timestamp": iso_utc(_began_at(call)),
        "hs_call_direction": "INBOUND" if inbound else "OUTBOUND",
        "hs_call_status": status,
        "hs_call_disposition": disposition,
        "hs_call_duration": None if call.duration_s is None else str(call.duration_s * 1000),
        "hs_call_from_number": ends[0],
        "hs_call_to_number": ends[1],
        "hs_call_recording_url": recording,
    }
    return {name: value for name, value in told.items() if value}


def due(call: Call) -> str:
    """When a missed call is to be followed up: from its end on."""
    return iso_utc(call.ended_at or _began_at(call))


def _began_at(call: Call) -> datetime:
    """When the call began, as far as it is told: a call without `hs_timestamp` is refused (§14)."""
    if call.started_at is not None:
        return call.started_at
    if call.ended_at is not None:
        return call.ended_at - timedelta(seconds=call.duration_s or 0)
    return datetime.fromtimestamp(call.first_event_at, UTC)


def contact_properties(caller: Caller, name: str) -> dict[str, str]:
    """A new contact: `Unknown 08884643606`, so that strangers can be told apart; a withheld number is no number."""
    names = {"lastname": caller.text} if name in ("", caller.text) else {"firstname": name, "lastname": caller.text}
    return {**names, "phone": caller.saved} if caller.spellings else names


def written(entry: Entry) -> dict[str, str]:
    """The entry's owner and the tenant's `fields`; an empty value leaves its field alone."""
    return {**given_to(OWNER, entry), **FIELDS.written(entry.fields)}


def ties(objects: str, others: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """Associations of a new record: `others` are kind and id of what it belongs to."""
    kinds = TIES[objects]
    return [
        {"to": {"id": id_}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": kinds[kind]}]}
        for kind, id_ in others
    ]
