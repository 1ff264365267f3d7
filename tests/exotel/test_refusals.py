"""Every shape of an error -> its type; and no answer whatever raises anything else."""

import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from multidict import CIMultiDict

from connector.errors import (
    AuthFailed,
    ConfigError,
    CrmError,
    CrmUnavailable,
    ExotelRefused,
    NotFound,
    OutcomeUnknown,
    RateLimited,
)
from connector.exotel.api import CallFilter, parsing
from connector.exotel.api.answers import UNREADABLE, decode, problem_of
from connector.exotel.api.refusals import error_of
from tests.exotel.conftest import AGENT, CUSTOMER, EXOPHONE, KEY, TOKEN


def rest(status: Any, message: str, **more: Any) -> dict[str, Any]:
    return {"RestException": {"Status": status, "Message": message, **more}}


def ended(words: str, code: Any = 404) -> dict[str, Any]:
    return {"RestException": {"Code": code, "Message": words}}


def newer(status: int, code: int, message: str) -> dict[str, Any]:
    error = {"code": code, "description": message, "message": "Not Found"}
    return {"http_code": status, "response": {"code": status, "error_data": error, "status": "failure", "data": None}}


def error(
    status: int, body: Any, *, writes: bool = False, headers: Mapping[str, str] | None = None
) -> CrmError | ConfigError:
    return error_of(status, CIMultiDict(headers or {}), problem_of(body), writes=writes, discreet=lambda text: text)


@pytest.mark.parametrize(
    ("status", "body", "kind", "why"),
    [
        (400, rest(400, "Invalid Call Parameters: No 'From' specified"), ExotelRefused, "number"),
        (400, rest(404, "No matching results"), NotFound, None),
        (404, rest(404, "No matching results"), NotFound, None),
        (200, rest(404, "No matching results"), NotFound, None),
        (
            404,
            ended("Given callSID is not in-progress", 404),
            ExotelRefused,
            "not_running",
        ),
        (
            404,
            ended("Given legSID does not exist.", "404"),
            ExotelRefused,
            "not_running",
        ),
        (404, ended("Not Found", 404), NotFound, None),
        (
            400,
            rest(400, "Bad Request", Description="Check"),
            ExotelRefused,
            "other",
        ),
        (401, rest(401, "Unauthorized;", Code=34010), AuthFailed, None),
        (401, "<html>", AuthFailed, None),
        (403, rest(403, "Action forbidden on given resource;", Code=34009), AuthFailed, None),
        (400, rest(400, "Bad or missing parameters in request.;", Code=34001), AuthFailed, None),
        (403, rest(403, "Account inactive.", Code=40002), ExotelRefused, "inactive"),
        (403, rest(403, "Your account is not yet KYC compliant;", Code=340030), ExotelRefused, "kyc"),
        (403, rest(403, "KYC is pending"), ExotelRefused, "kyc"),
        (403, rest(403, "Call to 09876543210 cannot be made because of TRAI NDNC regulations"), ExotelRefused, "dnd"),
        (403, rest(403, "Number is in DND"), ExotelRefused, "dnd"),
        (402, rest(402, "Payment required"), ExotelRefused, "no_credit"),
        (403, rest(403, "Insufficient balance to send 1 sms. Please recharge", Code=40001), ExotelRefused, "no_credit"),
        (400, rest(400, "Invalid CallerId"), ExotelRefused, "caller_id"),
        (400, rest(400, "Invalid Parameter: PhoneNumber is missing or invalid"), ExotelRefused, "number"),
        (403, rest(403, "Listen is not enabled for this account"), ExotelRefused, "not_enabled"),
        (403, "", AuthFailed, None),
        (409, newer(409, 10809, "unverified"), ExotelRefused, "device_unverified"),
        (403, newer(403, 10810, "another device"), ExotelRefused, "device_conflict"),
        (403, newer(403, 10817, "not a phone"), ExotelRefused, "not_a_phone"),
        (404, newer(404, 1000, "Subscriber not found"), NotFound, None),
        (429, rest(429, "Too Many Requests"), RateLimited, None),
        (429, {"http_code": 429, "response": {"error": {"code": "RATE_LIMIT_EXCEEDED"}}}, RateLimited, None),
        (503, rest(503, "Service Unavailable", Code=40405), RateLimited, None),
        (302, "", ConfigError, None),
        (500, "<html>", CrmUnavailable, None),
        (504, "", CrmUnavailable, None),
    ],
)
def test_each_shape_has_its_error(status: int, body: Any, kind: type[Exception], why: str | None) -> None:
    found = error(status, body)
    assert type(found) is kind
    assert getattr(found, "why", None) == why


@pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504])
def test_a_write_without_a_verdict(status: int) -> None:
    assert type(error(status, rest(status, "Unable to originate"), writes=True)) is OutcomeUnknown


def test_exotels_words_code_and_next_action() -> None:
    found = error(403, rest(403, "Your account is not yet KYC compliant;", Code=340030), writes=True)
    assert isinstance(found, ExotelRefused)
    assert found.code == "340030"
    assert found.message == (
        "Exotel refused it (Your account is not yet KYC compliant). Complete the account's KYC in Exotel's dashboard."
    )


@pytest.mark.parametrize(("header", "waits_s"), [({}, 60.0), ({"Retry-After": "7"}, 7.0)])
def test_how_long_a_limit_lasts(header: dict[str, str], waits_s: float) -> None:
    found = error(429, rest(429, "Too Many Requests"), headers=header)
    assert isinstance(found, RateLimited)
    assert found.retry_after_s == waits_s


