"""Hours in which calls may be placed: the next allowed time across nights, weekends and clock changes."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from connector.tenants.hours import parse_hours

INDIA = ZoneInfo("Asia/Kolkata")
OFFICE = parse_hours({"mon-fri": "09:00-19:00", "sat": ["10:00-13:00", "14:00-16:00"]})


def at(text: str, zone: ZoneInfo = INDIA) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


@pytest.mark.parametrize(
    ("now", "then"),
    [
        ("2026-11-23T09:00", "2026-11-23T09:00"),
        ("2026-11-23T18:59:59", "2026-11-23T18:59:59"),
        ("2026-11-23T19:00", "2026-11-24T09:00"),
        ("2026-11-23T08:59:59", "2026-11-23T09:00"),
        ("2026-11-27T20:00", "2026-11-28T10:00"),
        ("2026-11-28T13:00", "2026-11-28T14:00"),
        ("2026-11-28T16:00", "2026-11-30T09:00"),
        ("2026-11-29T12:00", "2026-11-30T09:00"),
    ],
)
def test_the_next_allowed_time(now: str, then: str) -> None:
    found = OFFICE.next_after(at(now).astimezone(UTC), INDIA)
    assert found == at(then)
    assert found.isoformat().endswith("+05:30")
    assert OFFICE.allow(at(now), INDIA) == (now == then)


def test_one_span_a_week_comes_again_after_a_week() -> None:
    hours = parse_hours({"mon": "09:00-10:00"})
    assert hours.next_after(at("2026-11-23T10:00"), INDIA) == at("2026-11-30T09:00")


def test_a_range_over_the_weekend_and_a_whole_day() -> None:
    hours = parse_hours({"sat-mon": "00:00-24:00"})
    assert [hours.allow(at(f"2026-11-{day}T23:59"), INDIA) for day in range(27, 32 - 1)] == [False, True, True, True]
    assert hours.next_after(at("2026-11-24T00:00"), INDIA) == at("2026-11-28T00:00")


def test_a_clock_that_skips_the_beginning() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    hours = parse_hours({"daily": "02:30-04:00"})
    # On 2026-03-29 clocks go from 02:00 to 03:00.
    assert hours.next_after(at("2026-03-29T00:00", berlin), berlin).isoformat() == "2026-03-29T03:30:00+02:00"
    # In autumn 02:30 comes twice; the first one counts.
    assert hours.next_after(at("2026-10-25T00:00", berlin), berlin).isoformat() == "2026-10-25T02:30:00+02:00"


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({}, "at least one day"),
        ({"mon": []}, "at least one day"),
        ({"someday": "09:00-10:00"}, "'someday' is neither"),
        ({"mon-fri-sat": "09:00-10:00"}, "is neither"),
        ({"mon": "9-17"}, "are no hours"),
        ({"mon": "09:00-25:00"}, "are no hours"),
        ({"mon": "22:00-02:00"}, "ends before it begins"),
        ({"mon": "09:00-09:00"}, "ends before it begins"),
        ({"daily": "09:00-12:00", "tue": "11:00-13:00"}, "the hours of tue overlap"),
    ],
)
def test_what_is_refused(written: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_hours(written)
