"""What Zoho CRM refuses in a record: types, lengths, formats, picklists, mandatory fields, and the rules of calls.

Sources: docs/reference/zoho_crm.md §4 to §6, §10. Unknown fields, which the real API may let pass, are
refused here: what passes the stand-in passes there.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from typing import Any

from connector.kit.standin import checks
from connector.kit.standin.checks import Check, Shape, all_of, must

#: Also the details of INVALID_DATA, where a value is refused.
Record = dict[str, Any]

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d")
_ID = re.compile(r"\d{1,19}")
_PHONE = re.compile(r"[+(]?[\d][\d\s().\-]*")


class Invalid(Exception):
    """One record is refused."""

    def __init__(self, code: str, message: str, **details: Any) -> None:
        super().__init__(code)
        self.item = {"code": code, "details": details, "message": message, "status": "error"}


def _typed(fits: checks.Fits, kind: str) -> Check[Record]:
    return must(fits, {"expected_data_type": kind})


def text(most: int) -> Check[Record]:
    """Text of at most so many characters."""
    return all_of(_typed(checks.text(), "text"), must(checks.text(most), {"maximum_length": most}))


def matching(kind: str, fits: Callable[[str], object]) -> Check[Record]:
    """Text of a format."""
    return _typed(lambda value: type(value) is str and fits(value), kind)


def one_of(*values: str) -> Check[Record]:
    """A picklist's value."""
    return _typed(checks.among(*values), "picklist")


def _is_reference(value: Any) -> object:
    """`{"id": "..."}`: an id is a text, never a number."""
    return type(value) is dict and set(value) == {"id"} and type(value["id"]) is str and _ID.fullmatch(value["id"])


def _is_date(value: str) -> bool:
    return bool(re.fullmatch(r"\d{4}-\d\d-\d\d", value)) and bool(date.fromisoformat(value))


reference = _typed(_is_reference, "jsonobject")
boolean = _typed(checks.boolean, "boolean")
integer = _typed(checks.whole(), "integer")
PHONE = matching("phone", lambda value: len(value) <= 30 and _PHONE.fullmatch(value))
TIME = matching("datetime", lambda value: _TIME.fullmatch(value) and datetime.fromisoformat(value))
_PERSON: Shape[Record] = {
    "First_Name": text(40),
    "Last_Name": text(80),
    "Phone": PHONE,
    "Mobile": PHONE,
    "Email": text(100),
    "Lead_Source": text(120),
    "Description": text(32000),
    "Owner": reference,
}
_LINKS: Shape[Record] = {
    "Who_Id": reference,
    "What_Id": reference,
    "$se_module": one_of("Leads", "Accounts", "Deals"),
    "Owner": reference,
    "Description": text(32000),
}
CALL_STATUS = "Outgoing_Call_Status"
MODULES: Mapping[str, Shape[Record]] = {
    "Contacts": {**_PERSON, "Account_Name": reference},
    "Leads": {**_PERSON, "Company": text(200), "Lead_Status": text(120)},
    "Accounts": {"Account_Name": text(200)},
    "Deals": {"Deal_Name": text(120), "Contact_Name": reference},
    "Calls": {
        **_LINKS,
        "Subject": text(255),
        "Call_Type": one_of("Inbound", "Outbound", "Missed"),
        "Call_Start_Time": TIME,
        "Call_Duration": matching("text", re.compile(r"\d{2,4}:[0-5]\d").fullmatch),
        "Call_Purpose": one_of("Administrative", "Demo", "Negotiation", "Project", "Prospecting", "Desk"),
        "Call_Result": text(120),
        "Call_Agenda": text(2000),
        CALL_STATUS: one_of("Completed", "Scheduled", "Cancelled", "Overdue"),
        "Voice_Recording__s": matching("website", re.compile(r"https?://\S{1,440}").fullmatch),
        "Caller_ID": text(100),
        "Dialled_Number": text(100),
    },
    "Tasks": {
        **_LINKS,
        "Subject": text(255),
        "Due_Date": matching("date", _is_date),
        "Status": one_of("Not Started", "In Progress", "Completed", "Deferred", "Waiting for input"),
        "Priority": one_of("Highest", "High", "Normal", "Low", "Lowest"),
        "Send_Notification_Email": boolean,
    },
    "Events": {**_LINKS, "Event_Title": text(255), "Start_DateTime": TIME, "End_DateTime": TIME},
}
_MANDATORY: Mapping[str, tuple[str, ...]] = {
    "Contacts": ("Last_Name",),
    "Leads": ("Last_Name", "Company"),
    "Accounts": ("Account_Name",),
    "Deals": ("Deal_Name",),
    "Calls": ("Subject", "Call_Type", "Call_Start_Time"),
    "Tasks": ("Subject",),
    "Events": ("Event_Title", "Start_DateTime", "End_DateTime"),
}
_NO_DETAILS: Record = {}
_CUSTOM: Shape[Record] = {"text": text(255), "integer": integer, "boolean": boolean}