async def test_nothing_of_ours_is_repeated(answering: Any) -> None:
    words = f"{CUSTOMER} was called with {KEY}:{TOKEN} by 09711581199"
    exotel = await answering(400, json.dumps(rest(400, words)).encode())
    with pytest.raises(ExotelRefused) as caught:
        await exotel.calls.connect(AGENT, CUSTOMER, EXOPHONE)
    told = f"{caught.value.message} {caught.value}"
    for secret in (KEY, TOKEN, CUSTOMER[1:], "9711581199"):
        assert secret not in told


async def test_a_redirect_is_not_followed(answering: Any) -> None:
    exotel = await answering(307, b"", Location="https://elsewhere.example/")
    with pytest.raises(ConfigError) as caught:
        await exotel.calls.connect(AGENT, CUSTOMER, EXOPHONE)
    assert "api_url" in caught.value.message


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<html>",
        b"<!DOCTYPE html><html></html>",
        b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>',
        b'<?xml version="1.0" encoding="no-such"?><x/>',
        b"<a>" * 5000,
        b"<a>" * 500 + b"</a>" * 500,
        b"[" * 100_000,
        b'{"a":' * 500,
        b"nothing",
        b'{"Call": ',
        b"\xff\xfe{\x00}\x00",
    ],
)
def test_what_nobody_can_read(raw: bytes) -> None:
    assert decode(raw) is UNREADABLE


names = st.sampled_from(
    [
        "Sid",
        "Call",
        "Calls",
        "Leg",
        "Legs",
        "legs",
        "Metadata",
        "Total",
        "NextPageUri",
        "Details",
        "Id",
        "OnCallDuration",
        "Duration",
        "Price",
        "Status",
        "Code",
        "Message",
        "RestException",
        "response",
        "data",
        "devices",
        "id",
        "metadata",
        "total",
        "error_data",
        "IncomingPhoneNumbers",
        "incoming_phone_numbers",
        "IncomingPhoneNumber",
        "PhoneNumber",
        "PhoneNumberSid",
        "SMSMessage",
        "Numbers",
        "DND",
        "DateCreated",
        "EndTime",
        "Direction",
        "From",
        "To",
        "capabilities",
        "available",
        "active_call",
        "contact_uri",
        "page",
        "page_size",
        "http_code",
    ]
)
texts = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["", "null", "17", "1e999", "NaN", "-1", "0919876543210", "sip:x", "inbound", "completed", "true"]),
    st.sampled_from(["2026-01-01 00:00:00", "0000-00-00 00:00:00", "1970-01-01 05:30:00", "9999-99-99 99:99:99"]),
)
values: SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts),
    lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(names, below, max_size=6)),
    max_leaves=20,
)
PARSERS = (
    parsing.parse_call,
    parsing.parse_leg,
    parsing.parse_exophone,
    parsing.parse_user,
    parsing.parse_device,
    parsing.parse_number_info,
)


@given(st.dictionaries(names, values, max_size=8))
def test_no_object_makes_a_parser_fail(raw: dict[str, Any]) -> None:
    for parse in PARSERS:
        record = parse(raw, "IN")
        repr(record)
    call = parsing.parse_call({"Sid": "x", **raw}, "IN")
    if call is not None:
        assert call.answered in (True, False, None)
        _ = (call.over, call.customer_number, call.agent_number, call.exophone)
        assert parsing.parse_call(dict(call.raw), "IN") == call


@given(st.sampled_from([200, 201, 302, 400, 401, 403, 404, 409, 429, 500, 503]), values, st.booleans())
def test_no_body_makes_an_error_fail(status: int, body: Any, writes: bool) -> None:
    problem = problem_of(body)
    if status >= 300 or problem is not None:
        assert isinstance(error(status, body, writes=writes), CrmError | ConfigError)


@given(st.binary(max_size=300))
def test_no_bytes_make_decoding_fail(raw: bytes) -> None:
    problem_of(decode(raw))
    problem_of(decode(b"<TwilioResponse>" + raw))
    problem_of(decode(b'{"Call":' + raw))


@pytest.mark.parametrize("status", [200, 400, 404, 429, 500])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'"text"',
        b"[1, 2]",
        b'{"Calls": 1, "Legs": "x", "response": [null], "IncomingPhoneNumbers": {}}',
        b'{"Calls": [null, 1, {}], "Metadata": []}',
        b"<TwilioResponse/>",
        b"<TwilioResponse><Call>x</Call></TwilioResponse>",
        b"<html><body>maintenance</body></html>",
        b"\x00\xff",
    ],
)
async def test_no_answer_raises_anything_else(
    answering: Any, status: int, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector.exotel.api.http._REPEAT_READS_FOR_S", 0.0)
    exotel = await answering(status, body, Retry_After="0")
    asks: list[Callable[[], Awaitable[Any]]] = [
        lambda: exotel.calls.get("a1"),
        lambda: exotel.calls.page(CallFilter()),
        lambda: exotel.calls.connect(AGENT, CUSTOMER, EXOPHONE),
        lambda: exotel.calls.start_recording("a1"),
        lambda: exotel.legs.active("a1"),
        lambda: exotel.legs.finished("a1"),
        lambda: exotel.legs.hang_up("a1", "b2"),
        lambda: exotel.legs.monitor("a1", "barge", "09711581199"),
        lambda: exotel.people.list_users(),
        lambda: exotel.numbers.exophones(),
        lambda: exotel.numbers.info(CUSTOMER),
    ]
    for ask in asks:
        with contextlib.suppress(CrmError, ConfigError):
            await ask()


@pytest.mark.parametrize("body", [b"", b"OK", b"{}", b'{"Recording": {}}'])
async def test_recording_is_taken_at_its_status(answering: Any, body: bytes) -> None:
    """What the Recording API answers is written nowhere."""
    exotel = await answering(200, body)
    await exotel.calls.start_recording("a1")
    await exotel.calls.stop_recording("a1")
