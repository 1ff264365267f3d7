"""Exotel's records in our terms: who is who, whether it was answered, and types that drift."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from connector.exotel.api.parsing import parse_call
from connector.exotel.api.records import CallRecord

CUSTOMER, AGENT, EXOPHONE = "+919876543210", "+919711581199", "+918047494574"
INBOUND = {"Sid": "c1", "Direction": "inbound", "From": "09876543210", "PhoneNumberSid": "8047494574"}
OUTBOUND = {**INBOUND, "Direction": "outbound-api", "From": "09711581199", "To": "09876543210"}
END = {"Status": "completed", "EndTime": "2026-01-01 10:00:40"}


def read(raw: dict[str, Any]) -> CallRecord:
    record = parse_call(raw, "IN")
    assert record is not None
    return record


@pytest.mark.parametrize(
    ("raw", "answered"),
    [
        # a sample of Exotel's own: the durations beat the words
        ({**OUTBOUND, **END, "Details": {"ConversationDuration": 33, "Leg2Status": "no-answer"}}, True),
        ({**INBOUND, "Details": {"Legs": [{"Leg": {"Id": "2", "OnCallDuration": "8"}}]}}, True),
        ({**INBOUND, **END, "Details": {"Leg2Status": "completed"}}, True),
        # talk that is not counted yet, and talk that was none
        ({**INBOUND, "Status": "completed", "Details": {"ConversationDuration": 0, "Leg2Status": "completed"}}, None),
        ({**INBOUND, **END, "Details": {"ConversationDuration": 0, "Leg2Status": "completed"}}, False),
        ({**INBOUND, **END, "Details": {"ConversationDuration": 0, "Leg2Status": "busy"}}, False),
        ({**INBOUND, **END, "Details": {"ConversationDuration": 0, "Leg2Status": None}}, False),
        # without the details an inbound call is `completed` however it ended
        ({**INBOUND, **END}, None),
        ({**INBOUND, "Status": "completed", "EndTime": "1970-01-01 05:30:00", "RecordingUrl": "https://x/y"}, None),
        ({**INBOUND, "Status": "in-progress", "Details": {"Leg2Status": "no-answer"}}, None),
        ({**OUTBOUND, **END, "Status": "failed", "Details": {"Leg2Status": "canceled"}}, False),
        ({**OUTBOUND, "Status": "no-answer"}, False),
        ({**OUTBOUND, "Status": "completed"}, None),
    ],
)
def test_whether_it_was_answered(raw: dict[str, Any], answered: bool | None) -> None:
    assert read(raw).answered is answered


@pytest.mark.parametrize(
    ("raw", "customer", "agent", "exophone"),
    [
        ({**INBOUND, "To": "08047494574"}, CUSTOMER, None, EXOPHONE),
        ({**INBOUND, "To": "09711581199"}, CUSTOMER, AGENT, EXOPHONE),
        ({**INBOUND, "To": "sip:asha"}, CUSTOMER, "sip:asha", EXOPHONE),
        # a newer number has an id, and without its number nobody can tell whose `To` is
        ({**INBOUND, "To": "09711581199", "PhoneNumberSid": "f3e7-uuid"}, CUSTOMER, None, None),
        ({**INBOUND, "PhoneNumberSid": "f3e7-uuid", "PhoneNumber": EXOPHONE, "To": AGENT}, CUSTOMER, AGENT, EXOPHONE),
        (OUTBOUND, CUSTOMER, AGENT, EXOPHONE),
        # a call to a flow
        ({**OUTBOUND, "From": "09876543210", "To": "08047494574"}, CUSTOMER, None, EXOPHONE),
        ({**INBOUND, "From": "", "To": None}, None, None, EXOPHONE),
    ],
)
def test_who_is_who(raw: dict[str, Any], customer: str | None, agent: str | None, exophone: str | None) -> None:
    record = read(raw)
    assert (record.customer_number, record.agent_number, record.exophone) == (customer, agent, exophone)


@pytest.mark.parametrize(
    ("told", "duration"), [("17", 17), (17, 17), (17.4, 17), ("", None), (None, None), ("x", None)]
)
def test_durations_drift(told: Any, duration: int | None) -> None:
    assert read({**INBOUND, "Duration": told}).duration_s == duration


@pytest.mark.parametrize(
    ("told", "price"),
    [("1.500", Decimal("1.5")), (0, Decimal(0)), (None, None), ("NaN", None), ("x", None)],
)
def test_prices_drift(told: Any, price: Decimal | None) -> None:
    assert read({**INBOUND, "Price": told}).price == price


def test_times_are_indian_and_the_epoch_is_unset() -> None:
    record = read({**INBOUND, "DateCreated": "2026-01-01 05:30:00", "EndTime": "1970-01-01 05:30:00"})
    assert record.created_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert record.ended_at is None
    assert not record.over


def test_an_empty_status_with_an_end_is_over() -> None:
    assert read({**INBOUND, "Status": "", "EndTime": "2026-01-01 10:00:40"}).over


@pytest.mark.parametrize("raw", [{}, {"Sid": ""}, {"Sid": "null"}, {"Sid": "x" * 200}, {"Sid": ["c1"]}])
def test_what_has_no_sid_is_no_call(raw: dict[str, Any]) -> None:
    assert parse_call(raw, "IN") is None