def check_values(module: str, values: Record, custom: Iterable[Record], *, create: bool) -> None:
    """Types and lengths of what is there, and what is missing. Raises `Invalid`."""
    own = {field["api_name"]: field for field in custom}
    shape: Shape[Record] = {**{name: _CUSTOM[row["data_type"]] for name, row in own.items()}, **MODULES[module]}
    for name, wrong in checks.problems(values, shape, unknown=_NO_DETAILS, missing=_NO_DETAILS):
        raise Invalid("INVALID_DATA", "invalid data", api_name=name, json_path=f"$.data[0].{name}", **wrong)
    wanted = (*_MANDATORY[module], *(name for name, field in own.items() if field.get("system_mandatory")))
    for name in wanted:
        blank = name in values and not str(values[name]).strip()
        if blank or (create and name not in values):
            raise Invalid("MANDATORY_NOT_FOUND", "required field not found", api_name=name, json_path="$.data[0]")


def check_links(values: Record) -> None:
    """A lead or deal is named with its module, a contact without. Raises `Invalid`."""
    if "What_Id" in values and "$se_module" not in values:
        raise Invalid(
            "DEPENDENT_FIELD_MISSING",
            "dependent field missing",
            api_name="$se_module",
            dependee={"api_name": "What_Id"},
        )
    if values.get("$se_module") == "Leads" and "Who_Id" in values:
        raise Invalid("INVALID_DATA", "a call is with a contact or about a lead", api_name="Who_Id")


def check_call(values: Record, now: float, before: Record | None) -> None:
    """The rules of calls: durations, times, and what cannot be changed. Raises `Invalid`."""
    if before is not None:
        for name in ("Call_Type", "Owner"):
            if name in values and values[name] != before.get(name):
                raise Invalid("INVALID_DATA", "this field cannot be changed", api_name=name)
    whole = {**(before or {}), **values}
    scheduled = whole.get(CALL_STATUS) == "Scheduled"
    begins = datetime.fromisoformat(whole["Call_Start_Time"]).timestamp()
    if not scheduled and begins > now + 60:
        raise Invalid("INVALID_DATA", "a completed call lies in the past", api_name="Call_Start_Time")
    if scheduled and (begins <= now or whole["Call_Type"] != "Outbound"):
        raise Invalid("INVALID_DATA", "a scheduled call goes out, and lies ahead", api_name="Call_Start_Time")
    duration = whole.get("Call_Duration")
    if whole["Call_Type"] == "Missed" or scheduled:
        # one that gets a duration later only looks completed (docs/reference/zoho_crm.md §12)
        if duration is not None and before is None:
            raise Invalid("INVALID_DATA", "nobody has talked", api_name="Call_Duration")
    elif duration is None:
        raise Invalid("MANDATORY_NOT_FOUND", "required field not found", api_name="Call_Duration")
    elif int(duration.replace(":", "")) == 0:
        raise Invalid("INVALID_DATA", "invalid data", api_name="Call_Duration", expected_data_type="text")
