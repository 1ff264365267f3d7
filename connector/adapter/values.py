"""Values as CRMs take and give them: one line, a time, a count, a link."""

import re
from datetime import UTC, datetime

from connector.exotel.model import Call


def one_line(text: str, most: int | None = 255, otherwise: str = "") -> str:
    """One line of at most so many characters, since more is refused and not cut; `otherwise` where it is blank."""
    return " ".join(text.split())[:most].rstrip() or otherwise


def subject_of(text: str, most: int | None = 255) -> str:
    """A subject; a blank one would be refused."""
    return one_line(text, most, "(no subject)")


def iso(at: datetime) -> str:
    """`2026-10-01T13:45:30+05:30`: with its offset, without milliseconds."""
    return at.isoformat(timespec="seconds")


def iso_utc(at: datetime) -> str:
    """`2026-10-01T08:15:30.000Z`"""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def began_at(call: Call) -> datetime:
    """When a call began, as far as it is told: its end, else when it was first heard of, is near enough."""
    return call.started_at or call.ended_at or datetime.fromtimestamp(call.first_event_at, UTC)


def count(value: str | None) -> int | None:
    """A header's count, which some write as `100.0`; None where there is none."""
    return int(float(value)) if value and re.fullmatch(r"\d+(\.\d+)?", value.strip()) else None


def link(value: object) -> str | None:
    """An address that people can open, or None."""
    return value if isinstance(value, str) and value.startswith(("https://", "http://")) else None
