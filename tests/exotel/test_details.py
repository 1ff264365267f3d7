"""Records of Call Details as events (docs/reference/exotel.md §6.3): what they prove; they fold alike in any order."""

import itertools
import json
from typing import Any

import pytest

from connector.exotel.api.parsing import parse_call
from connector.exotel.details import event_of, params_of, read_details, stored
from connector.exotel.model import Call, CallEvent, NoRecording
from connector.pipeline.calls.fold import Arrived, Known, fold
from connector.pipeline.delivery.story import outcome_of
from tests.pipeline.calls.test_fold import (
    ANSWERED,
    CUSTOMER,
    EXOPHONE,
    IVR_THEN_AGENT,
    KNOWN,
    RANG,
    RECORDING,
    SEVERAL,
    SID,
    START,
    VOICEMAIL,
    A,
    B,
    Told,
    arrive,
    expect,
    flow,
    pop,
)

UNSET = "1970-01-01 05:30:00"


def record(**changes: Any) -> dict[str, Any]:
    """An inbound record that has settled; `details` replaces what is in Details, None leaves them out."""
    details = changes.pop("details", {})
    raw: dict[str, Any] = {
        "Sid": SID,
        "ParentCallSid": "",
        "DateCreated": "2023-12-27 12:17:00",
        "DateUpdated": "2023-12-27 12:18:00",
        "AccountSid": "acme",
        "To": A,
        "From": "08660500001",
        "PhoneNumberSid": "08046800001",
        "Status": "completed",
        "StartTime": "2023-12-27 12:17:00",
        "EndTime": "2023-12-27 12:17:40",
        "Duration": "40",
        "Price": "1.500",
        "Direction": "inbound",
        "RecordingUrl": "",
        **changes,
    }
    if details is not None:
        raw["Details"] = {
            "ConversationDuration": 0,
            "Leg1Status": "completed",
            "Leg2Status": None,
            "Legs": [],
            **details,
        }
    return raw


def talked(seconds: int = 11, **changes: Any) -> dict[str, Any]:
    legs = [{"Leg": {"Id": 1, "OnCallDuration": seconds + 5}}, {"Leg": {"Id": "2", "OnCallDuration": seconds}}]
    details = {"ConversationDuration": seconds, "Leg2Status": "completed", "Legs": legs}
    return record(**{"RecordingUrl": RECORDING, "details": details, **changes})


def event(raw: dict[str, Any]) -> CallEvent:
    found = read_details(json.dumps(raw).encode(), "IN")
    assert found is not None
    return found


def details(*raws: dict[str, Any], first_id: int = 100, at: float = START + 200) -> list[Arrived]:
    return [Arrived(event(raw), at + number, first_id + number) for number, raw in enumerate(raws)]


NO_ANSWER = {"details": {"Leg2Status": "no-answer"}}

# --- what one record proves ---

PROVES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "talk": (talked(), {"answered": True, "status": "completed", "duration_s": 11, "event_type": "terminal"}),
    "a first attempt's word above talk, as in Exotel's own sample": (
        record(details={"ConversationDuration": 33, "Leg2Status": "no-answer"}),
        {"answered": True, "duration_s": 33},
    ),
    "the second leg's talk alone": (
        record(details={"ConversationDuration": None, "Legs": [{"Leg": {"Id": 2, "OnCallDuration": 7}}]}),
        {"answered": True, "duration_s": 7},
    ),
    "a second leg that was picked up for less than a second": (
        record(details={"Leg2Status": "completed"}),
        {"answered": True, "duration_s": 0},
    ),
    "inbound, completed, nobody answered": (record(**NO_ANSWER), {"answered": False, "status": "no-answer"}),
    "inbound, completed, declined": (record(details={"Leg2Status": "busy"}), {"answered": False, "status": "busy"}),
    "inbound, completed and no more": (
        record(details=None, EndTime=UNSET),
        {"answered": None, "status": "unknown", "event_type": None, "ended_at": None},
    ),
    "inbound, nobody was dialled": (record(), {"answered": None, "status": "unknown", "event_type": "terminal"}),
    "inbound, unanswered, with something to hear": (
        record(**NO_ANSWER, RecordingUrl=RECORDING),
        {"answered": False, "status": "voicemail", "recording_url": RECORDING},
    ),
    "an end and no status": (record(Status=""), {"answered": None, "event_type": "terminal"}),
    "it goes on": (
        record(Status="in-progress", EndTime=None, details={"Leg1Status": "in-progress"}),
        {"answered": None, "status": "in-progress", "event_type": None},
    ),
    "outbound, the agent hung up while it rang": (
        record(Direction="outbound-api", From=A, To="08660500001", Status="failed", details={"Leg2Status": "canceled"}),
        {"answered": False, "status": "canceled", "customer_number": CUSTOMER, "agent_number": A},
    ),
    "outbound, the agent did not pick up": (
        record(
            Direction="outbound-api", From=A, To="08660500001", Status="no-answer", details={"Leg1Status": "no-answer"}
        ),
        {"answered": False, "status": "no-answer"},
    ),
    "outbound, unanswered: the recording is of the agent's leg": (
        record(Direction="outbound-api", From=A, To="08660500001", RecordingUrl=RECORDING, **NO_ANSWER),
        {"answered": False, "status": "no-answer", "recording_url": None},
    ),
    "a call to a flow": (
        talked(Direction="outbound-api", From="08660500001", To="08046800001"),
        {"customer_number": CUSTOMER, "agent_number": None, "exophone": EXOPHONE},
    ),
    "To while the record is young": (talked(To="08046800001"), {"agent_number": None, "exophone": EXOPHONE}),
    "To once it has drifted": (talked(To="09999999980"), {"agent_number": A, "exophone": EXOPHONE}),
    "numbers as text, nulls, blanks": (
        talked(Duration=None, Price=None, EndTime=""),
        {"answered": True, "ended_at": None, "event_type": "terminal"},
    ),
}


