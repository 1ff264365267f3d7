"""What is sent: JSON of contacts, call logs, notes, sales activities and tasks (reference freshsales.md §4 to §7)."""

from datetime import UTC, datetime, timedelta
from typing import Any

from connector.adapter import Caller, Entry, Ref, stamp
from connector.exotel.model import Call
from connector_freshsales.fields import number_of, typed
from connector_freshsales.wire import one_line

_DUE_AFTER = timedelta(days=1)


def contact_of(key: str, caller: Caller, name: str) -> dict[str, Any]:
    """A new contact; what is no number (withheld, `sip:`) is a name only, and an e-mail address is never made up."""
    last_name = caller.text if caller.masked else caller.saved
    contact = {"first_name": one_line(name) or "Unknown", "last_name": one_line(last_name), "external_id": key}
    if caller.e164 or caller.saved.isdecimal():
        contact["mobile_number"] = caller.saved
    return {"contact": contact}


def phone_call_of(key: str, contact: Ref, call: Call, entry: Entry) -> dict[str, Any]:
    """A call log; its target is in small letters here, and `call_direction` a boolean: true is incoming."""
    agent = {"user_id": number_of("agent", entry.agent.id)} if entry.agent else {}
    return {
        "phone_call": {
            **typed(entry.fields),
            **agent,
            "call_direction": call.direction == "inbound",
            "targetable_type": contact.kind,
            "targetable": {"id": number_of("contact", contact.id)},
            "note": {"description": entry.html + stamp(key)},
        }
    }


def note_of(key: str, of: Ref, entry: Entry) -> dict[str, Any]:
    """A note; a change wants all its members again."""
    return {"note": {"description": entry.html + stamp(key), **_target(of)}}


def activity_of(key: str, of: Ref, call: Call, entry: Entry) -> dict[str, Any]:
    """A sales activity, without its type; its owner is the agent or what `fields` say."""
    words: dict[str, Any] = {"title": one_line(entry.subject) or "Call", "notes": _text(key, entry), **_target(of)}
    times = {"start_date": call.started_at, "end_date": call.ended_at}
    words |= {name: _iso(at) for name, at in times.items() if at is not None}
    agent = {"owner_id": number_of("agent", entry.agent.id)} if entry.agent else {}
    return words | typed(entry.fields) | agent


def task_of(key: str, of: Ref, call: Call, entry: Entry) -> dict[str, Any]:
    """A task, due a day after the call; its owner is the agent."""
    called_at = call.ended_at or call.started_at or datetime.fromtimestamp(call.last_event_at, UTC)
    agent = {"owner_id": number_of("agent", entry.agent.id)} if entry.agent else {}
    return {
        "title": one_line(entry.subject) or "Call back",
        "description": _text(key, entry),
        "due_date": _iso(called_at + _DUE_AFTER),
        **_target(of),
        **agent,
    }


def _target(of: Ref) -> dict[str, Any]:
    """What notes, activities and tasks hang on: `Contact`, `Lead`."""
    return {"targetable_type": of.kind.title(), "targetable_id": number_of("contact", of.id)}


def _text(key: str, entry: Entry) -> str:
    return f"{entry.text}\n[ref {key}]".lstrip()


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
