"""Values as CRMs take and give them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from connector.adapter import began_at, count, iso, iso_utc, link, one_line, signed, stamped, subject_of
from connector.kit.bench import CALL

AT = datetime(2026, 10, 1, 13, 45, 30, 120_000, tzinfo=timezone(timedelta(hours=5, minutes=30)))


@pytest.mark.parametrize(
    ("text", "most", "line"),
    [("", 255, "-"), (" \n ", 255, "-"), (" a\n b\t", 255, "a b"), ("ab cd", 3, "ab"), ("a" * 300, None, "a" * 300)],
)
def test_one_line(text: str, most: int | None, line: str) -> None:
    assert one_line(text, most, "-") == line


def test_subject_of() -> None:
    assert subject_of(" ") == "(no subject)"
    assert subject_of("a" * 300) == "a" * 255
    assert subject_of("a" * 300, None) == "a" * 300


def test_times() -> None:
    assert iso(AT) == "2026-10-01T13:45:30+05:30"
    assert iso_utc(AT) == "2026-10-01T08:15:30.120Z"


def test_began_at() -> None:
    call = CALL.model_copy(update={"started_at": None, "ended_at": None, "first_event_at": 1_000_000.0})
    assert began_at(call) == datetime.fromtimestamp(1_000_000, UTC)
    assert began_at(call.model_copy(update={"ended_at": AT})) == AT
    assert began_at(call.model_copy(update={"started_at": AT, "ended_at": AT + timedelta(hours=1)})) == AT


@pytest.mark.parametrize(
    ("value", "number"), [(None, None), ("", None), ("12", 12), (" 100.0 ", 100), ("-1", None), ("many", None)]
)
def test_count(value: str | None, number: int | None) -> None:
    assert count(value) == number


@pytest.mark.parametrize(
    ("value", "url"),
    [("https://a.example", "https://a.example"), ("http://a", "http://a"), ("javascript:1", None), (None, None)],
)
def test_link(value: object, url: str | None) -> None:
    assert link(value) == url


def test_signed() -> None:
    assert signed("words", "c1:e69d:log") == "words\n[ref c1:e69d:log]"
    assert signed("", "c1:e69d:log") == "[ref c1:e69d:log]"
    assert stamped("c1:e69d:log", signed("words", "c1:e69d:log"))
