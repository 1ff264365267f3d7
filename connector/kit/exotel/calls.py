"""A call as the stand-in of Exotel keeps it, and the record that Call Details makes of it.

See docs/reference/exotel.md §6.3.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from connector.exotel.wire import IST

#: Exotel's word for a time that is not set.
_UNSET = "1970-01-01 05:30:00"


@dataclass(slots=True)
class SimLeg:
    """A leg of a call on the line."""

    sid: str
    number: str
    origin: str
    status: str
    last_action: str = ""
    created_at: float = 0.0
    callback: str | None = None
    custom_field: str | None = None


@dataclass(slots=True)
class SimCall:
    """One call. Numbers are E.164 or `sip:`; `over_at` is None while it runs."""

    sid: str
    direction: str
    from_number: str
    to_number: str
    exophone: str
    created_at: float
    custom_field: str | None = None
    recorded: bool = False
    settle_s: float | None = 0.0
    talk_s: int = 0
    ring_s: int = 8
    status: str = "in-progress"
    leg1_status: str | None = None
    leg2_status: str | None = None
    over_at: float | None = None
    legs: list[SimLeg] = field(default_factory=list)
    is_recording: bool = False

    @property
    def file(self) -> str:
        """Name of the recording, which need not be the CallSid (docs/reference/exotel.md §2.8)."""
        return f"{self.sid[:-1]}n.mp3"

    def is_settled(self, now: float) -> bool:
        """Whether its record is complete."""
        return self.over_at is not None and self.settle_s is not None and now >= self.over_at + self.settle_s


def record_of(call: SimCall, account_sid: str, now: float, *, details: bool, files: str) -> dict[str, Any]:
    """The record as it is now: a young one has neither end nor durations, and of an inbound call the ExoPhone as To.

    `files`: the address that recordings are at.
    """
    is_over, settled = call.over_at is not None and now >= call.over_at, call.is_settled(now)
    never = is_over and call.settle_s is None
    to = call.to_number if settled or call.direction != "inbound" else call.exophone
    record: dict[str, Any] = {
        "Sid": call.sid,
        "ParentCallSid": "",
        "DateCreated": stamp(call.created_at),
        "DateUpdated": stamp(min(now, call.over_at or now)),
        "AccountSid": account_sid,
        "To": national(to),
        "From": national(call.from_number),
        "PhoneNumber": call.exophone,
        "PhoneNumberSid": national(call.exophone).removeprefix("0"),
        "Status": (call.status if settled else "completed" if never else "") if is_over else "in-progress",
        "StartTime": stamp(call.created_at),
        "EndTime": stamp(call.created_at + call.ring_s + call.talk_s) if settled else (_UNSET if never else None),
        # types drift between a number, text and nothing (docs/reference/exotel.md §6.3)
        "Duration": str(call.ring_s + call.talk_s) if settled else None,
        "Price": "1.500" if settled and call.talk_s else (0 if settled else None),
        "Direction": call.direction,
        "AnsweredBy": "human" if settled and call.talk_s else "",
        "ForwardedFrom": "",
        "CallerName": "",
        "Uri": f"/v1/Accounts/{account_sid}/Calls/{call.sid}",
        "RecordingUrl": "",
    }
    if call.recorded and is_over:
        record["RecordingUrl"] = f"{files}/exotelrecordings/{account_sid}/{call.file}"
    if call.custom_field is not None:
        record["CustomField"] = call.custom_field
    if details and not never:
        record["Details"] = _details(call, settled=settled)
    return record


def _details(call: SimCall, *, settled: bool) -> dict[str, Any]:
    if not settled:
        return {"ConversationDuration": 0, "Leg1Status": "in-progress", "Leg2Status": None, "Legs": []}
    legs: list[dict[str, Any]] = [
        {"Leg": {"Id": 1, "OnCallDuration": call.talk_s + (call.ring_s if call.talk_s else 0)}}
    ]
    if call.leg2_status is not None:
        legs.append({"Leg": {"Id": "2", "OnCallDuration": call.talk_s}})
    return {
        "ConversationDuration": call.talk_s,
        "Leg1Status": call.leg1_status,
        "Leg2Status": call.leg2_status,
        "Legs": legs,
    }


def stamp(at: float) -> str:
    """A time as Exotel writes it: Indian, without a zone."""
    return f"{datetime.fromtimestamp(at, IST):%Y-%m-%d %H:%M:%S}"


def national(number: str) -> str:
    """An Indian number with its trunk zero, anything else as it is."""
    return f"0{number[3:]}" if re.fullmatch(r"\+91\d{10}", number) else number


def e164(number: str) -> str | None:
    """A number as callers of the API may write it, as E.164; `sip:` as it is; None where it is neither."""
    if re.fullmatch(r"sips?:[^\s@]+(@\S+)?", number):
        return number
    if re.fullmatch(r"\+\d{8,15}", number):
        return number
    found = re.fullmatch(r"0{0,3}(\d{10})", number)
    return f"+91{found[1]}" if found else None
