"""Objects of Exotel's answers -> records. Nothing raises, whatever an object holds: what cannot be read is None."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from connector.exotel.api.answers import object_of, rows_of
from connector.exotel.api.records import CallRecord, Device, ExoPhone, LegRecord, NumberInfo, RecordLeg, User
from connector.exotel.legs import number_of
from connector.exotel.model import Direction
from connector.exotel.wire import count_of, text_of, time_of, word_of
from connector.phone import is_number

#: A CallSid has 32 characters; a store's column has room for these (docs/reference/exotel.md §2.8).
_LONGEST_SID: Final = 128
_STATUSES: Final = frozenset(
    {"queued", "ringing", "in-progress", "completed", "failed", "busy", "no-answer", "canceled"}
)
_SIGNED: Final = "PreSignedRecordingUrl"


def parse_call(raw: Mapping[str, Any], country: str) -> CallRecord | None:
    """A `Call` object of any answer, also one that was stored (`CallRecord.raw`); None where it has no Sid.

    `country`: ISO code that numbers without one belong to.
    """
    sid = sid_of(raw.get("Sid"))
    if sid is None:
        return None
    details = object_of(raw, "Details")
    numbers = [number_of(raw.get(name), country) for name in ("PhoneNumber", "PhoneNumberSid")]
    told = [number for number in numbers if number is not None]
    return CallRecord(
        sid=sid,
        status=_status(raw.get("Status")),
        direction=_direction(word_of(raw.get("Direction"))),
        from_number=number_of(raw.get("From"), country),
        to_number=number_of(raw.get("To"), country),
        # the number where there is one: `PhoneNumberSid` of newer numbers is an id (docs/reference/exotel.md §6.4)
        phone_number=next(filter(is_number, told), next(iter(told), None)),
        created_at=time_of(raw.get("DateCreated")),
        updated_at=time_of(raw.get("DateUpdated")),
        started_at=time_of(raw.get("StartTime")),
        ended_at=time_of(raw.get("EndTime")),
        duration_s=count_of(raw.get("Duration")),
        conversation_duration_s=count_of(details.get("ConversationDuration")),
        leg1_status=_status(details.get("Leg1Status")),
        leg2_status=_status(details.get("Leg2Status")),
        legs=_legs(details.get("Legs")),
        price=_price(raw.get("Price")),
        answered_by=text_of(raw.get("AnsweredBy")),
        account_sid=text_of(raw.get("AccountSid")),
        custom_field=text_of(raw.get("CustomField")),
        recording_url=_url(raw.get("RecordingUrl")),
        signed_recording_url=_url(raw.get(_SIGNED)),
        has_details=bool(details),
        raw={name: value for name, value in raw.items() if name != _SIGNED},
    )


def parse_leg(raw: Mapping[str, Any], country: str) -> LegRecord | None:
    """A leg; None where it has no Sid."""
    sid = sid_of(raw.get("Sid"))
    if sid is None:
        return None
    # the last is Exotel's own spelling (docs/reference/exotel-flows.md §5.4)
    names = ("ExoPhone", "BackupExoPhone", "BackupEcoPhone")
    return LegRecord(
        sid=sid,
        call_sid=sid_of(raw.get("CallSid")),
        number=number_of(raw.get("PhoneNumber"), country) or number_of(raw.get("EndUserNumber"), country),
        status=_status(raw.get("Status")),
        origin=word_of(raw.get("Origin")),
        last_action=word_of(raw.get("LastAction")),
        exophone=next((found for name in names if (found := number_of(raw.get(name), country))), None),
        created_at=time_of(raw.get("DateCreated")),
        updated_at=time_of(raw.get("DateUpdated")),
        started_at=time_of(raw.get("StartTime")),
        ended_at=time_of(raw.get("EndTime")),
        on_call_duration_s=count_of(raw.get("OnCallDuration")),
        raw=dict(raw),
    )


def parse_exophone(raw: Mapping[str, Any], country: str) -> ExoPhone | None:
    """An ExoPhone in the v2_beta form or the v1 form; None where it has no number (docs/reference/exotel.md §7)."""
    raw = object_of(raw, "IncomingPhoneNumber") or raw
    given = {name.lower().replace("_", ""): value for name, value in raw.items()}
    spelled = (given.get("phonenumber"), given.get("friendlyname"), given.get("sid"))
    number = next((found for value in spelled if is_number(found := number_of(value, country))), None)
    if number is None:
        return None
    can = object_of(given.get("capabilities"))
    return ExoPhone(
        sid=text_of(given.get("sid")) or number,
        number=number,
        friendly_name=text_of(given.get("friendlyname")),
        voice=truth_of(can.get("voice")),
        sms=truth_of(can.get("sms")),
        country=text_of(given.get("country")),
        region=text_of(given.get("region")),
        voice_url=_url(given.get("voiceurl")),
        raw=dict(raw),
    )


def parse_user(raw: Mapping[str, Any], country: str) -> User | None:
    """A user, whose object is `data` of a row; None where it has no id."""
    user_id = sid_of(raw.get("id"))
    if user_id is None:
        return None
    devices = (parse_device(device, country) for device in rows_of(raw, "devices"))
    return User(
        id=user_id,
        email=text_of(raw.get("email")),
        first_name=text_of(raw.get("first_name")),
        last_name=text_of(raw.get("last_name")),
        role=word_of(raw.get("role")),
        devices=tuple(device for device in devices if device is not None),
        active_call=_active_call(raw.get("active_call")),
        raw=dict(raw),
    )


def parse_device(raw: Mapping[str, Any], country: str) -> Device | None:
    """A device; None where it has no id."""
    device_id = sid_of(raw.get("id"))
    if device_id is None:
        return None
    return Device(
        id=device_id,
        uri=number_of(raw.get("contact_uri"), country),
        name=text_of(raw.get("name")),
        type=word_of(raw.get("type")),
        available=truth_of(raw.get("available")),
        verified=truth_of(raw.get("verified")),
        status=word_of(raw.get("status")),
    )


def parse_number_info(raw: Mapping[str, Any], country: str) -> NumberInfo:
    """What is known of a number (docs/reference/exotel.md §6.7)."""
    return NumberInfo(
        number=number_of(raw.get("PhoneNumber"), country),
        circle=text_of(raw.get("Circle")),
        circle_name=text_of(raw.get("CircleName")),
        type=text_of(raw.get("Type")),
        operator=text_of(raw.get("Operator")),
        operator_name=text_of(raw.get("OperatorName")),
        dnd=truth_of(raw.get("DND")),
    )


def sid_of(value: Any) -> str | None:
    """An id; None for what is none: nothing, too long, or text that no id has."""
    text = text_of(value)
    return text if text is not None and len(text) <= _LONGEST_SID and text.isprintable() else None


def truth_of(value: Any) -> bool | None:
    """Yes or no, in any of the ways that JSON, XML and people write it."""
    if isinstance(value, bool):
        return value
    return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(word_of(value) or "")


def _status(value: Any) -> str | None:
    word = word_of(value)
    word = "canceled" if word == "cancelled" else word
    return word if word in _STATUSES else None


def _direction(word: str | None) -> Direction | None:
    if word is None:
        return None
    if word.startswith("outbound") or word == "outgoing":
        return "outbound"
    return "inbound" if word in ("inbound", "incoming") else None


def _legs(value: Any) -> tuple[RecordLeg, ...]:
    """`[{"Leg": {...}}, ...]` of JSON, `{"Leg": [...]}` of XML, or the legs themselves.

    See docs/reference/exotel.md §6.3.
    """
    rows = rows_of(value, "Leg") or rows_of({"Legs": value}, "Legs")
    legs = [object_of(row, "Leg") or row for row in rows]
    return tuple(RecordLeg(count_of(leg.get("Id")), count_of(leg.get("OnCallDuration"))) for leg in legs)


def _price(value: Any) -> Decimal | None:
    text = text_of(value)
    try:
        price = Decimal(text) if text is not None else None
    except InvalidOperation:
        return None
    return price if price is not None and price.is_finite() else None


def _url(value: Any) -> str | None:
    text = text_of(value)
    return text if text is not None and text.lower().startswith(("https://", "http://")) else None


def _active_call(value: Any) -> str | None:
    if isinstance(value, Mapping):
        value = next((value[name] for name in ("call_sid", "sid", "id") if name in value), None)
    return sid_of(value)
