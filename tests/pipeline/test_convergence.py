"""Duplicates, two dialects in one flow, late and shuffled events: the same records with the same final words."""

import itertools
import re
from pathlib import Path
from typing import Any

import pytest

from connector.exotel.api.parsing import parse_call
from connector.pipeline.completeness.intake import Intake
from tests.pipeline.world import AGENT, CALLER, EXOPHONE, RECORDING, World, world

Sent = tuple[str, dict[str, str]]

_BASE = {
    "CallFrom": CALLER,
    "From": CALLER,
    "To": EXOPHONE,
    "Direction": "incoming",
    "StartTime": "2026-11-21 10:00:00",
}


def at(second: int, **more: str) -> dict[str, str]:
    return {**_BASE, "CurrentTime": f"2026-11-21 10:00:{second:02d}", **more}


def popup(second: int, event_type: str) -> Sent:
    state = "free" if event_type == "Terminal" else "busy"
    return "pop", at(second, DialWhomNumber=AGENT, Status=state, EventType=event_type)


TALKED = {
    "CallType": "completed",
    "DialCallStatus": "completed",
    "DialWhomNumber": AGENT,
    "Legs[0][Number]": AGENT,
    "Legs[0][OnCallDuration]": "4",
}
FLOWS: dict[str, list[Sent]] = {
    "ivr, gather, answered": [
        ("ivr", at(1, digits='"2"', ivr_tag_1="lang_english")),
        ("gather", at(4, digits='"24567"')),
        ("end", at(5)),
        popup(6, "Dial"),
        ("automated_answered", at(20, **TALKED, RecordingUrl=RECORDING)),
    ],
    "missed, then voicemail": [
        popup(2, "Dial"),
        popup(9, "Terminal"),
        ("missed", at(10, CallType="incomplete", DialCallStatus="no-answer", DialWhomNumber=AGENT)),
        ("voicemail", at(25, CallType="voicemail", RecordingUrl=RECORDING)),
    ],
    "recording comes late": [
        ("automated_answered", at(20, **TALKED)),
        popup(21, "Terminal"),
        ("answered", at(22, **TALKED, RecordingUrl=RECORDING)),
    ],
}


#: What Call Details says of each flow's call, and says against all requests.
RECORDS: dict[str, dict[str, Any]] = {
    "ivr, gather, answered": {"ConversationDuration": 4, "Leg2Status": "completed"},
    "missed, then voicemail": {"ConversationDuration": 0, "Leg2Status": "no-answer"},
    "recording comes late": {"ConversationDuration": 5, "Leg2Status": "completed"},
    "answered, said to be missed": {"ConversationDuration": 0, "Leg2Status": "no-answer"},
    "missed, said to be answered": {"ConversationDuration": 30, "Leg2Status": "completed"},
}
CONTRADICTED: dict[str, list[Sent]] = {
    "answered, said to be missed": [
        popup(6, "Dial"),
        ("automated_answered", at(20, **TALKED, RecordingUrl=RECORDING)),
    ],
    "missed, said to be answered": [
        popup(2, "Dial"),
        ("missed", at(10, CallType="incomplete", DialCallStatus="no-answer", DialWhomNumber=AGENT)),
    ],
}


async def record(w: World, details: dict[str, Any], **changes: Any) -> None:
    """A record of the call is accepted, as reconcile does."""
    raw = {
        "Sid": "sid1",
        "From": CALLER,
        "To": AGENT,
        "PhoneNumberSid": EXOPHONE,
        "Direction": "inbound",
        "Status": "completed",
        "StartTime": "2026-11-21 10:00:00",
        "EndTime": "2026-11-21 10:00:30",
        "RecordingUrl": RECORDING,
        "Details": {"Leg1Status": "completed", "Legs": [], **details},
        **changes,
    }
    found = parse_call(raw, "IN")
    assert found is not None
    await Intake(w.db, w.pipeline.accept, w.clock).answers(w.tenant, [found])


async def play(w: World, flow: list[Sent], *, step_s: float) -> None:
    for kind, params in flow:
        await w.event("sid1", kind, **params)
        await w.settle()
        if step_s:
            await w.after(step_s)
    await w.after(130)
    await w.after(4 * 3600)


def left(w: World) -> list[Any]:
    """Tickets and notes as people see them, without what differs from run to run."""
    return [
        (ticket["subject"], _plain(ticket["description_text"]), [_plain(note["body_text"]) for note in w.notes(ticket)])
        for ticket in w.tickets
    ]


def _plain(text: str) -> str:
    # a link is signed with the key of its store
    return re.sub(r"\[ref [^]]*\]|(?<=/r/)\S+", "", text).strip()


@pytest.mark.parametrize("step_s", [0.0, 5.0])
@pytest.mark.parametrize("name", FLOWS)
async def test_every_order_ends_alike(tmp_path: Path, name: str, step_s: float) -> None:
    flow = FLOWS[name]
    wanted: list[Any] = []
    for number, order in enumerate(itertools.permutations(flow)):
        if number % 5 and len(flow) > 4:
            continue  # 120 orders, a fifth of them; the first is the order in which things happened
        folder = tmp_path / str(number)
        folder.mkdir()
        async with world(folder) as w:
            await play(w, list(order), step_s=step_s)
            if not wanted:
                wanted = left(w)
                assert len(wanted) == 1
                assert len(wanted[0][2]) == 1
            assert left(w) == wanted, [kind for kind, _ in order]


@pytest.mark.parametrize("name", FLOWS)
async def test_doubled_events_and_a_second_dialect_change_nothing(tmp_path: Path, name: str) -> None:
    results = []
    for folder, times in (("once", 1), ("often", 4)):
        (tmp_path / folder).mkdir()
        async with world(tmp_path / folder) as w:
            flow = [sent for sent in FLOWS[name] for _ in range(times)]
            if times > 1:
                words = {"pop": "createpopup", "missed": "callmissed", "answered": "incomingcallhungup"}
                flow += [(words[kind], params) for kind, params in FLOWS[name] if kind in words]
            await play(w, flow, step_s=0.0)
            results.append(left(w))
            if times > 1:
                rows = await w.rows("select count(*) n from event")
                assert rows[0]["n"] == len(FLOWS[name]) + sum(kind in words for kind, _ in FLOWS[name])
    assert results[0] == results[1]


@pytest.mark.parametrize("name", RECORDS)
async def test_a_record_of_call_details_ends_alike_whenever_it_comes(tmp_path: Path, name: str) -> None:
    """First, in between, last, doubled with another price, young and then settled: the same records."""
    flow = {**FLOWS, **CONTRADICTED}[name]
    wanted: list[Any] = []
    for place in range(len(flow) + 1):
        for times in (1, 3):
            folder = tmp_path / f"{place}-{times}"
            folder.mkdir()
            async with world(folder) as w:
                if times > 1:
                    await record(w, {}, Status="", EndTime="1970-01-01 05:30:00", To=EXOPHONE, RecordingUrl="")
                for kind, params in flow[:place]:
                    await w.event("sid1", kind, **params)
                    await w.settle()
                for number in range(times):
                    await record(w, RECORDS[name], Price=f"{number}.5", DateUpdated=f"2026-11-21 10:01:0{number}")
                    await w.settle()
                await play(w, flow[place:], step_s=0.0)
                wanted = wanted or left(w)
                assert len(wanted) == 1
                assert left(w) == wanted, (place, times)


async def test_the_same_record_is_stored_once(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        for price in ("1.5", "1.75"):
            await record(w, RECORDS["recording comes late"], Price=price)
        assert len(await w.rows("select id from event")) == 1
