"""How Zoho Desk writes lines, times, numbers to search for, calls, and what is left of its credits."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from connector.adapter import Quota, retry_after
from connector.exotel.model import Call

#: What a contact's phone may hold (reference zoho_desk.md §5.1); a SIP address may be longer, or have other signs.
_PHONE = re.compile(r"[\w+\-.()$@?,;:'/!\s]{1,50}")
#: How long nothing is sent when the day's credits are gone and no `Retry-After` tells: they come back with the next
#: day, which begins at an hour that is not documented. Too many requests at once are fewer a moment later.
_CREDITS_GONE_S = 900.0
WAITS_S: Final[Mapping[str, float]] = {"THRESHOLD_EXCEEDED": _CREDITS_GONE_S, "TOO_MANY_REQUESTS": 2.0}


def one_line(text: str, most: int) -> str:
    """One line of at most so many characters: more is refused, not cut."""
    return " ".join(text.split())[:most].rstrip()


def subject_of(text: str, most: int = 1000) -> str:
    """A subject; a blank one would be refused."""
    return one_line(text, most) or "(no subject)"


def phone_of(spellings: Sequence[str], saved: str) -> dict[str, str]:
    """The new contact's phone, where the caller has one that the field can hold."""
    return {"phone": saved} if spellings and _PHONE.fullmatch(saved) else {}


def searched(spellings: Sequence[str]) -> str:
    """Values of one search parameter: any of them may fit. A sign that means something there is nobody's number."""
    return ",".join(dict.fromkeys(one for one in spellings if not set(one) & set(",*$")))


def iso(at: datetime) -> str:
    """`2025-03-02T04:41:12.000Z`"""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def call_facts(call: Call) -> dict[str, Any]:
    """The fields of a call activity that a settled call fills (reference zoho_desk.md §5.6).

    A call that nobody took is `Missed` whichever way it went; a voicemail is one too, its length is the duration.
    """
    began = call.started_at or call.ended_at
    facts: dict[str, Any] = {
        "startTime": iso(began or datetime.fromtimestamp(call.first_event_at, UTC)),
        "status": "Completed" if call.outcome in ("answered", "ivr") else "Missed",
        "direction": call.direction,
        "duration": call.duration_s or 0,
    }
    return facts | ({"recordingUrl": call.recording_url} if call.recording_url else {})


def quota_of(headers: Mapping[str, str]) -> Mapping[str, Quota]:
    """What an answer tells of the day's credits: only that they are gone stops us, since the total is not told."""
    left = headers.get("X-Rate-Limit-Remaining-v3", "").strip()
    if not re.fullmatch(r"-?\d+(\.\d+)?", left) or float(left) > 0:
        return {}
    told = retry_after(headers)
    return {"all": Quota(blocked_s=_CREDITS_GONE_S if told is None else told)}
