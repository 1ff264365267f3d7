"""What Exotel sends, by docs/reference/exotel.md: every case names the line it comes from."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest

from connector.errors import IngressError
from connector.exotel import CallEvent, Leg, parse_request

IST = timezone(timedelta(hours=5, minutes=30))
SID = "56ad12c0e29d5c1f9a0e1b7d3c2f263a"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=IST)


def flow(event: str, params: Mapping[str, str] | str = "", **more: str) -> CallEvent:
    """A GET of a flow: everything in the query."""
    pairs = parse_qsl(params, keep_blank_values=True) if isinstance(params, str) else list(params.items())
    pairs += list(more.items())
    if not any(key == "CallSid" for key, _ in pairs):
        pairs.insert(0, ("CallSid", SID))
    return parse_request(event=event, method="GET", query=pairs)


def multipart(fields: Mapping[str, str], boundary: str = "------------------------d74496d66958873e") -> bytes:
    parts = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    return f"{parts}--{boundary}--\r\n".encode()


def callback(fields: Mapping[str, Any], how: str = "json") -> CallEvent:
    """A StatusCallback; `how` is json, form or multipart (bracketed keys are up to the caller)."""
    fields = {"CallSid": SID, **fields}
    if how == "json":
        kind, body = "application/json", json.dumps(fields).encode()
    elif how == "form":
        kind, body = "application/x-www-form-urlencoded", urlencode(fields).encode()
    else:
        kind, body = "multipart/form-data; boundary=xYz", multipart(fields, "xYz")
    return parse_request(event="status", method="POST", query=[], content_type=kind, body=body)


def expect(event: CallEvent, **fields: Any) -> None:
    assert {name: getattr(event, name) for name in fields} == fields


# --- §3.2, docs/reference/exotel-flows.md §5.18: whole requests ---

COMPLETED = {  # docs/reference/exotel-flows.md §5.18, sample 1
    "CallSid": SID,
    "CallFrom": "08660500001",
    "CallTo": "08046800001",
    "CallStatus": "completed",
    "Direction": "incoming",
    "Created": "Wed, 27 Dec 2023 12:17:05",
    "DialCallDuration": "19",
    "RecordingUrl": "https://recordings.exotel.com/exotelrecordings/acme/a162n.mp3",
    "StartTime": "2023-12-27 12:17:05",
    "EndTime": "1970-01-01 05:30:00",
    "DialCallStatus": "completed",
    "CallType": "completed",
    "DialWhomNumber": "09449000001",
    "flow_id": "7",
    "tenant_id": "15",
    "From": "08660500001",
    "To": "08046800001",
    "RecordingAvailableBy": "Wed, 27 Dec 2023 12:22:26",
    "CurrentTime": "2023-12-27 12:17:26",
    "OutgoingPhoneNumber": "08046800001",
    "Legs": '[{"Number": "09449000001", "Type": "single", "OnCallDuration": "8", "CallerId": "08046800001", '
    '"CauseCode": "NORMAL_CLEARING", "Cause": "16", "DisconnectedBy": "Caller"}]',
}


def test_completed_call() -> None:
    expect(
        flow("answered", COMPLETED),
        kind="answered",
        call_sid=SID,
        direction="inbound",
        customer_number="+918660500001",
        agent_number="+919449000001",
        exophone="+918046800001",
        agent_email=None,
        event_type=None,
        agent_state=None,
        status="completed",
        answered=True,
        digits=None,
        tags=[],
        duration_s=8,
        dial_duration_s=19,
        recording_url="https://recordings.exotel.com/exotelrecordings/acme/a162n.mp3",
        legs=[
            Leg(
                number="+919449000001",
                on_call_duration_s=8,
                cause="NORMAL_CLEARING",
                cause_code=16,
                type="single",
                disconnected_by="Caller",
            )
        ],
        occurred_at=at("2023-12-27 12:17:26"),
        created_at=at("2023-12-27 12:17:05"),
        started_at=at("2023-12-27 12:17:05"),
        ended_at=None,
        custom_field=None,
        disconnected_by="Caller",
        raw=COMPLETED,
    )


def test_gather_after_a_connect_carries_stale_values() -> None:  # docs/reference/exotel-flows.md §5.18, sample 2; §1
    params = {k: v for k, v in COMPLETED.items() if k not in ("Legs", "OutgoingPhoneNumber")}
    params |= {"CallStatus": "in-progress", "ProcessStatus": "ready", "digits": '"15246"', "DialCallDuration": "25"}
    expect(flow("gather", params), kind="gather", status="ivr", answered=None, digits="15246", duration_s=None)


def test_api_call_to_a_flow() -> None:  # docs/reference/exotel-flows.md §5.18, sample 3; §3.2.1
    params = COMPLETED | {"Direction": "outbound-dial", "CustomField": "Hello there"}
    expect(
        flow("answered", params),
        direction="outbound",
        customer_number="+918660500001",
        exophone="+918046800001",
        agent_number="+919449000001",
        custom_field="Hello there",
        answered=True,
    )


def test_sip_request() -> None:  # §3.4, docs/reference/exotel-flows.md §3.3.1.1
    event = flow(
        "missed",
        "CallSid=743ddcf5a0552050bc37b6d0ff9613bn&CallFrom=sip:Alice&CallTo=sip:08040408080&CallStatus=ringing"
        "&Direction=incoming&Created=Sat,+23+Nov+2019+22:00:37&DialCallDuration=0&StartTime=2019-11-23+22:00:37"
        "&EndTime=1970-01-01+05:30:00&CallType=call-attempt&DialWhomNumber=&flow_id=249196&tenant_id=113828"
        "&From=sip:Alice&To=sip:08040408080&CurrentTime=2019-11-23+22:00:37",
    )
    expect(
        event,
        call_sid="743ddcf5a0552050bc37b6d0ff9613bn",
        customer_number="sip:Alice",
        exophone="sip:08040408080",
        agent_number=None,
        dial_duration_s=0,
        status="no-answer",
        answered=False,
        created_at=at("2019-11-23 22:00:37"),
    )


def test_amd_passthru_has_few_parameters_and_integers() -> None:  # §3.2, docs/reference/exotel-flows.md §1
    body = {
        "CallSid": "afc75285632df2acd33b7ea1fecb1a4h",
        "CallFrom": "06203612779",
        "CallTo": "02247789996",
        "Direction": "outbound-dial",
        "DialCallDuration": 27,
        "DialCallStatus": "completed",
        "StartTime": "2026-04-17 19:02:06",
        "CurrentTime": "2026-04-17 19:02:38",
        "Legs": [
            {
                "Number": "06355212721",
                "Type": "single",
                "OnCallDuration": 18,
                "CauseCode": "NORMAL_CLEARING",
                "AnsweredBy": "HUMAN",
                "AmdCause": "HUMAN-800-800",
            }
        ],
    }
    event = parse_request(
        event="answered", method="POST", query=[], content_type="application/json", body=json.dumps(body).encode()
    )
    expect(
        event,
        direction="outbound",
        customer_number="+916203612779",
        exophone="+912247789996",
        agent_number="+916355212721",
        status="completed",
        answered=True,
        duration_s=18,
        dial_duration_s=27,
        raw=body,
    )
    assert event.legs[0].answered_by == "HUMAN"
    assert event.legs[0].amd_cause == "HUMAN-800-800"
    assert event.legs[0].cause_code is None


def test_recording_guide_request() -> None:  # docs/reference/exotel-flows.md §5.1: CallType=outgoing is no information
    event = flow("answered", "CallSid=abcd1234efgh5678&From=%2B919900112233&To=08088919888&CallType=outgoing")
    expect(event, customer_number="+919900112233", exophone="+918088919888", status="unknown", answered=None)


# --- docs/design.md §3: words of every dialect ---


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("pop", "popup"),
        ("popup", "popup"),
        ("createpopup", "popup"),
        ("answered", "answered"),
        ("incomingcallhungup", "answered"),
        ("automated_answered", "automated_answered"),
        ("missed", "missed"),
        ("callmissed", "missed"),
        ("ivr", "ivr"),
        ("gather", "gather"),
        ("end", "end"),
        ("voicemail", "voicemail"),
        ("status", "status"),
        ("record_start", "record_start"),
        ("record_stop", "record_stop"),
        ("callback/leg", "leg"),
        ("callback/recording", "recording"),
        (" Answered ", "answered"),
        ("CREATEPOPUP", "popup"),
    ],
)
def test_words(word: str, kind: str) -> None:
    assert flow(word).kind == kind


@pytest.mark.parametrize("word", ["", "pops", "connect", "answered\x00", "record", "leg", "callback/sms", "../status"])
def test_unknown_words(word: str) -> None:
    with pytest.raises(IngressError) as caught:
        flow(word)
    assert (caught.value.code, caught.value.field) == ("unknown_event", "event")


# --- §2.8: CallSid ---


@pytest.mark.parametrize("sid", ["27ba29be09721e231a10dd5e9885158p", "abcd1234efgh5678", "AbC", "x" * 128])
def test_call_sids_are_not_validated(sid: str) -> None:
    assert flow("answered", {"CallSid": sid}).call_sid == sid


@pytest.mark.parametrize("sid", ["", " ", "null", "{CallSid}", "{{CallSid}}", "a\x00b", "a\nb", "x" * 129])
def test_no_call_sid(sid: str) -> None:
    with pytest.raises(IngressError) as caught:
        flow("answered", {"CallSid": sid})
    assert (caught.value.code, caught.value.field) == ("no_call_sid", "CallSid")


def test_call_sid_is_trimmed_and_found_in_any_case() -> None:
    assert parse_request(event="missed", method="GET", query=[("callsid", f" {SID} ")]).call_sid == SID


def test_placeholder_of_the_configured_url_does_not_hide_what_exotel_appends() -> None:  # §3
    event = parse_request(event="answered", method="GET", query=[("CallSid", SID), ("CallSid", "{CallSid}")])
    assert event.call_sid == SID
    assert flow("answered", {"From": "{From}", "CallFrom": "08660500001"}).customer_number == "+918660500001"


# --- §3.1: popups ---

POPUP = {  # cap erpnext
    "CallSid": SID,
    "CallFrom": "09876543210",
    "From": "09876543210",
    "CallTo": "08046800001",
    "To": "08046800002",
    "DialWhomNumber": "09999999980",
    "Status": "busy",
    "EventType": "Dial",
    "Direction": "incoming",
    "Created": "Thu, 25 Feb 2022 23:31:12",
    "CurrentTime": "2022-02-25 23:31:20",
    "AgentEmail": "agent@acme.example",
    "RingDuration": "0",
}


def test_popup() -> None:
    expect(
        flow("pop", POPUP),
        kind="popup",
        direction="inbound",
        customer_number="+919876543210",
        exophone="+918046800001",
        agent_number="+919999999980",
        agent_email="agent@acme.example",
        event_type="dial",
        agent_state="busy",
        status="ringing",
        answered=None,
        occurred_at=at("2022-02-25 23:31:20"),
        created_at=at("2022-02-25 23:31:12"),
        duration_s=None,
    )


def test_minimal_popup() -> None:  # docs/reference/exotel-flows.md §5.17
    event = flow("pop", "From=09876543210&DialWhomNumber=sip:agent1&Status=busy")
    expect(event, customer_number="+919876543210", agent_number="sip:agent1", exophone=None, status="ringing")
    assert event.direction is None
    assert event.occurred_at is None


@pytest.mark.parametrize(
    ("event_type", "state", "status"),  # §3.2.2, first rows
    [
        ("Dial", "busy", "ringing"),
        (" Dial", "busy", "ringing"),  # §2.6: one table prints a leading blank
        ("dial", "", "ringing"),
        ("Ringing", "busy", "ringing"),
        ("Answered", "busy", "in-progress"),
        ("Terminal", "free", "agent-free"),
        ("TERMINAL", "", "agent-free"),
        ("", "busy", "ringing"),
        ("", "free", "agent-free"),
        ("", "Free", "agent-free"),
        ("null", "busy", "ringing"),
        ("", "", "unknown"),
    ],
)
def test_popup_table(event_type: str, state: str, status: str) -> None:
    event = flow("pop", {"EventType": event_type, "Status": state})
    expect(event, status=status, answered=None, agent_state=state.lower() or None)
    assert event.event_type == (event_type.strip().lower() if event_type not in ("", "null") else None)


def test_popup_direction_outbound_is_not_believed() -> None:  # §11.1
    event = flow("pop", POPUP | {"Direction": "outbound-dial"})
    expect(event, direction=None, customer_number="+919876543210", exophone="+918046800001")


# --- §3.2.2: passthru table ---


@pytest.mark.parametrize(
    ("event", "params", "status", "answered"),
    [
        # voicemail: by kind, CallType, MissedCallType
        ("voicemail", "CallType=voicemail", "voicemail", False),
        ("voicemail", "CallType=completed&DialCallStatus=completed", "voicemail", False),
        ("missed", "CallType=voicemail", "voicemail", False),
        ("missed", "MissedCallType=voi", "voicemail", False),
        ("answered", "MissedCallType=Voicemail&DialCallStatus=completed", "voicemail", False),
        # completed: facts, not CallType alone
        ("answered", "CallType=completed&DialCallStatus=completed", "completed", True),
        ("answered", "Legs[0][OnCallDuration]=3", "completed", True),
        ("missed", "CallType=completed&DialCallStatus=completed", "completed", True),  # facts beat the word
        ("missed", "Legs[0][OnCallDuration]=3&DialCallStatus=no-answer", "completed", True),
        ("automated_answered", "Legs[0][OnCallDuration]=0&Legs[1][OnCallDuration]=5", "completed", True),
        ("answered", "Insights[DialCallStatus]=completed", "completed", True),  # §2.5
        ("answered", "CallType=completed", "unknown", None),
        ("answered", "CallType=completed&Legs[0][OnCallDuration]=0", "unknown", None),
        # caller left
        ("missed", "CallType=client-hangup&DialCallStatus=canceled", "canceled", False),
        ("missed", "CallType=client-hangup", "canceled", False),
        ("missed", "DialCallStatus=cancelled", "canceled", False),
        ("missed", "DialCallStatus=canceled&Legs[0][CauseCode]=RING_TIMEOUT", "canceled", False),
        ("answered", "CallType=client-hangup&DialCallStatus=completed", "completed", True),
        # nobody picked up
        ("missed", "CallType=incomplete&DialCallStatus=no-answer&DialWhomNumber=09999999980", "no-answer", False),
        ("missed", "CallType=incomplete&DialCallStatus=busy", "busy", False),
        ("missed", "CallType=incomplete&DialCallStatus=failed", "failed", False),
        ("missed", "DialCallStatus=No-Answer", "no-answer", False),
        ("answered", "CallType=incomplete&DialCallStatus=no-answer", "no-answer", False),
        # nobody dialled, nothing said
        ("missed", "", "no-answer", False),
        ("missed", "CallType=call-attempt&DialWhomNumber=", "no-answer", False),
        ("missed", "CallType=incomplete&CallStatus=ringing&DialWhomNumber=null", "no-answer", False),
        ("missed", "DialCallStatus=null", "no-answer", False),  # §2.3
        # else
        ("missed", "DialWhomNumber=09999999980", "unknown", None),
        ("missed", "Legs[0][Number]=09999999980", "unknown", None),
        ("missed", "CallType=completed", "unknown", None),
        ("answered", "", "unknown", None),
        ("answered", "CallType=incomplete&CallStatus=ringing", "unknown", None),
        ("answered", "DialCallStatus=whatever", "unknown", None),
        ("answered", "DialCallStatus=null&CallStatus=null", "unknown", None),  # §2.3
        # input: whatever it carries
        ("ivr", "CallType=call-attempt&digits=%222%22", "ivr", None),
        ("gather", "CallType=completed&DialCallStatus=completed&Legs[0][OnCallDuration]=8", "ivr", None),
        ("end", "CallType=voicemail", "ivr", None),
    ],
)
def test_passthru_table(event: str, params: str, status: str, answered: bool | None) -> None:
    expect(flow(event, params), status=status, answered=answered)


@pytest.mark.parametrize(
    ("event", "value", "kind"),
    [
        ("missed", "voi", "voicemail"),  # §3.3: only ever printed cut off
        ("callmissed", "Voicemail", "voicemail"),
        ("missed", "noanswer", "missed"),
        ("missed", "", "missed"),
        ("answered", "voi", "answered"),
    ],
)
def test_missed_call_type(event: str, value: str, kind: str) -> None:
    assert flow(event, MissedCallType=value).kind == kind


# --- §3.2.1: who is who ---


@pytest.mark.parametrize(
    ("params", "customer", "exophone", "agent"),
    [
        ("CallFrom=09876543210&CallTo=08046800001", "+919876543210", "+918046800001", None),
        ("From=09876543210&To=08046800001", "+919876543210", "+918046800001", None),  # they stand in
        ("CallFrom=&From=09876543210&CallTo=null&To=08046800001", "+919876543210", "+918046800001", None),
        ("CallTo=8039513882&To=08039513882", None, "+918039513882", None),  # §2.1
        ("CallFrom=+919876543210", "+919876543210", None, None),  # §2.1: raw plus
        ("CallFrom=", None, None, None),  # §2.1: withheld
        ("CallFrom=Anonymous", "Anonymous", None, None),
        ("DialWhomNumber=sip:agent7", None, None, "sip:agent7"),
        ("DialWhomNumber=&Legs[0][Number]=09999999980&Legs[0][OnCallDuration]=4", None, None, "+919999999980"),
        (
            "Legs[0][Number]=09999999980&Legs[0][OnCallDuration]=0&Legs[1][Number]=09999999981&Legs[1][OnCallDuration]=9",
            None,
            None,
            "+919999999981",
        ),
        ("Legs[0][Number]=09999999980&Legs[0][OnCallDuration]=0", None, None, None),
        ("CallTo=08046800001&OutgoingPhoneNumber=08046800002", None, "+918046800001", None),
    ],
)
@pytest.mark.parametrize("direction", ["incoming", "inbound", ""])
def test_inbound_parties(
    params: str, customer: str | None, exophone: str | None, agent: str | None, direction: str
) -> None:
    event = flow("answered", params, Direction=direction)
    expect(event, customer_number=customer, exophone=exophone, agent_number=agent)


@pytest.mark.parametrize(
    ("params", "exophone", "others"),
    [
        ("CallTo=08046800001", "+918046800001", ()),
        ("CallTo=09876543210&OutgoingPhoneNumber=08046800001", "+918046800001", ("+919876543210",)),
        ("CallTo=08046800001&To=08046800002", "+918046800001", ("+918046800002",)),
    ],
)
def test_outbound_parties(params: str, exophone: str, others: tuple[str, ...]) -> None:
    event = flow("answered", params, CallFrom="08660500001", Direction="outbound-dial")
    expect(event, customer_number="+918660500001", exophone=exophone, other_numbers=others)


@pytest.mark.parametrize(
    ("word", "direction"),  # §2.6
    [
        ("incoming", "inbound"),
        ("inbound", "inbound"),
        ("Incoming", "inbound"),
        ("outbound-dial", "outbound"),
        ("outbound dial", "outbound"),
        ("outbound-api", "outbound"),
        ("outbound", "outbound"),
        ("outgoing", "outbound"),
        ("null", None),
        ("sideways", None),
    ],
)
def test_direction(word: str, direction: str | None) -> None:
    assert flow("answered", Direction=word).direction == direction


def test_country() -> None:
    query = [("CallSid", SID), ("From", "91234567")]
    assert parse_request(event="missed", method="GET", query=query, country="SG").customer_number == "+6591234567"


# --- §2.2: times ---


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2023-12-27 12:17:05", "2023-12-27 12:17:05"),
        ("2023-12-27, 12:17:05", "2023-12-27 12:17:05"),  # the gather page's form
        ("2023-12-27T12:17:05", "2023-12-27 12:17:05"),
        ("2026-09-28T14:31:08+05:30", "2026-09-28 14:31:08"),
        ("2026-09-04 19:21:01+05:30", "2026-09-04 19:21:01"),
        ("2026-09-04 19:21:01 05:30", "2026-09-04 19:21:01"),  # its plus decoded to a blank
        ("2026-09-28T09:01:08+00:00", "2026-09-28 14:31:08"),
        ("2023-12-04T23:02:19Z", "2023-12-04 23:02:19"),  # local time labelled Z
        ("Wed, 27 Dec 2023 12:17:05", "2023-12-27 12:17:05"),
        ("27 Dec 2023 12:17:05", "2023-12-27 12:17:05"),
        ("Sat, 2 Mar 2024 09:05:00", "2024-03-02 09:05:00"),
        ("Wed, 27 Dec 2023 06:47:05 +0000", "2023-12-27 12:17:05"),
        ("Wed, 27 Dec 2023 06:47:05 GMT", "2023-12-27 12:17:05"),
        (" 2023-12-27 12:17:05 ", "2023-12-27 12:17:05"),
        ("1970-01-01 05:30:00", None),
        ("1970-01-01 00:00:00", None),
        ("0000-00-00 00:00:00", None),
        ("0001-01-01T00:00:00Z", None),
        ("9999-12-31 23:59:59", None),
        ("2023-02-30 12:00:00", None),
        ("Wed, 31 Feb 2023 12:17:05", None),
        ("Wed, 27 Foo 2023 12:17:05", None),
        ("Wed, 27 Dec 2023 12:17:05 +9999", None),
        ("2023-12-27", None),
        ("1703659625", None),
        ("null", None),
        ("", None),
        ("soon", None),
    ],
)
def test_times(text: str, expected: str | None) -> None:
    event = flow("answered", CurrentTime=text, StartTime=text, Created=text)
    assert event.occurred_at == (at(expected) if expected else None)
    assert event.started_at == event.created_at == event.occurred_at
    if event.occurred_at is not None:
        assert event.occurred_at.utcoffset() == timedelta(hours=5, minutes=30)


def test_current_time_as_documented() -> None:  # §2.6
    assert flow("answered", {"Current Time": "2023-12-27 12:17:26"}).occurred_at == at("2023-12-27 12:17:26")


def test_end_before_start_is_dropped() -> None:  # §2.2
    fields = {"StartTime": "2026-05-15 16:46:13", "EndTime": "2026-05-15 16:46:05"}
    expect(callback(fields), started_at=at("2026-05-15 16:46:13"), ended_at=None)


# --- §2.4: digits; §3.3: tags ---


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ('"15246"', "15246"),
        ("15246", "15246"),
        ('"007"', "007"),
        ('"*12#"', "*12#"),
        ('"0"', "0"),
        ("'5'", "5"),
        ('\\"5\\"', "5"),
        (' "2" ', "2"),
        ('""', None),
        ("", None),
        ("null", None),
        ('"null"', None),
    ],
)
def test_digits(text: str, digits: str | None) -> None:
    assert flow("gather", digits=text).digits == digits


def test_digits_of_json() -> None:
    body = json.dumps({"CallSid": SID, "digits": 12}).encode()
    assert parse_request(event="ivr", method="POST", query=[], body=body).digits == "12"


@pytest.mark.parametrize(
    ("event", "params", "tags"),
    [
        ("ivr", "ivr_tag_1=lang_english", [("ivr", 1, "lang_english")]),
        ("gather", "gather_tag_2=customer_acc_number", [("gather", 2, "customer_acc_number")]),
        ("ivr", "gather_tag_1=customer_account_number", [("gather", 1, "customer_account_number")]),  # handbook
        ("answered", "ivr_tag_3=x", [("ivr", 3, "x")]),
        ("ivr", "ivr_tag_1=a&gather_tag_1=b", [("ivr", 1, "a"), ("gather", 1, "b")]),
        ("ivr", "ivr_tag_1=%E0%A4%B9%E0%A4%BF%E0%A4%82%E0%A4%A6%E0%A5%80+1", [("ivr", 1, "हिंदी 1")]),
        ("ivr", "ivr_tag_1=none", [("ivr", 1, "none")]),
        ("ivr", "IVR_Tag_1=a", [("ivr", 1, "a")]),
        ("ivr", "ivr_tag_1=&ivr_tag_x=b&ivr_tag_=c&xivr_tag_1=d", []),
    ],
)
def test_tags(event: str, params: str, tags: list[tuple[str, int, str]]) -> None:
    assert flow(event, params).tags == tags


# --- §2.5: legs ---


def test_legs_bracketed() -> None:  # docs/reference/exotel-flows.md §5.18
    event = flow(
        "answered",
        "Legs[0][CauseCode]=NORMAL_CLEARING&Legs[0][Cause]=16&Legs[0][Type]=single&Legs[0][OnCallDuration]=21"
        "&Legs%5B0%5D%5BNumber%5D=07200498123",
    )
    leg = Leg(number="+917200498123", cause="NORMAL_CLEARING", cause_code=16, type="single", on_call_duration_s=21)
    assert event.legs == [leg]
    expect(event, agent_number="+917200498123", duration_s=21, answered=True)


def test_several_legs_in_order_of_their_index() -> None:
    event = flow("missed", "Legs[10][Number]=09999999982&Legs[2][Number]=09999999981&Legs[0][Number]=09999999980")
    assert [leg.number for leg in event.legs] == ["+919999999980", "+919999999981", "+919999999982"]


def test_leg_insights() -> None:  # cap fastglue
    event = flow(
        "answered",
        "Legs[0][Number]=09999999980&Legs[1][Number]=09999999981&Legs[1][Insights][Status]=completed"
        "&Legs[1][Insights][DetailedStatus]=CALL_COMPLETED&Legs[1][Insights][RingingDuration]=4.39"
        "&Insights[DialCallStatus]=completed",
    )
    assert [(leg.status, leg.ringing_duration_s) for leg in event.legs] == [(None, None), ("completed", 4)]
    assert event.answered is True


@pytest.mark.parametrize(
    ("leg", "expected"),
    [
        ({"CauseCode": "NORMAL_CLEARING", "Cause": "16"}, Leg(cause="NORMAL_CLEARING", cause_code=16)),
        ({"CauseCode": "RING_TIMEOUT", "Cause": 1003}, Leg(cause="RING_TIMEOUT", cause_code=1003)),
        ({"CauseCode": "USER_BUSY", "Code": "17"}, Leg(cause="USER_BUSY", cause_code=17)),  # §11.13
        ({"CauseCode": "16", "Cause": "NORMAL_CLEARING"}, Leg(cause="NORMAL_CLEARING", cause_code=16)),
        ({"CauseCode": "16"}, Leg(cause_code=16)),
        ({"OnCallDuration": "4.6", "RingingDuration": "4.39"}, Leg(on_call_duration_s=5, ringing_duration_s=4)),
        ({"OnCallDuration": 13, "RingingDuration": 4.39}, Leg(on_call_duration_s=13, ringing_duration_s=4)),
        ({"OnCallDuration": "", "RingingDuration": None}, Leg()),
        ({"OnCallDuration": "-3", "Cause": "x" * 20}, Leg(cause="x" * 20)),
        ({"OnCallDuration": "1e999", "RingingDuration": "99999999999999999999"}, Leg()),
        ({"AnsweredBy": "Machine", "AmdCause": ""}, Leg(answered_by="MACHINE")),  # §11.11
        ({"AnsweredBy": "NA", "AmdCause": "LONGGREETING-1-2"}, Leg(answered_by="NA", amd_cause="LONGGREETING-1-2")),
        ({"Type": "parallel", "DisconnectedBy": "Callee"}, Leg(type="parallel", disconnected_by="Callee")),
        ({"Status": "Cancelled"}, Leg(status="canceled")),
        ({"Status": "null", "Number": "null"}, Leg()),
        (
            {"Insights": {"RingingDuration": 7}, "DisconnectedBy": "NA"},
            Leg(ringing_duration_s=7),
        ),
        ({"Number": 9999999980}, Leg(number="+919999999980")),
    ],
)
def test_leg_fields(leg: dict[str, Any], expected: Leg) -> None:
    assert flow("missed", Legs=json.dumps([leg])).legs == [expected]
    assert callback({"Legs": [leg]}).legs == [expected]


@pytest.mark.parametrize("text", ["", "[", "null", "[]", "{}", "[1, null]", "NA", '"x"', "[[]]"])
def test_unreadable_legs(text: str) -> None:
    assert flow("missed", Legs=text).legs == []


def test_brackets_that_contradict_each_other() -> None:
    assert flow("missed", "Legs[0]=x&Legs[0][Number]=09999999980&Legs[1][Number]=09999999981").legs == [
        Leg(number="+919999999981")
    ]


def test_bracketed_legs_stand_in_for_unreadable_text() -> None:
    assert len(flow("missed", "Legs=[{&Legs[0][Number]=09999999980").legs) == 1


# --- §2.6, §3.2: recording, stream, custom field, who hung up ---


@pytest.mark.parametrize(
    ("params", "url"),
    [
        ({"RecordingUrl": "https://r.exotel.com/a.mp3"}, "https://r.exotel.com/a.mp3"),
        ({"RecordingURL": "https://r.exotel.com/a.mp3"}, "https://r.exotel.com/a.mp3"),
        ({"Stream[RecordingUrl]": "https://r.exotel.com/s.mp3"}, "https://r.exotel.com/s.mp3"),  # sup 3000132269
        (
            {"Stream": '{"Status": "completed", "RecordingUrl": "https://r.exotel.com/s.mp3"}'},
            "https://r.exotel.com/s.mp3",
        ),
        ({"RecordingUrl": "", "Stream[RecordingUrl]": "https://r.exotel.com/s.mp3"}, "https://r.exotel.com/s.mp3"),
        ({"RecordingUrl": "null"}, None),
        ({"RecordingUrl": "javascript:alert(1)"}, None),
        ({}, None),
    ],
)
def test_recording(params: dict[str, str], url: str | None) -> None:
    assert flow("answered", params).recording_url == url


@pytest.mark.parametrize(
    ("params", "side"),
    [
        ("DisconnectedBy=Callee", "Callee"),
        ("Legs[0][OnCallDuration]=3&Legs[0][DisconnectedBy]=Caller", "Caller"),
        ("Legs[0][OnCallDuration]=0&Legs[0][DisconnectedBy]=Caller", None),
        ("DisconnectedBy=NA", None),
        ("DisconnectedBy=null", None),
    ],
)
def test_disconnected_by(params: str, side: str | None) -> None:
    assert flow("answered", params).disconnected_by == side


@pytest.mark.parametrize(("text", "value"), [("Hello there", "Hello there"), ("null", None), ("", None), ("0", "0")])
def test_custom_field(text: str, value: str | None) -> None:
    assert flow("answered", CustomField=text).custom_field == value


@pytest.mark.parametrize("param", ["ForwardedFrom", "ProcessStatus"])
def test_deprecated_parameters_stay_raw(param: str) -> None:  # §2.3
    assert flow("answered", {param: "null"}).raw == {"CallSid": SID, param: "null"}


# --- §2.7: durations ---


@pytest.mark.parametrize(
    ("event", "params", "talk", "dial"),
    [
        ("answered", "DialCallDuration=13&DialCallStatus=completed&Legs[0][OnCallDuration]=11", 11, 13),
        ("answered", "DialCallDuration=13&DialCallStatus=completed", None, 13),
        ("missed", "DialCallDuration=5&DialCallStatus=busy", None, 5),
        ("missed", "DialCallDuration=5&DialCallStatus=no-answer&Legs[0][OnCallDuration]=0", 0, 5),
        ("answered", "Legs[0][OnCallDuration]=0&Legs[1][OnCallDuration]=10", 10, None),
        ("voicemail", "DialCallDuration=25&Legs[0][OnCallDuration]=8", None, 25),
        ("ivr", "DialCallDuration=0", None, 0),
    ],
)
def test_durations(event: str, params: str, talk: int | None, dial: int | None) -> None:
    expect(flow(event, params), duration_s=talk, dial_duration_s=dial)


# --- §4: StatusCallback ---

AMD = {  # docs/reference/exotel-flows.md §1
    "CallSid": "f3dec10279a310e2831754a4ec841a5f",
    "ConversationDuration": "13",
    "DateCreated": "2026-05-15 16:46:13",
    "DateUpdated": "2026-05-15 16:46:50",
    "DetailedStatus": "NA",
    "DetailedStatusSubBucket": "NA",
    "Direction": "outbound-api",
    "DisconnectedBy": "Callee",
    "EndTime": "2026-05-15 16:46:50",
    "EventTime": "2026-05-15 16:46:50",
    "EventType": "terminal",
    "From": "08203612779",
    "Legs": [
        {"OnCallDuration": "26", "RingingDuration": "5", "Status": "completed", "AnsweredBy": "NA", "AmdCause": ""},
        {
            "OnCallDuration": "13",
            "RingingDuration": "4",
            "Status": "completed",
            "AnsweredBy": "HUMAN",
            "AmdCause": "HUMAN-080-880",
        },
    ],
    "PhoneNumberSid": "8224778996",
    "RecordingUrl": "https://recordings.us3.qaexotel.com/exotelrecordings/ree5e1us3/f3dec10279a310",
    "StartTime": "2026-05-15 16:46:13",
    "Status": "completed",
    "To": "08969916092",
}


def test_terminal_callback_of_2026() -> None:
    expect(
        callback(AMD),
        kind="status",
        call_sid="f3dec10279a310e2831754a4ec841a5f",
        direction="outbound",
        customer_number="+918969916092",
        agent_number="+918203612779",
        exophone="+918224778996",
        event_type="terminal",
        agent_state=None,
        status="completed",
        answered=True,
        duration_s=13,
        dial_duration_s=None,
        recording_url="https://recordings.us3.qaexotel.com/exotelrecordings/ree5e1us3/f3dec10279a310",
        legs=[
            Leg(status="completed", on_call_duration_s=26, ringing_duration_s=5, answered_by="NA"),
            Leg(
                status="completed",
                on_call_duration_s=13,
                ringing_duration_s=4,
                answered_by="HUMAN",
                amd_cause="HUMAN-080-880",
            ),
        ],
        occurred_at=at("2026-05-15 16:46:50"),
        created_at=at("2026-05-15 16:46:13"),
        started_at=at("2026-05-15 16:46:13"),
        ended_at=at("2026-05-15 16:46:50"),
        disconnected_by="Callee",
        raw=AMD,
    )


MULTIPART = {  # docs/reference/exotel.md §4.2, the multipart sample
    "CallSid": "492205107c5fb48f4ac25d1f77759339",
    "EventType": "terminal",
    "From": "+919413740001",
    "To": "+918867990001",
    "PhoneNumberSid": "01130830001",
    "Status": "no-answer",
    "Direction": "outbound-api",
    "DateCreated": "2019-04-08 03:10:55",
    "DateUpdated": "2019-04-08 03:11:28",
    "StartTime": "2019-04-08 03:10:55",
    "EndTime": "2019-04-08 03:11:30",
    "RecordingUrl": "",
    "ConversationDuration": "0",
    "Legs[0][Status]": "no-answer",
    "Legs[0][OnCallDuration]": "0",
    "Legs[1][Status]": "",
    "Legs[1][OnCallDuration]": "0",
}


@pytest.mark.parametrize("how", ["multipart", "form", "json"])  # §11.5: all three by Content-Type
def test_callback_encodings(how: str) -> None:
    expect(
        callback(MULTIPART, how),
        call_sid="492205107c5fb48f4ac25d1f77759339",
        customer_number="+918867990001",
        agent_number="+919413740001",
        exophone="+911130830001",
        status="no-answer",
        answered=False,
        duration_s=0,
        recording_url=None,
        legs=[Leg(status="no-answer", on_call_duration_s=0), Leg(on_call_duration_s=0)],
        occurred_at=None,
        ended_at=at("2019-04-08 03:11:30"),
        raw=MULTIPART,
    )


def test_the_documented_sample_contradicts_itself() -> None:  # §4.2: no-answer above 32 s of talk
    legs = [{"OnCallDuration": 41, "Status": "completed"}, {"OnCallDuration": 32, "Status": "completed"}]
    event = callback({"EventType": "terminal", "Status": "no-answer", "ConversationDuration": 32, "Legs": legs})
    expect(event, status="completed", answered=True, duration_s=32)


ANSWERED: dict[str, Any] = {"EventType": "answered", "Status": "in-progress"}
TERMINAL: dict[str, Any] = {"EventType": "terminal"}
UP = {"Status": "in-progress"}


@pytest.mark.parametrize(
    ("fields", "status", "answered"),  # §3.2.2, StatusCallback rows
    [
        # answered, once per leg
        (
            ANSWERED | {"Legs": [UP, {"Status": ""}]},
            "in-progress",
            None,
        ),
        (
            ANSWERED | {"Legs": [UP, UP]},
            "in-progress",
            True,
        ),
        (ANSWERED | {"Legs": [UP]}, "in-progress", None),
        (ANSWERED, "in-progress", None),
        # terminal
        (TERMINAL | {"Status": "failed", "Legs": [{}, {"OnCallDuration": 5}]}, "completed", True),
        (TERMINAL | {"Status": "completed", "ConversationDuration": "7"}, "completed", True),
        (
            TERMINAL | {"Status": "failed", "Legs": [{"Status": "completed"}, {"Status": "canceled"}]},
            "canceled",
            False,
        ),
        (TERMINAL | {"Status": "completed", "Legs": [{}, {"Status": "cancelled"}]}, "canceled", False),
        (TERMINAL | {"Status": "busy", "Legs": [{"Status": "busy"}, {"Status": None}]}, "busy", False),
        (TERMINAL | {"Status": "no-answer"}, "no-answer", False),
        (TERMINAL | {"Status": "failed"}, "failed", False),
        (TERMINAL | {"Status": "canceled"}, "canceled", False),
        (TERMINAL | {"Status": "Cancelled"}, "canceled", False),
        (TERMINAL | {"Status": "completed", "ConversationDuration": 0}, "completed", False),
        (TERMINAL | {"Status": "completed", "Legs": [{}, {"OnCallDuration": "0"}]}, "completed", False),
        (TERMINAL | {"Status": "completed"}, "completed", None),
        (TERMINAL | {"Status": "null"}, "unknown", None),
        # basic
        ({"Status": "completed"}, "completed", None),
        ({"Status": "failed"}, "failed", None),
        ({"Status": "busy"}, "busy", None),
        ({"Status": "no-answer"}, "no-answer", None),
        ({"Status": "queued"}, "ringing", None),
        ({"Status": "in-progress"}, "in-progress", None),
        ({"Status": "null"}, "unknown", None),
        ({"Status": "free"}, "unknown", None),
        ({}, "unknown", None),
    ],
)
def test_callback_table(fields: dict[str, Any], status: str, answered: bool | None) -> None:
    expect(callback(fields), status=status, answered=answered, agent_state=None)


def test_basic_callback() -> None:  # §4.1: four fields, multipart
    fields = {"CallSid": SID, "Status": "no-answer", "DateUpdated": "2024-05-15 16:46:50"}
    event = callback(fields, "multipart")
    expect(event, status="no-answer", direction=None, customer_number=None, recording_url=None, raw=fields)


@pytest.mark.parametrize(
    ("sid", "exophone"),
    [
        ("8224778996", "+918224778996"),
        ("01130830001", "+911130830001"),
        ("3f0e8f2c-8b0a-4d5e-9a37-5d2f7c1f7c11", None),  # §4.2: a UUID on newer numbers
        ("0113083XXXX", None),
        ("sip:08040408080", "sip:08040408080"),
        ("", None),
    ],
)
def test_phone_number_sid(sid: str, exophone: str | None) -> None:
    assert callback({"PhoneNumberSid": sid}).exophone == exophone


def test_a_leg_keeps_its_place_in_a_callback() -> None:  # §4.2: 0 is From, 1 is To
    fields = {"EventType": "answered", "Legs[1][Status]": "in-progress"}
    event = callback(fields, "form")
    assert event.legs == [Leg(), Leg(status="in-progress")]
    assert event.answered is True


# --- bodies ---


def test_query_and_body_are_merged() -> None:  # §11.2
    event = parse_request(
        event="answered",
        method="POST",
        query=[("event", "answered"), ("connection", "support"), ("CallSid", "")],
        content_type="application/x-www-form-urlencoded; charset=utf-8",
        body=f"CallSid={SID}&From=%2B919876543210".encode(),
    )
    assert event.raw == {"event": "answered", "connection": "support", "CallSid": SID, "From": "+919876543210"}
    assert event.customer_number == "+919876543210"


def test_what_tells_nothing_does_not_hide_what_does() -> None:
    body = f"CallSid={SID}&From=&CustomField=null".encode()
    query = [("From", "09876543210"), ("CustomField", "k-1")]
    event = parse_request(event="status", method="POST", query=query, body=body)
    expect(event, agent_number="+919876543210", custom_field="k-1")


BUSY = multipart({"CallSid": "a1", "Status": "busy"}, "b")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"CallSid": "a1", "Status": "busy"}'),
        ("application/json; charset=utf-8", b'\xef\xbb\xbf {"CallSid": "a1", "Status": "busy"}'),
        (None, b'{"CallSid": "a1", "Status": "busy"}'),
        ("application/x-www-form-urlencoded", b'{"CallSid": "a1", "Status": "busy"}'),
        ("text/plain", b"CallSid=a1&Status=busy"),
        (None, b"CallSid=a1&Status=busy\r\n"),
        ("multipart/form-data; boundary=b", BUSY),
        ('Multipart/Form-Data; Boundary="b b"', multipart({"CallSid": "a1", "Status": "busy"}, "b b")),
        ("multipart/form-data", multipart({"CallSid": "a1", "Status": "busy"})),
        (None, multipart({"CallSid": "a1", "Status": "busy"})),
        (
            "multipart/form-data; boundary=b",
            multipart({"CallSid": "a1", "Status": "busy"}, "b").replace(b"\r\n", b"\n"),
        ),
        ("multipart/form-data; boundary=b", multipart({"CallSid": "a1", "Status": "busy"}, "b")[:-7]),  # cut off
    ],
)
def test_bodies(content_type: str | None, body: bytes) -> None:
    event = parse_request(event="status", method="POST", query=[], content_type=content_type, body=body)
    expect(event, call_sid="a1", status="busy", raw={"CallSid": "a1", "Status": "busy"})


def test_multipart_values_arrive_whole() -> None:
    fields = {"CallSid": SID, "CustomField": "नमस्ते\r\n--not a boundary", "Empty": ""}
    assert callback(fields, "multipart").raw == fields


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"CallSid": "b2"',
        b"[" * 100_000,
        b'{"a": ' * 50_000,
        b'{"a": ' * 20 + b"1" + b"}" * 20,
        b"[1, 2]",
        b"null",
        b"\xff\xfe\x00",
        b"--x",
        b"--\r\n\r\n--",
        b"no pairs",
        b"".join(b"--x%d\r\nContent-Type: multipart/mixed; boundary=x%d\r\n\r\n" % (i, i + 1) for i in range(1400)),
    ],
)
@pytest.mark.parametrize(
    "content_type",
    ["application/json", "multipart/form-data; boundary=x", "multipart/form-data; boundary=x0", None, "\r\n;;="],
)
def test_unreadable_bodies_are_ignored(body: bytes, content_type: str | None) -> None:
    query = [("CallSid", SID)]
    event = parse_request(event="status", method="POST", query=query, content_type=content_type, body=body)
    assert event.call_sid == SID
    assert event.raw == {"CallSid": SID}


def test_numbers_that_nothing_holds_stay_raw_text() -> None:
    body = b'{"CallSid": "a1", "A": 1e999, "B": %s, "C": NaN, "D": -Infinity, "E": 1.5}' % (b"9" * 5000)
    event = parse_request(event="status", method="POST", query=[], content_type="application/json", body=body)
    assert event.raw == {"CallSid": "a1", "A": "1e999", "B": "9" * 5000, "C": "NaN", "D": "-Infinity", "E": 1.5}


def test_lone_surrogates_and_controls_do_not_reach_the_store() -> None:
    event = flow("answered", {"CallSid": SID, "CustomField": "a\ud800b\x00c", "AgentEmail": "\U0001f600\u200d"})
    expect(event, custom_field="a\ufffdbc", agent_email="\U0001f600\u200d")
    assert event.raw["CustomField"] == "a\ufffdb\x00c"
    event.model_dump_json()


def test_echoed_hook_url_stays_raw() -> None:  # §3: the previous passthru's URL, JSON-quoted
    event = flow("gather", passthru='"https:\\/\\/host\\/h\\/token\\/ivr?CallSid=other"')
    assert event.call_sid == SID
