"""Between a call and Zoho's fields: types, formats and lengths out."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from connector.errors import Rejected
from connector.exotel.model import Call

#: What a Description takes, less room for the key.
_TEXT = 31_000
_LINE = 255
#: A typed value: true, false, a number, a list of texts, or the id of another record.
_TYPED = re.compile(
    r"json:\s*(true|false|-?(?:0|[1-9]\d{0,14})(?:\.\d{1,9})?"
    r'|\[(?:"[^"\\]*"(?:,\s*"[^"\\]*")*)?\]'
    r'|\{\s*"id":\s*"\d{1,24}"\s*\})'
)
_EXAMPLES = {
    "integer": "a number, as json:3",
    "double": "a number, as json:2.5",
    "boolean": "json:true or json:false",
    "date": "a date, as 2025-03-02",
    "datetime": "a time, as 2025-03-02T10:11:12+05:30",
    "lookup": 'a record, as json:{"id": "4876876000000111001"}',
}
#: Fields of a call that we fill, whatever the account demands.
_FILLED = frozenset({"Subject", "Call_Type", "Call_Start_Time", "Call_Duration", "Owner", "Description", "Who_Id"})


def one_line(text: str, otherwise: str) -> str:
    """One line of at most 255 characters; `otherwise` where it is blank, which would be refused."""
    return " ".join(text.split())[:_LINE].rstrip() or otherwise


def description(text: str, mark: str) -> str:
    """Plain text with `mark` as its last line."""
    return f"{text[:_TEXT].rstrip()}\n{mark}".strip()


def iso(at: datetime) -> str:
    """`2026-10-01T13:45:30+05:30`: with offset, without milliseconds (reference §2)."""
    return at.isoformat(timespec="seconds")


def call_type(call: Call) -> str:
    """`Inbound`, `Outbound` or `Missed`; it cannot be changed later (reference §5)."""
    if call.direction == "outbound":
        return "Outbound"
    return "Inbound" if call.outcome in ("answered", "ivr") else "Missed"


def call_fields(call: Call) -> dict[str, Any]:
    """When, how long, and what was recorded.

    A missed call has no duration; others have one of at least a second, as minutes and seconds (reference §5).
    """
    began = call.started_at or call.ended_at or datetime.fromtimestamp(call.first_event_at, UTC)
    fields: dict[str, Any] = {"Call_Start_Time": iso(began)}
    if call_type(call) != "Missed":
        minutes, seconds = divmod(max(1, call.duration_s or 0), 60)
        fields["Call_Duration"] = f"{minutes:02d}:{seconds:02d}"
    if call.recording_url:
        fields["Voice_Recording__s"] = call.recording_url
    return fields


def follow_up_fields(kind: str, subject: str, call: Call, now: datetime) -> dict[str, Any]:
    """A task of today, or an event or call within the hour, by the clock of where the call was."""
    began = call.started_at or call.ended_at
    today = now.astimezone(began.tzinfo if began else UTC)
    soon = (today + timedelta(hours=1)).replace(second=0, microsecond=0)
    if kind == "event":
        end = soon + timedelta(minutes=15)
        return {"Event_Title": subject, "Start_DateTime": iso(soon), "End_DateTime": iso(end)}
    if kind == "call":
        return {"Subject": subject, "Call_Type": "Outbound", "Call_Start_Time": iso(soon)}
    return {"Subject": subject, "Due_Date": today.date().isoformat(), "Status": "Not Started", "Priority": "High"}


def tenant_fields(fields: Mapping[str, str]) -> dict[str, Any]:
    """The tenant's `fields` as a part of a record; an empty value leaves its field alone.

    Values are texts unless written as `json:3`, `json:true`, `json:["a"]` or `json:{"id": "1"}`: a number and the text
    of one look the same, and Zoho refuses either for the other. Raises `Rejected`.
    """
    return {name: _typed(name, value.strip()) for name, value in fields.items() if value.strip()}


def _typed(name: str, text: str) -> Any:
    if not text.startswith("json:"):
        return text
    found = _TYPED.fullmatch(text)
    if found is None:
        words = "after json: comes true, false, a number, a list of texts or the id of a record"
        raise Rejected(f"{name}: {words}.", parts=(f"fields.{name}",), words={f"fields.{name}": words})
    return json.loads(found[1])


def mandatory(row: Mapping[str, Any]) -> str | None:
    """What to do about a field of calls that every record must fill; None where nothing."""
    name = str(row.get("api_name"))
    if not (row.get("system_mandatory") or row.get("required")) or name in _FILLED:
        return None
    example = _EXAMPLES.get(str(row.get("data_type")), "")
    choices = [str(choice.get("actual_value")) for choice in row.get("pick_list_values") or ()]
    if choices:
        example = "one of " + ", ".join(f"`{choice}`" for choice in choices[:5])
    return f"Every call must have the field {row.get('field_label') or name}: options.fields.{name} has to fill it" + (
        f" ({example})." if example else "."
    )
