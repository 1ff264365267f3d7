"""No request whatever makes the parser raise anything but `IngressError` with one of two codes."""

import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from connector.errors import IngressError
from connector.exotel import CallEvent, parse_request

NAMES = [
    "CallSid",
    "CallFrom",
    "CallTo",
    "From",
    "To",
    "DialWhomNumber",
    "Status",
    "EventType",
    "Direction",
    "DialCallStatus",
    "CallType",
    "Legs",
    "Stream",
    "Insights",
    "digits",
    "CustomField",
    "RecordingUrl",
    "StartTime",
    "EndTime",
    "CurrentTime",
    "Created",
    "ConversationDuration",
    "DialCallDuration",
    "PhoneNumberSid",
    "MissedCallType",
    "ivr_tag_1",
    "gather_tag_99",
    "Legs[0][Number]",
    "Legs[1][OnCallDuration]",
    "Legs[0][Insights][RingingDuration]",
    "Legs[9999999999][Status]",
    "Legs[][x]",
    "Legs[0]]]",
    "Legs[0][",
    "Stream[RecordingUrl]",
    "Legs[a][b][c][d]",
    "DisconnectedBy",
    "AgentEmail",
]
WORDS = [
    "busy",
    "free",
    "Dial",
    "terminal",
    "answered",
    "completed",
    "no-answer",
    "canceled",
    "null",
    "None",
    "incoming",
    "outbound-dial",
    "voi",
    "0",
    "1",
    "-1",
    "1e999",
    "NaN",
    "08046800001",
    "+919876543210",
    " 919876543210",
    "sip:a",
    "{CallSid}",
    '""',
    '"1',
    "[{}]",
    "[[]]",
    '{"0": {"Number": 1}}',
    "1970-01-01 05:30:00",
    "0000-00-00 00:00:00",
    "9999-12-31 23:59:59",
    "2023-12-27 12:17:05+99:99",
    "Wed, 99 Dec 2023 99:99:99",
    "Wed, 27 Dec 0000 00:00:00",
    "0001-01-01T00:00:00+14:00",
    "https://x/",
]

KINDS = ["pop", "answered", "missed", "ivr", "gather", "end", "voicemail", "status"]
EVENTS = st.one_of(st.sampled_from(KINDS), st.text())
TEXT = st.text(st.characters(codec=None), max_size=30)
VALUES = st.one_of(st.sampled_from(WORDS), TEXT, st.from_regex(r"[0-9]{1,400}", fullmatch=True))
KEYS = st.one_of(st.sampled_from(NAMES), TEXT)
QUERIES = st.lists(st.tuples(KEYS, VALUES), max_size=12)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), VALUES),
    lambda below: st.one_of(st.lists(below, max_size=4), st.dictionaries(KEYS, below, max_size=4)),
    max_leaves=12,
)
TYPES = st.one_of(
    st.none(),
    st.sampled_from(["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"]),
    st.sampled_from(["multipart/mixed", "multipart/form-data; boundary", "multipart/form-data; boundary*=utf-8''%ff"]),
    TEXT,
)
METHODS = st.sampled_from(["GET", "POST", "HEAD", "PUT", ""])


def check(**request: Any) -> CallEvent | None:
    code, event = "", None
    try:
        event = parse_request(**request)
    except IngressError as error:
        code = error.code
    if event is None:
        assert code in ("no_call_sid", "unknown_event")
        return None
    assert event.call_sid
    # What was read can be stored and shown.
    event.model_dump_json()
    assert CallEvent.model_validate(event.model_dump()) == event
    return event


@given(EVENTS, METHODS, QUERIES, TYPES, st.binary(max_size=200))
@example("answered", "GET", [("CallSid", "a"), ("Legs", "[" * 5000)], None, b"")
@example("status", "POST", [("CallSid", "a")], "application/json", b"[" * 200_000)
@example("status", "POST", [("CallSid", "a")], "application/json", b'{"a":"\\ud800","\\udfff":1}')
@example("status", "POST", [("CallSid", "a")], "multipart/form-data; boundary=b", b"--b\r\n" * 5000)
@example("pop", "GET", [("CallSid", "\ud800")], None, b"")
def test_bytes(event: str, method: str, query: list[tuple[str, str]], content_type: str | None, body: bytes) -> None:
    check(event=event, method=method, query=query, content_type=content_type, body=body)


@given(EVENTS, QUERIES, st.dictionaries(KEYS, JSON, max_size=8), st.sampled_from(["IN", "SG", "", "??"]))
@settings(max_examples=300)
def test_json(event: str, query: list[tuple[str, str]], fields: dict[str, Any], country: str) -> None:
    body = json.dumps({"CallSid": "a", **fields}).encode()
    check(event=event, method="POST", query=query, content_type="application/json", body=body, country=country)


@given(QUERIES, st.sampled_from(["b", "-", "b b", "--"]))
def test_multipart(fields: list[tuple[str, str]], boundary: str) -> None:
    body = b"".join(
        b'--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
        % (boundary.encode(), name.encode("utf-8", "replace"), value.encode("utf-8", "replace"))
        for name, value in fields
    )
    check(
        event="status",
        method="POST",
        query=[("CallSid", "a")],
        content_type=f'multipart/form-data; boundary="{boundary}"',
        body=body + b"--" + boundary.encode() + b"--\r\n",
    )


@given(st.sampled_from(KINDS), QUERIES)
@settings(max_examples=300)
def test_a_call_sid_is_all_it_takes(event: str, query: list[tuple[str, str]]) -> None:
    query = [pair for pair in query if pair[0].lower().replace("_", "").replace(" ", "") != "callsid"]
    parsed = check(event=event, method="GET", query=[("CallSid", "a"), *query])
    assert parsed is not None
    assert parsed.call_sid == "a"
    for moment in (parsed.occurred_at, parsed.created_at, parsed.started_at, parsed.ended_at):
        assert moment is None or (moment.utcoffset() is not None and 2000 <= moment.year < 2201)
