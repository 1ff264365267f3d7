"""One record of Call Details -> what fold needs of it (docs/reference/exotel.md §6.3).

A record tells less than it seems to: an inbound `completed` says nothing of whether anybody talked, `To` of an inbound
call is the ExoPhone while the record is young and the agent's leg later, a recording of an outbound call proves the
agent's leg alone, and end, durations and legs come minutes later or never. So `Leg2Status` and `ConversationDuration`
decide; what they leave open stays open, for other events and for time to tell.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from connector.exotel.api.parsing import parse_call
from connector.exotel.api.records import CallRecord
from connector.exotel.model import CallEvent, Leg, Status
from connector.phone import is_number, is_sip

#: Kinds of stored events of source `details`: a record, and the word that no recording is waited for any more.
RECORD: Final = "details"
NO_RECORDING: Final = "no_recording"

_UNANSWERED: Final[Mapping[str, Status]] = {
    "no-answer": "no-answer",
    "busy": "busy",
    "failed": "failed",
    "canceled": "canceled",
}
_RUNNING: Final[Mapping[str, Status]] = {"queued": "ringing", "ringing": "ringing", "in-progress": "in-progress"}
#: What changes from look to look without telling anything new of the call.
_VOLATILE: Final = frozenset({"DateUpdated", "Price", "Duration", "PreSignedRecordingUrl", "Uri"})


def read_details(body: bytes, country: str) -> CallEvent | None:
    """A stored record as an event; None where it is none. `country`: ISO code of numbers without a country code."""
    raw = json.loads(body)
    record = parse_call(raw, country) if isinstance(raw, dict) else None
    return None if record is None else event_of(record)


def event_of(record: CallRecord) -> CallEvent:
    """The record as an event: `event_type` is terminal where it says that the call is over."""
    outbound = record.direction == "outbound"
    answered = _answered(record)
    is_over = record.ended_at is not None or answered is not None
    recording_url = record.recording_url
    if outbound and not answered:
        recording_url = None
    exophone = record.phone_number
    return CallEvent(
        kind="details",
        call_sid=record.sid,
        direction=record.direction,
        customer_number=record.customer_number,
        agent_number=record.agent_number,
        exophone=exophone if is_number(exophone) or is_sip(exophone) else None,
        event_type="terminal" if is_over else None,
        status=_status(record, answered),
        answered=answered,
        duration_s=_talk(record) if answered else None,
        recording_url=recording_url,
        legs=_legs(record),
        created_at=record.created_at,
        started_at=record.started_at or record.created_at,
        ended_at=record.ended_at,
        custom_field=record.custom_field,
        raw=dict(record.raw),
    )


def params_of(record: CallRecord) -> list[tuple[str, str]]:
    """What makes two records of a call one: the same facts, whatever price and time of update say by now."""
    told = {name: value for name, value in record.raw.items() if name not in _VOLATILE}
    return [(name, json.dumps(value, sort_keys=True)) for name, value in told.items()]


def _answered(record: CallRecord) -> bool | None:
    """Whether customer and agent talked; None where the record does not prove it either way.

    A first attempt's `no-answer` may stand in `Leg2Status` of a call that a second agent answered: the talk time beats
    it, as it does in Exotel's own sample (docs/reference/exotel.md §6.4).
    """
    if record.status in _RUNNING:
        return None
    if _talk(record):
        return True
    if record.leg2_status == "completed":
        return True
    if record.leg2_status in _UNANSWERED:
        return False
    return False if record.status in _UNANSWERED else None


def _status(record: CallRecord, answered: bool | None) -> Status:
    if record.status is not None and record.status in _RUNNING:
        return _RUNNING[record.status]
    if answered:
        return "completed"
    if answered is False:
        if record.direction != "outbound" and record.recording_url:
            return "voicemail"
        reasons = (record.leg2_status, record.leg1_status, record.status)
        return next((_UNANSWERED[word] for word in reasons if word is not None and word in _UNANSWERED), "no-answer")
    return "unknown"


def _talk(record: CallRecord) -> int | None:
    """Seconds that both talked; 0 only where the record says so."""
    of_leg = next((leg.on_call_duration_s for leg in record.legs if leg.id == 2), None)
    return record.conversation_duration_s or of_leg or (0 if 0 in (record.conversation_duration_s, of_leg) else None)


def _legs(record: CallRecord) -> list[Leg]:
    """Legs by place: the caller's or agent's own first, the one that was dialled second. They name nobody."""
    talk = {leg.id: leg.on_call_duration_s for leg in record.legs}
    told = ((1, record.leg1_status), (2, record.leg2_status))
    legs: list[Leg] = [Leg(status=status, on_call_duration_s=talk.get(place)) for place, status in told]
    return legs if any(leg.status or leg.on_call_duration_s is not None for leg in legs) else []


def stored(record: CallRecord) -> bytes:
    """The record as it is kept: as received."""
    raw: dict[str, Any] = dict(record.raw)
    return json.dumps(raw, ensure_ascii=False, separators=(",", ":")).encode()