@pytest.mark.parametrize("name", PROVES)
def test_what_a_record_proves(name: str) -> None:
    raw, wanted = PROVES[name]
    found = event(raw)
    assert {field: getattr(found, field) for field in wanted} == wanted


def test_what_is_no_record_tells_nothing() -> None:
    assert read_details(b"[]", "IN") is None
    assert read_details(b'{"Sid": null}', "IN") is None


def test_a_record_is_stored_as_received_without_links_that_expire() -> None:
    raw = talked(PreSignedRecordingUrl="https://signed.example/a.mp3?Signature=x")
    read = parse_call(raw, "IN")
    assert read is not None
    kept = json.loads(stored(read))
    assert kept == {name: value for name, value in raw.items() if name != "PreSignedRecordingUrl"}
    assert event_of(read) == event(kept)


def test_records_that_differ_in_price_alone_are_one() -> None:
    def params(raw: dict[str, Any]) -> list[tuple[str, str]]:
        read = parse_call(raw, "IN")
        assert read is not None
        return params_of(read)

    assert params(talked()) == params(talked(Price="1.750", DateUpdated="2023-12-27 12:30:00", Duration=41))
    assert params(talked()) != params(talked(12))
    assert params(talked()) != params(talked(RecordingUrl=""))


# --- with requests, in any order ---

HOOKS: dict[str, tuple[Told, ...]] = {
    "answered": ANSWERED,
    "several agents": SEVERAL,
    "rang out": RANG,
    "ivr, then agent": IVR_THEN_AGENT,
    "voicemail": VOICEMAIL,
    "popups alone": (pop(A, "Dial", 5), pop(A, "Terminal", 20)),
    "a popup alone, the agent is busy": (pop(A, "Dial", 5),),
    "input alone": (flow("ivr", 3, digits='"2"'), flow("end", 4)),
}
RECORDS: dict[str, list[dict[str, Any]]] = {
    "talked": [talked()],
    "unanswered": [record(**NO_ANSWER)],
    "unanswered, with a recording": [record(**NO_ANSWER, RecordingUrl=RECORDING)],
    "never settles, with a recording": [record(details=None, EndTime=UNSET, RecordingUrl=RECORDING)],
    "settles late": [record(Status="", EndTime=None, Duration=None), talked()],
    "drifts": [talked(10, To="08046800001"), talked(11, Price=0)],
    "contradicts itself": [record(**NO_ANSWER), talked()],
}


@pytest.mark.parametrize("records", RECORDS)
@pytest.mark.parametrize("hooks", HOOKS)
def test_records_and_requests_fold_alike_in_any_order(hooks: str, records: str) -> None:
    """Whenever the record came, first, last or in between, and however often: the same call."""
    told = arrive(*HOOKS[hooks])
    raws = RECORDS[records]
    wanted = fold([*told, *details(*raws)], KNOWN)
    for place in range(len(told) + 1):
        # Arrival numbers follow the order of arrival; what the record says was said before its later requests came.
        order = [*told[:place], *details(*raws, at=START), *told[place:]]
        numbered = [Arrived(item.event, item.received_at, number) for number, item in enumerate(order)]
        assert fold(numbered, KNOWN) == wanted, place
        assert fold([*numbered, *details(*raws, first_id=50)], KNOWN) == wanted, place
    for order_ in itertools.islice(itertools.permutations([*told, *details(*raws)]), 60):
        assert fold(order_, KNOWN) == wanted


