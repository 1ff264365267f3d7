"""What is sent: JSON of contacts, call logs, notes, sales activities and tasks.

See docs/reference/freshsales.md §4 to §7.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from connector.adapter import Caller, Entry, Ref, iso, one_line, signed, stamp
from connector.exotel.model import Call
from connector_freshsales.fields import FIELDS

_DUE_AFTER = timedelta(days=1)


def contact_of(key: str, caller: Caller, name: str) -> dict[str, Any]:
    """A new contact; what is no number (withheld, `sip:`) is a name only, and an e-mail address is never made up."""
    last_name = caller.text if caller.masked else caller.saved
    contact = {"first_name": one_line(name, otherwise="Unknown"), "last_name": one_line(last_name), "external_id": key}
    if caller.e164 or caller.saved.isdecimal():
        contact["mobile_number"] = caller.saved
    return {"contact": contact}


def phone_call_of(key: str, contact: Ref, call: Call, entry: Entry) -> dict[str, Any]:
    """A call log; its target is in small letters here, and `call_direction` a boolean: true is incoming."""
    return {
        "phone_call": {
            **FIELDS.written(entry.fields),
            **FIELDS.agent("user_id", entry),
            "call_direction": call.direction == "inbound",
            "targetable_type": contact.kind,
            "targetable": {"id": FIELDS.number("contact", contact.id)},
            "note": {"description": entry.html + stamp(key)},
        }
    }


def note_of(key: str, of: Ref, entry: Entry) -> dict[str, Any]:
    """A note; a change wants all its members again."""
    return {"note": {"description": entry.html + stamp(key), **_target(of)}}


def activity_of(key: str, of: Ref, call: Call, entry: Entry) -> dict[str, Any]:
    """A sales activity, without its type; its owner is the agent or what `fields` say."""
    words = {"title": one_line(entry.subject, otherwise="Call"), "notes": signed(entry.text, key)}
    times = {"start_date": call.started_at, "end_date": call.ended_at}
    told = {name: iso(at) for name, at in times.items() if at is not None}
    return {**words, **_target(of), **told, **FIELDS.written(entry.fields), **FIELDS.agent("owner_id", entry)}


def task_of(key: str, of: Ref, call: Call, entry: Entry) -> dict[str, Any]:
    """A task, due a day after the call; its owner is the agent."""
    called_at = call.ended_at or call.started_at or datetime.fromtimestamp(call.last_event_at, UTC)
    return {
        "title": one_line(entry.subject, otherwise="Call back"),
        "description": signed(entry.text, key),
        "due_date": iso(called_at + _DUE_AFTER),
        **_target(of),
        **FIELDS.agent("owner_id", entry),
    }


def _target(of: Ref) -> dict[str, Any]:
    """What notes, activities and tasks hang on: `Contact`, `Lead`."""
    return {"targetable_type": of.kind.title(), "targetable_id": FIELDS.number("contact", of.id)}
