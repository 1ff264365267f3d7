"""Events -> Call (docs/reference/exotel.md §10; docs/design.md §4): the same in any order, however often told."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.exotel import Call, parse_request
from connector.exotel.model import AgentRung, Digits, Link
from connector.pipeline.calls.fold import Arrived, Known, fold

SID = "56ad12c0e29d5c1f9a0e1b7d3c2f263a"
CUSTOMER, EXOPHONE = "+918660500001", "+918046800001"
A, B, C = "+919999999980", "+919999999981", "+919999999982"
KNOWN = Known(exophones=frozenset({EXOPHONE}), agents=frozenset({A, B}))
NOBODY = Known()
#: 2023-12-27 12:17:00 IST; events are told by the second within that minute.
START = 1703659620.0

Told = tuple[str, dict[str, Any], int | None]


def flow(word: str, second: int | None = None, **params: Any) -> Told:
    base = {"CallFrom": "08660500001", "CallTo": "08046800001", "Direction": "incoming"}
    return word, base | params, second


def pop(agent: str, kind: str, second: int, **params: Any) -> Told:
    state = "free" if kind == "Terminal" else "busy"
    number = {"DialWhomNumber": agent, "EventType": kind, "Status": state}
    return "pop", {"From": "08660500001", "To": "08046800001"} | number | params, second


def status(kind: str | None, second: int | None = None, **params: Any) -> Told:
    base = {"From": A, "To": CUSTOMER, "PhoneNumberSid": "8046800001", "Direction": "outbound-api"}
    return "status", base | ({"EventType": kind} if kind else {}) | params, second


def legs(*talk: tuple[str, int]) -> list[dict[str, Any]]:
    return [{"Number": number, "OnCallDuration": seconds} for number, seconds in talk]


def arrive(*told: Told, first_id: int = 1, late_s: float = 0.4) -> list[Arrived]:
    """Events as told, each received a little after it happened (one without a time: in its place)."""
    arrived = []
    for number, (word, params, second) in enumerate(told):
        clock = "EventTime" if word == "status" else "CurrentTime"
        when = {} if second is None else {clock: f"2023-12-27 12:17:{second:02}"}
        fields: dict[str, Any] = {"CallSid": SID} | params | when
        event = parse_request(
            event=word,
            method="POST",
            query=[],
            content_type="application/json",
            body=json.dumps(fields).encode(),
        )
        received = START + (number if second is None else second) + late_s
        arrived.append(Arrived(event=event, received_at=received, id=first_id + number))
    return arrived


def call(*told: Told, known: Known = NOBODY) -> Call:
    return fold(arrive(*told), known)


def expect(folded: Call, **fields: Any) -> None:
    assert {name: getattr(folded, name) for name in fields} == fields


COMPLETED = {"CallType": "completed", "DialCallStatus": "completed"}
RANG_OUT = {"CallType": "incomplete", "DialCallStatus": "no-answer"}
RECORDING = "https://recordings.exotel.com/exotelrecordings/acme/a.mp3"

# --- §10, row by row ---

ANSWERED = (
    pop(A, "Dial", 5),
    pop(A, "Answered", 9),
    pop(A, "Terminal", 20, AgentEmail="a@acme.example"),
    flow("answered", 20, **COMPLETED, DialWhomNumber=A, Legs=legs((A, 11)), RecordingUrl=RECORDING),
)
SEVERAL = (
    pop(A, "Dial", 5),
    pop(A, "Terminal", 10),
    pop(B, "Dial", 11),
    pop(B, "Terminal", 30),
    flow("answered", 31, **COMPLETED, DialWhomNumber=B, Legs=legs((A, 0), (B, 12))),
)
RANG = (
    pop(A, "Dial", 5),
    pop(A, "Terminal", 10),
    flow("missed", 11, **RANG_OUT, DialWhomNumber=A, Legs=legs((A, 0))),
)
IVR_THEN_AGENT = (
    flow("ivr", 3, digits='"2"', CallType="call-attempt"),
    flow("gather", 7, digits='"24567"', gather_tag_1="customer_acc_number"),
    flow("end", 8),
    pop(A, "Dial", 9),
    pop(A, "Terminal", 30),
    flow("answered", 30, **COMPLETED, DialWhomNumber=A, digits='"24567"', Legs=legs((A, 15))),
)
VOICEMAIL = (
    pop(A, "Dial", 5),
    pop(A, "Terminal", 10),
    flow("missed", 11, **RANG_OUT, DialWhomNumber=A),
    flow("voicemail", 25, CallType="voicemail", RecordingUrl=RECORDING),
)
CLICK_TO_CALL = (
    status("answered", 3, Status="in-progress", Legs=[{"Status": "in-progress"}, {"Status": ""}]),
    status("answered", 9, Status="in-progress", Legs=[{"Status": "in-progress"}, {"Status": "in-progress"}]),
    status(
        "terminal",
        22,
        Status="completed",
        ConversationDuration="13",
        StartTime="2023-12-27 12:17:01",
        EndTime="2023-12-27 12:17:22",
        DisconnectedBy="Callee",
        RecordingUrl=RECORDING,
        Legs=[{"Status": "completed", "OnCallDuration": 19}, {"Status": "completed", "OnCallDuration": 13}],
    ),
)
SCENARIOS = (ANSWERED, SEVERAL, RANG, IVR_THEN_AGENT, VOICEMAIL, CLICK_TO_CALL)


def test_answered() -> None:
    expect(
        call(*ANSWERED),
        call_sid=SID,
        direction="inbound",
        customer_number=CUSTOMER,
        exophone=EXOPHONE,
        agent_number=A,
        agent_email="a@acme.example",
        agents=(AgentRung(number=A, email="a@acme.example", answered=True, free=True),),
        outcome="answered",
        status="completed",
        kinds=frozenset({"popup", "answered"}),
        missed=False,
        voicemail=False,
        over=True,
        digits=(),
        duration_s=11,
        recording_url=RECORDING,
        agent_open=False,
        first_event_at=START + 5.4,
        last_event_at=START + 20.4,
        terminal_at=START + 20.4,
    )


def test_ringing() -> None:
    expect(
        call(pop(A, "Dial", 5)),
        outcome="in-progress",
        status="ringing",
        over=False,
        agent_open=True,
        agent_number=None,
        agents=(AgentRung(number=A),),
        terminal_at=None,
    )


def test_several_agents_in_turn() -> None:
    expect(
        call(*SEVERAL),
        agent_number=B,
        agents=(
            AgentRung(number=A, answered=False, free=True),
            AgentRung(number=B, answered=True, free=True),
        ),
        duration_s=12,
    )


def test_rang_out() -> None:
    expect(
        call(*RANG),
        outcome="missed",
        status="no-answer",
        missed=True,
        over=True,
        agent_number=None,
        agents=(AgentRung(number=A, answered=False, free=True),),
        agent_open=False,
        duration_s=0,
    )


def test_caller_gone_while_ringing_is_missed() -> None:
    folded = call(pop(A, "Dial", 5), flow("missed", 9, CallType="client-hangup", DialCallStatus="canceled"))
    expect(folded, outcome="missed", status="canceled", missed=True)


def test_nobody_to_dial() -> None:
    expect(call(flow("missed", 5)), outcome="missed", status="no-answer", agents=(), over=True)


def test_ivr_then_agent() -> None:
    expect(
        call(*IVR_THEN_AGENT),
        outcome="answered",
        digits=(Digits(label="ivr_tag_1", digits="2"), Digits(label="customer_acc_number", digits="24567")),
        kinds=frozenset({"ivr", "gather", "end", "popup", "answered"}),
        terminal_at=START + 30.4,
    )


def test_end_of_the_input_counts_for_planning_but_is_not_the_end() -> None:
    expect(
        call(flow("ivr", 3, digits='"2"'), flow("end", 8)),
        outcome="in-progress",
        status="ivr",
        over=False,
        terminal_at=START + 8.4,
    )


def test_voicemail_after_a_missed_connect() -> None:
    expect(
        call(*VOICEMAIL),
        outcome="voicemail",
        status="voicemail",
        voicemail=True,
        missed=True,
        recording_url=RECORDING,
        agents=(AgentRung(number=A, answered=False, free=True),),
    )


def test_voicemail_with_a_stale_connect_stays_a_voicemail() -> None:
    expect(call(flow("voicemail", 9, **COMPLETED, RecordingUrl=RECORDING)), outcome="voicemail", missed=False)


def test_the_message_is_the_recording_of_a_voicemail() -> None:
    late = flow("missed", 30, **RANG_OUT, RecordingUrl="https://r.exotel.com/stale.mp3")
    assert call(*VOICEMAIL, late).recording_url == RECORDING


def test_click_to_call() -> None:
    expect(
        call(*CLICK_TO_CALL),
        direction="outbound",
        customer_number=CUSTOMER,
        agent_number=A,
        exophone=EXOPHONE,
        outcome="answered",
        status="completed",
        duration_s=13,
        disconnected_by="Callee",
        agents=(AgentRung(number=A, answered=True),),
        over=True,
        agent_open=False,
    )
    assert [leg.on_call_duration_s for leg in call(*CLICK_TO_CALL).legs] == [19, 13]


def test_click_to_call_under_way() -> None:
    expect(call(CLICK_TO_CALL[0]), outcome="in-progress", status="in-progress", over=False, agent_open=True)
    expect(call(*CLICK_TO_CALL[:2]), outcome="answered", status="in-progress", over=False, agent_open=True)


@pytest.mark.parametrize(
    ("from_leg", "to_leg", "word", "picked_up", "folded"),
    [
        ("no-answer", "", "no-answer", False, "no-answer"),
        ("busy", "", "busy", False, "busy"),
        ("completed", "no-answer", "no-answer", True, "no-answer"),
        ("completed", "canceled", "failed", True, "canceled"),  # cap tgf
    ],
)
def test_click_to_call_unanswered(from_leg: str, to_leg: str, word: str, picked_up: bool, folded: str) -> None:
    told = status("terminal", 40, Status=word, ConversationDuration=0, Legs=[{"Status": from_leg}, {"Status": to_leg}])
    expect(
        call(told),
        outcome="missed",
        status=folded,
        missed=True,
        over=True,
        agent_number=A,
        agents=(AgentRung(number=A, answered=picked_up),),
    )


# --- §4.2: a second `answered` means the customer ---


def test_second_answered_callback() -> None:
    first, second = status("answered", 3, Status="in-progress"), status("answered", 9, Status="in-progress")
    assert call(first).outcome == "in-progress"
    assert call(first, first).outcome == "in-progress"
    expect(call(first, second), outcome="answered", over=False)


def test_second_answered_callback_without_event_time() -> None:
    first = status("answered", DateUpdated="2023-12-27 12:17:03")
    second = status("answered", DateUpdated="2023-12-27 12:17:09")
    assert call(first, first).outcome == "in-progress"
    assert call(first, second).outcome == "answered"


def test_two_callbacks_of_the_agents_leg_do_not_mean_the_customer() -> None:
    up = [{"Status": "in-progress"}, {"Status": ""}]
    assert call(status("answered", 3, Legs=up), status("answered", 4, Legs=up)).outcome == "in-progress"


def test_an_unanswered_end_beats_two_callbacks() -> None:
    end = status("terminal", 20, Status="no-answer")
    expect(call(status("answered", 3), status("answered", 9), end), outcome="missed")


# --- outcomes: the word of the URL is weak, facts are not, precedence ---


@pytest.mark.parametrize(
    ("word", "params", "outcome"),
    [
        ("answered", {}, "answered"),
        ("automated_answered", {"CallType": "completed"}, "answered"),
        ("missed", {"DialWhomNumber": A}, "missed"),
        ("missed", COMPLETED, "answered"),
        ("answered", RANG_OUT, "missed"),
        ("answered", {"CallType": "voicemail"}, "voicemail"),
        ("missed", {"MissedCallType": "voi"}, "voicemail"),
        ("gather", COMPLETED | {"digits": '"1"'}, "in-progress"),
        ("ivr", {}, "in-progress"),
        ("end", COMPLETED, "in-progress"),
    ],
)
def test_one_request(word: str, params: dict[str, str], outcome: str) -> None:
    folded = call(flow(word, 5, **params))
    expect(folded, outcome=outcome, missed=outcome == "missed", voicemail=outcome == "voicemail")


@pytest.mark.parametrize(
    ("told", "outcome"),
    [
        ((flow("missed", 5, **RANG_OUT), flow("answered", 20, **COMPLETED)), "answered"),  # a second connect
        ((flow("voicemail", 5), flow("answered", 20, **COMPLETED)), "answered"),
        ((flow("answered", 5, **COMPLETED), flow("missed", 20, **RANG_OUT)), "answered"),
        ((flow("missed", 5, **RANG_OUT), flow("voicemail", 20)), "voicemail"),
        ((flow("missed", 5, **RANG_OUT), status(None, 20, Status="completed")), "missed"),
        ((flow("missed", 5, **RANG_OUT), flow("gather", 20, **COMPLETED, digits='"1"')), "missed"),
    ],
)
def test_precedence(told: tuple[Told, ...], outcome: str) -> None:
    assert call(*told).outcome == outcome


def test_basic_callbacks() -> None:  # §4.1
    basic: dict[str, Any] = {"From": "", "To": "", "PhoneNumberSid": "", "Direction": ""}
    expect(call(status(None, **basic, Status="completed")), outcome="answered", direction="outbound", over=True)
    expect(call(status(None, **basic, Status="busy")), outcome="missed", missed=True, status="busy", over=True)
    expect(call(status(None, **basic, Status="null")), outcome="in-progress", over=False, terminal_at=None)


def test_terminal_callback_without_status() -> None:
    told = status("terminal", 20, Status="null", Legs=[{"Status": "no-answer"}, {"Status": ""}])
    expect(call(told), outcome="missed", status="no-answer", over=True)


def test_ivr_outcome_needs_input_end_nobody_dialled_and_a_told_end() -> None:
    key = flow("ivr", 3, digits='"2"', Direction="outbound-dial")
    end = flow("end", 5, Direction="outbound-dial")
    done = status(None, 20, Status="completed", From="", To="")
    expect(call(key, end, done), outcome="ivr", status="completed", over=True)
    assert call(key, end).outcome == "in-progress"
    assert call(key, done).outcome == "answered"
    assert call(key, end, pop(A, "Dial", 8), done).outcome != "ivr"


# --- late facts ---


def test_late_facts_merge() -> None:
    late = status(
        "terminal", Direction="inbound", Status="completed", ConversationDuration="12", RecordingUrl=RECORDING
    )
    bare = flow("answered", 20, **COMPLETED)
    expect(call(bare), duration_s=None, recording_url=None)
    expect(call(bare, late), outcome="answered", duration_s=12, recording_url=RECORDING)


def test_a_zero_does_not_hide_a_talk_time() -> None:
    assert call(flow("answered", 5, Legs=legs((A, 9))), flow("answered", 9, Legs=legs((A, 0)))).duration_s == 9


def test_a_late_answered_does_not_reopen() -> None:
    late = status("answered", Legs=[{"Status": "in-progress"}, {"Status": ""}])
    folded = call(*CLICK_TO_CALL, late)
    expect(folded, outcome="answered", status="completed", over=True, duration_s=13)
    assert folded.legs == call(*CLICK_TO_CALL).legs


def test_an_end_before_the_start_is_dropped() -> None:
    early = status("terminal", 9, Status="completed", EndTime="2023-12-27 12:16:00")
    folded = call(flow("answered", 5, **COMPLETED, StartTime="2023-12-27 12:17:00"), early)
    assert folded.started_at is not None
    assert folded.ended_at is None


# --- digits ---


@pytest.mark.parametrize(
    ("told", "labels"),
    [
        # as in docs/reference/exotel-flows.md §4.2.1
        (
            (flow("ivr", 1, digits='"2"'), flow("gather", 2, digits='"2587"')),
            ["ivr_tag_1=2", "gather_tag_1=2587"],
        ),
        (
            (
                flow("ivr", 1, digits='"3"', ivr_tag_1="lang_english"),
                flow("gather", 2, digits='"458"', gather_tag_1="reg"),
            ),
            ["lang_english=3", "reg=458"],
        ),
        # n counts inputs of the kind, tagged ones included
        ((flow("ivr", 1, digits="1", ivr_tag_7="lang"), flow("ivr", 2, digits="2")), ["lang=1", "ivr_tag_2=2"]),
        # the handbook's gather example: a gather tag on an ivr event
        (
            (
                flow("ivr", 1, digits="1"),
                flow("ivr", 2, digits="99", gather_tag_1="acc"),
                flow("gather", 3, digits="5"),
            ),
            ["ivr_tag_1=1", "acc=99", "gather_tag_2=5"],
        ),
        # equal digits at different seconds are two inputs, at one second one
        ((flow("ivr", 1, digits="1"), flow("ivr", 4, digits="1")), ["ivr_tag_1=1", "ivr_tag_2=1"]),
        ((flow("ivr", 1, digits="1"), flow("ivr", 1, digits="1")), ["ivr_tag_1=1"]),
        # two dialects, one of them with tags
        ((flow("ivr", 1, digits="1"), flow("ivr", 1, digits="1", ivr_tag_1="lang")), ["lang=1"]),
        # steps tell inputs of one second apart, and order them
        (
            (flow("ivr", 1, digits="1", ivr_tag_2="dept"), flow("ivr", 1, digits="1", ivr_tag_1="lang")),
            ["lang=1", "dept=1"],
        ),
        # no input is no input
        ((flow("ivr", 1, digits='""'), flow("ivr", 4, digits="1")), ["ivr_tag_1=1"]),
        # only ivr and gather requests tell inputs
        ((flow("ivr", 1, digits="1"), flow("end", 2, digits="1"), flow("missed", 9, digits="1")), ["ivr_tag_1=1"]),
        # shuffled on the way
        ((flow("ivr", 5, digits="2"), flow("ivr", 1, digits="1")), ["ivr_tag_1=1", "ivr_tag_2=2"]),
    ],
)
def test_digits(told: tuple[Told, ...], labels: list[str]) -> None:
    assert [f"{d.label}={d.digits}" for d in call(*told).digits] == labels


# --- agents ---


def test_an_agent_stays_open_until_free_or_an_end() -> None:
    ringing, free = pop(A, "Dial", 5), pop(A, "Terminal", 9)
    assert call(ringing).agent_open
    assert not call(ringing, free).agent_open
    assert not call(free, ringing).agent_open  # shuffled
    assert call(ringing, free, pop(B, "Dial", 9)).agent_open
    assert call(ringing, free, pop(A, "Dial", 12)).agent_open
    assert not call(ringing, flow("missed", 11, **RANG_OUT)).agent_open
    # what rings in the second of a passthru is the next connect
    assert call(ringing, flow("missed", 11, **RANG_OUT), pop(B, "Dial", 11)).agent_open


def test_terminal_wins_within_a_second() -> None:
    assert not call(pop(A, "Terminal", 5), pop(A, "Dial", 5)).agent_open


def test_accounts_without_event_types() -> None:
    busy = pop(A, "", 5)
    free = ("pop", {**pop(A, "", 9)[1], "Status": "free"}, 9)
    assert call(busy).agent_open
    expect(call(busy, free), agent_open=False, agents=(AgentRung(number=A, free=True),))


def test_an_agent_known_by_e_mail_alone() -> None:
    told = pop("", "Answered", 5, AgentEmail="a@acme.example")
    expect(
        call(told, flow("answered", 9, **COMPLETED)),
        agents=(AgentRung(email="a@acme.example", answered=True),),
        agent_number=None,
        agent_email="a@acme.example",
    )


def test_parallel_ringing() -> None:  # DialWhomNumber is the last dialled, not who answered
    told = flow("answered", 20, **COMPLETED, DialWhomNumber=B, Legs=legs((A, 7), (B, 0)))
    expect(call(pop(A, "Dial", 5), pop(B, "Dial", 5), told), agent_number=A)


def test_legs_without_durations_name_who_was_dialled() -> None:
    told = flow("missed", 20, **RANG_OUT, Legs=[{"Number": A}, {"Number": B}])
    expect(call(told), agents=(AgentRung(number=A, answered=False), AgentRung(number=B, answered=False)))


def test_single_dial_without_legs() -> None:
    expect(
        call(flow("answered", 20, **COMPLETED, DialWhomNumber=A)),
        agent_number=A,
        agents=(AgentRung(number=A, answered=True),),
    )


def test_the_answered_popup_names_the_agent() -> None:
    told = (pop(A, "Dial", 5), pop(B, "Dial", 5), pop(A, "Answered", 8), flow("answered", 20))
    expect(
        call(*told),
        agent_number=A,
        agents=(AgentRung(number=A, answered=True), AgentRung(number=B, answered=False)),
    )


# --- who is who (§3.2.1) ---


@pytest.mark.parametrize(
    ("told", "known", "parties"),
    [
        # outbound by the table: CallFrom is the ExoPhone, CallTo the customer
        (
            flow("answered", 5, CallFrom=EXOPHONE, CallTo=CUSTOMER, Direction="outbound-dial", DialWhomNumber=A),
            KNOWN,
            (CUSTOMER, A, EXOPHONE),
        ),
        # the same behind a connect: OutgoingPhoneNumber names the ExoPhone too
        (
            flow(
                "answered",
                5,
                CallFrom=EXOPHONE,
                CallTo=CUSTOMER,
                Direction="outbound-dial",
                DialWhomNumber=A,
                OutgoingPhoneNumber=EXOPHONE,
            ),
            KNOWN,
            (CUSTOMER, A, EXOPHONE),
        ),
        # by the sample, nothing known
        (flow("answered", 5, Direction="outbound-dial", DialWhomNumber=A), NOBODY, (CUSTOMER, A, EXOPHONE)),
        # click-to-call that rang the customer first
        (status("terminal", 5, From=CUSTOMER, To=A, Status="completed"), KNOWN, (CUSTOMER, A, EXOPHONE)),
        (status("terminal", 5, From=A, To=CUSTOMER, Status="completed"), KNOWN, (CUSTOMER, A, EXOPHONE)),
        # agent calls agent
        (status("terminal", 5, From=A, To=B, Status="completed"), KNOWN, (B, A, EXOPHONE)),
        # an agent rings the support line: the caller of an incoming call is its customer
        (flow("answered", 5, **COMPLETED, CallFrom=A, DialWhomNumber=C), KNOWN, (A, C, EXOPHONE)),
        # an incoming call with both ends swapped
        (flow("missed", 5, CallFrom=EXOPHONE, CallTo=CUSTOMER), KNOWN, (CUSTOMER, None, EXOPHONE)),
        # nobody else is named
        (
            flow("missed", 5, CallFrom=A, CallTo=EXOPHONE, Direction="outbound-dial"),
            KNOWN,
            (A, None, EXOPHONE),
        ),
    ],
)
def test_parties(told: Told, known: Known, parties: tuple[str | None, str | None, str | None]) -> None:
    folded = call(told, known=known)
    assert (folded.customer_number, folded.agent_number, folded.exophone) == parties


def test_a_number_is_better_than_text_and_a_known_exophone_than_another() -> None:
    other = pop(A, "Dial", 5, From="Anonymous", To="08046800002")
    folded = call(other, flow("answered", 9, **COMPLETED), known=KNOWN)
    expect(folded, customer_number=CUSTOMER, exophone=EXOPHONE)
    assert call(flow("missed", 5, CallFrom="Anonymous")).customer_number == "Anonymous"
    assert call(flow("missed", 5, CallFrom="")).customer_number is None


def test_direction_is_not_taken_from_popups_where_others_tell() -> None:
    told = (pop(A, "Dial", 5, Direction="incoming"), flow("answered", 9, **COMPLETED, Direction="outbound-dial"))
    assert call(*told).direction == "outbound"


# --- links ---


def test_links_newest_first() -> None:
    old, new = Link(connection="support", id="1"), Link(connection="support", id="2", url="https://x/2")
    events = [
        *arrive(*ANSWERED),
        Arrived(new, START + 90, 12),
        Arrived(old, START + 60, 11),
        Arrived(old, START + 50, 10),
    ]
    expect(fold(events, NOBODY), links=(new, old), last_event_at=START + 20.4)


def test_nothing_and_links_alone() -> None:
    assert fold([], NOBODY) == Call(call_sid=None)
    link = Link(connection="support", id="1")
    assert fold([Arrived(link, 9.0, 1)], NOBODY) == Call(
        call_sid=None, links=(link,), first_event_at=9.0, last_event_at=9.0
    )


# --- properties ---

EVENTS = st.lists(
    st.one_of(
        st.builds(
            flow,
            st.sampled_from(["answered", "automated_answered", "missed", "ivr", "gather", "end", "voicemail"]),
            st.one_of(st.none(), st.integers(0, 5)),
            digits=st.sampled_from(["", '"1"', '"2"']),
            DialCallStatus=st.sampled_from(["", "completed", "no-answer", "canceled"]),
            CallType=st.sampled_from(["", "completed", "voicemail", "client-hangup"]),
            DialWhomNumber=st.sampled_from(["", A, B]),
            CallFrom=st.sampled_from(["", A, CUSTOMER, EXOPHONE]),
            Direction=st.sampled_from(["", "incoming", "outbound-dial"]),
            RecordingUrl=st.sampled_from(["", "https://r/1", "https://r/2"]),
            Legs=st.sampled_from([[], legs((A, 0)), legs((A, 0), (B, 4)), legs((C, 9))]),
            ivr_tag_1=st.sampled_from(["", "lang"]),
            gather_tag_2=st.sampled_from(["", "acc"]),
        ),
        st.builds(
            pop,
            st.sampled_from([A, B, ""]),
            st.sampled_from(["Dial", "Ringing", "Answered", "Terminal", ""]),
            st.integers(0, 5),
            AgentEmail=st.sampled_from(["", "a@acme.example"]),
        ),
        st.builds(
            status,
            st.sampled_from(["answered", "terminal", None]),
            st.one_of(st.none(), st.integers(0, 5)),
            Status=st.sampled_from(["completed", "no-answer", "in-progress", "null"]),
            ConversationDuration=st.sampled_from(["", "0", "7"]),
            Legs=st.sampled_from([[], [{"Status": "completed"}, {"Status": "no-answer"}]]),
            DateUpdated=st.sampled_from(["2023-12-27 12:17:03", "2023-12-27 12:17:09"]),
        ),
    ),
    min_size=1,
    max_size=7,
)
KNOWNS = st.sampled_from([NOBODY, KNOWN])
RANK = ("in-progress", "ivr", "missed", "voicemail", "answered")


@given(EVENTS, KNOWNS, st.randoms(use_true_random=False))
@settings(max_examples=200)
def test_any_order_gives_the_same_call(told: list[Told], known: Known, random: Any) -> None:
    events = arrive(*told)
    shuffled = list(events)
    random.shuffle(shuffled)
    assert fold(shuffled, known) == fold(events, known)


@given(EVENTS, KNOWNS)
@settings(max_examples=200)
def test_telling_everything_twice_changes_nothing(told: list[Told], known: Known) -> None:
    events = arrive(*told)
    again = arrive(*told, first_id=100, late_s=0.9)
    clocks = {"last_event_at", "first_event_at", "terminal_at"}
    once = fold(events, known).model_dump(exclude=clocks)
    assert fold([*events, *again], known).model_dump(exclude=clocks) == once


@given(EVENTS, KNOWNS)
@settings(max_examples=200)
def test_more_events_only_gain(told: list[Told], known: Known) -> None:
    events = arrive(*told)
    before = Call(call_sid=None)
    for count in range(1, len(events) + 1):
        now = fold(events[:count], known)
        assert now.kinds >= before.kinds
        assert (now.missed, now.voicemail, now.over) >= (before.missed, before.voicemail, before.over)
        assert now.missed >= before.missed
        assert now.voicemail >= before.voicemail
        assert now.over >= before.over
        if before.over and before.outcome in ("missed", "voicemail", "answered") and "status" not in now.kinds:
            assert RANK.index(now.outcome) >= RANK.index(before.outcome)
        before = now


@pytest.mark.parametrize("told", SCENARIOS)
def test_events_that_arrive_in_reverse(told: Sequence[Told]) -> None:
    forward = arrive(*told)
    arrivals = [Arrived(item.event, START + 40 + place, 50 + place) for place, item in enumerate(reversed(forward))]
    clocks = {"last_event_at", "first_event_at", "terminal_at"}
    assert fold(arrivals, NOBODY).model_dump(exclude=clocks) == fold(forward, NOBODY).model_dump(exclude=clocks)
