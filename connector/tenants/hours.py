"""Hours of the week in which calls may be placed: `{mon-fri: "09:00-19:00", sat: ["10:00-13:00", "14:00-16:00"]}`."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SPAN: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)\s*-\s*(?:([01]?\d|2[0-3]):([0-5]\d)|24:00)")
_DAY_MINUTES: Final = 24 * 60

#: Minutes since midnight on the wall: from, until (exclusive).
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Hours:
    """Spans of each day of the week, Monday first; a day without one allows nothing."""

    days: tuple[tuple[Span, ...], ...]

    def allow(self, at: datetime, zone: ZoneInfo) -> bool:
        """Whether the time `at` lies within a span, by the clocks of `zone`."""
        wall = at.astimezone(zone)
        minute = wall.hour * 60 + wall.minute
        return any(begin <= minute < end for begin, end in self.days[wall.weekday()])

    def next_after(self, at: datetime, zone: ZoneInfo) -> datetime:
        """The first allowed time at or after `at`, in `zone`; `at` itself where it is allowed."""
        if self.allow(at, zone):
            return at.astimezone(zone)
        today = at.astimezone(zone).date()
        for ahead in range(9):  # a week later the same day comes again, this time from its beginning
            day = today + timedelta(days=ahead)
            for begin, _end in self.days[day.weekday()]:
                # By way of UTC: a time that clocks skip in spring is moved to one that there is.
                wall = datetime.combine(day, time(begin // 60, begin % 60), zone).astimezone(UTC).astimezone(zone)
                if wall >= at and self.allow(wall, zone):
                    return wall
        raise AssertionError("hours without a span are not made")


def parse_hours(written: Mapping[str, str | Sequence[str]]) -> Hours:
    """Reads what a tenant wrote: keys are days (`mon`), ranges of days (`mon-fri`) and `daily`, values spans.

    Raises `ValueError` that says what is wrong.
    """
    days: list[list[Span]] = [[] for _ in _DAYS]
    for key, value in written.items():
        spans = [_span(text) for text in ([value] if isinstance(value, str) else value)]
        for day in _days_of(key):
            days[day] += spans
    for name, spans in zip(_DAYS, days, strict=True):
        spans.sort()
        if any(later[0] < earlier[1] for earlier, later in itertools.pairwise(spans)):
            raise ValueError(f"the hours of {name} overlap")
    if not any(days):
        raise ValueError("name at least one day with its hours; leave `hours` out where every time is allowed")
    return Hours(tuple(tuple(spans) for spans in days))


def _days_of(key: str) -> list[int]:
    word = key.strip().lower()
    if word == "daily":
        return list(range(7))
    first, _, last = word.partition("-")
    if first not in _DAYS or (last or first) not in _DAYS:
        raise ValueError(f"{key!r} is neither a day such as mon, a range such as mon-fri nor the word daily")
    begin, end = _DAYS.index(first), _DAYS.index(last or first)
    return [(begin + step) % 7 for step in range((end - begin) % 7 + 1)]


def _span(text: str) -> Span:
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} are no hours such as 09:00-19:00")
    begin = int(match[1]) * 60 + int(match[2])
    end = _DAY_MINUTES if match[3] is None else int(match[3]) * 60 + int(match[4])
    if end <= begin:
        raise ValueError(f"{text!r} ends before it begins; write the part after midnight with the next day")
    return begin, end
