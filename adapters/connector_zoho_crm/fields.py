"""Between a call and Zoho's fields: types, formats and lengths out, names of what is refused or demanded in."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from connector.adapter import Described, Fields, began_at, iso
from connector.exotel.model import Call

FIELDS: Final = Fields(
    title="Zoho CRM",
    typed=("true, false", "a number", "a list of texts", "the id of a record"),
    parts={
        "Owner": "agent",
        **dict.fromkeys(("Who_Id", "What_Id", "Last_Name", "Phone", "Mobile", "Company"), "contact"),
        **dict.fromkeys(("Subject", "Event_Title"), "subject"),
        "Description": "html",
        "Voice_Recording__s": "recording",
    },
    # what we fill, whatever the account demands
    sent=frozenset({"Subject", "Call_Type", "Call_Start_Time", "Call_Duration", "Owner", "Description", "Who_Id"}),
    examples={
        "integer": "a number, as json:3",
        "double": "a number, as json:2.5",
        "boolean": "json:true or json:false",
        "date": "a date, as 2025-03-02",
        "datetime": "a time, as 2025-03-02T10:11:12+05:30",
        "lookup": 'a record, as json:{"id": "4876876000000111001"}',
    },
    described=Described(
        "api_name", "field_label", ("system_mandatory", "required"), "data_type", "pick_list_values", "actual_value"
    ),
)


def call_type(call: Call) -> str:
    """`Inbound`, `Outbound` or `Missed`; it cannot be changed later (docs/reference/zoho_crm.md §5)."""
    if call.direction == "outbound":
        return "Outbound"
    return "Inbound" if call.outcome in ("answered", "ivr") else "Missed"


def call_fields(call: Call) -> dict[str, Any]:
    """When, how long, and what was recorded.

    A missed call has no duration; others have one of at least a second, as minutes and seconds
    (docs/reference/zoho_crm.md §5).
    """
    fields: dict[str, Any] = {"Call_Start_Time": iso(began_at(call))}
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
