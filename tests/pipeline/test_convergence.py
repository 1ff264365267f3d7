"""Duplicates, two dialects in one flow, late and shuffled events: the same records with the same final words."""

import itertools
import re
from pathlib import Path
from typing import Any

import pytest

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