def both(hooks: tuple[Told, ...], *raws: dict[str, Any], known: Known = KNOWN) -> Call:
    return fold([*arrive(*hooks), *details(*raws)], known)


def test_a_record_fills_in_what_requests_left_open() -> None:
    popups = (pop(A, "Dial", 5), pop(A, "Terminal", 20))
    found = both(popups, talked())
    expect(found, outcome="answered", duration_s=11, recording_url=RECORDING, agent_number=A, over=True, closed=True)
    assert found.ended_at is not None


def test_what_a_request_told_stands_against_a_records_drift() -> None:
    found = both(ANSWERED, talked(10, To="09999999981", RecordingUrl=RECORDING + "?other"))
    expect(found, outcome="answered", duration_s=11, agent_number=A, recording_url=RECORDING)


def test_a_record_closes_a_call_whose_agent_is_still_busy_by_its_popups() -> None:
    found = both((pop(A, "Dial", 5),), record())
    expect(found, agent_open=False, over=False, closed=True, outcome="in-progress")
    assert outcome_of(found, quiet=True) == "missed"


def test_a_record_that_is_young_closes_nothing() -> None:
    found = both((pop(A, "Dial", 5),), record(Status="", EndTime=None, details={"Leg1Status": "in-progress"}))
    expect(found, agent_open=True, over=False, closed=False)


def test_when_requests_were_heard_is_not_moved_by_a_record() -> None:
    popups = (pop(A, "Dial", 5), pop(A, "Terminal", 20))
    alone, asked = fold(arrive(*popups), KNOWN), both(popups, talked())
    assert (asked.last_event_at, asked.first_event_at) == (alone.last_event_at, alone.first_event_at)


ALONE: dict[str, tuple[dict[str, Any], str]] = {
    "answered": (talked(), "answered"),
    "unanswered": (record(**NO_ANSWER), "missed"),
    "nobody was dialled": (record(), "missed"),
    "unanswered with a recording": (record(**NO_ANSWER, RecordingUrl=RECORDING), "voicemail"),
    "nobody was dialled, and there is a recording": (record(RecordingUrl=RECORDING), "voicemail"),
    "it never settled, and there is a recording": (
        record(details=None, EndTime=UNSET, RecordingUrl=RECORDING),
        "voicemail",
    ),
    "outbound, the customer did not pick up": (
        record(Direction="outbound-api", From=A, To="08660500001", RecordingUrl=RECORDING, **NO_ANSWER),
        "missed",
    ),
}


@pytest.mark.parametrize("name", ALONE)
def test_a_call_known_by_its_record_alone(name: str) -> None:
    raw, outcome = ALONE[name]
    found = fold(details(raw), KNOWN)
    assert outcome_of(found, quiet=True) == outcome
    expect(found, customer_number=CUSTOMER, exophone=EXOPHONE)
    assert found.started_at is not None


def test_a_record_alone_names_its_agent() -> None:
    expect(fold(details(talked()), KNOWN), agent_number=A)
    outbound = talked(Direction="outbound-api", From="09999999981", To="08660500001")
    expect(fold(details(outbound), KNOWN), agent_number=B, direction="outbound")


def test_an_exophone_with_an_id_is_found_by_the_tenants_list() -> None:
    uuid = "4d8c0a1e-6d8a-4a55-9b1c-0c4fd7f3d1aa"
    expect(fold(details(talked(PhoneNumberSid=uuid, To="08046800001")), KNOWN), customer_number=CUSTOMER)


def test_a_recording_in_a_record_is_no_voicemail_where_a_request_says_answered() -> None:
    found = both(ANSWERED, record(**NO_ANSWER, RecordingUrl=RECORDING))
    expect(found, outcome="answered", voicemail=False, missed=True)


def test_a_recording_that_never_comes_is_known_until_it_does() -> None:
    hooks = arrive(flow("voicemail", 5, CallType="voicemail"))
    never = Arrived(NoRecording(), START + 3700, 50)
    expect(fold([*hooks, never], KNOWN), recording_missing=True, outcome="voicemail")
    late = details(record(**NO_ANSWER, RecordingUrl=RECORDING))
    expect(fold([*hooks, never, *late], KNOWN), recording_missing=False, recording_url=RECORDING)
