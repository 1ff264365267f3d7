"""Duplicates, two dialects in one flow, late and shuffled events: the same records with the same final words."""

import itertools
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from connector_freshdesk import Freshdesk

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


@dataclass(frozen=True)
class Variant:
    """One of the ways in which a call may be told: a call of its own, of a caller of its own, beside all the others."""

    number: int
    #: What is done one after the other.
    steps: Sequence[Callable[["Variant"], Awaitable[None]]]
    #: Said where it ends otherwise than the first.
    name: object

    @property
    def sid(self) -> str:
        return f"sid{self.number}"

    @property
    def caller(self) -> str:
        return f"{CALLER[:-4]}{self.number:04d}"


def sent(w: World, kind: str, params: dict[str, str]) -> Callable[[Variant], Awaitable[None]]:
    """The step in which one request comes."""

    async def send(of: Variant) -> None:
        await w.event(of.sid, kind, **{**params, "CallFrom": of.caller, "From": of.caller})

    return send


def recorded(w: World, details: dict[str, Any], **changes: Any) -> Callable[[Variant], Awaitable[None]]:
    """The step in which a record of the call is found."""

    async def find(of: Variant) -> None:
        await record(w, details, Sid=of.sid, From=of.caller, **changes)

    return find


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


async def play(w: World, *variants: Variant, step_s: float = 0.0) -> None:
    """Each one's first step, settled; each one's second step; and so on, until all of them are over."""
    for steps in itertools.zip_longest(*(variant.steps for variant in variants)):
        for variant, step in zip(variants, steps, strict=True):
            if step is not None:
                await step(variant)
        await w.settle(60)
        if step_s:
            await w.after(step_s)
    await w.after(130)
    await w.after(4 * 3600)


def left(w: World, of: Variant) -> list[Any]:
    """Tickets and notes of a call as people see them, without what differs from call to call."""

    def plain(text: str) -> str:
        # a link is signed with the key of its store, and names its recording
        text = re.sub(r"\[ref [^]]*\]|(?<=/r/)\S+", "", text).strip()
        return re.sub(rf"\b{of.sid}\b", "SID", text).replace(of.caller, "CALLER")

    return [
        (plain(ticket["subject"]), plain(ticket["description_text"]), [plain(n["body_text"]) for n in w.notes(ticket)])
        for ticket in w.tickets
        if re.search(rf"\b{of.sid}\b", ticket["description_text"])
    ]


@pytest.fixture(autouse=True)
def _no_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    """All the ways of a call happen at once, as one of them alone would: nobody waits for the CRM's quota."""
    monkeypatch.setattr(Freshdesk, "limits", {"all": (1_000_000, 60)})


def all_alike(w: World, variants: Sequence[Variant]) -> list[Any]:
    """What each of them left, which is one and the same: a ticket, and nothing stands beside those of the calls."""
    wanted = left(w, variants[0])
    assert len(wanted) == 1
    for variant in variants:
        assert left(w, variant) == wanted, variant.name
    assert len(w.tickets) == len(variants)
    return wanted


@pytest.mark.parametrize("step_s", [0.0, 5.0])
@pytest.mark.parametrize("name", FLOWS)
async def test_every_order_ends_alike(tmp_path: Path, name: str, step_s: float) -> None:
    orders = list(itertools.permutations(FLOWS[name]))
    if len(FLOWS[name]) > 4:
        orders = orders[::5]  # 120 orders, a fifth of them; the first is the order in which things happened
    async with world(tmp_path) as w:
        variants = [
            Variant(number, [sent(w, *one) for one in order], [kind for kind, _ in order])
            for number, order in enumerate(orders)
        ]
        await play(w, *variants, step_s=step_s)
        ((_, _, notes),) = all_alike(w, variants)
        assert len(notes) == 1


@pytest.mark.parametrize("name", FLOWS)
async def test_doubled_events_and_a_second_dialect_change_nothing(tmp_path: Path, name: str) -> None:
    flow = FLOWS[name]
    words = {"pop": "createpopup", "missed": "callmissed", "answered": "incomingcallhungup"}
    in_words = [(words[kind], params) for kind, params in flow if kind in words]
    often = [*(one for one in flow for _ in range(4)), *in_words]
    async with world(tmp_path) as w:
        variants = [
            Variant(number, [sent(w, *one) for one in events], name)
            for number, (name, events) in enumerate({"once": flow, "often": often}.items())
        ]
        await play(w, *variants)
        all_alike(w, variants)
        rows = await w.rows(
            "select count(*) n from event join call on call.id = call_id where call_sid = :sid", sid=variants[1].sid
        )
        assert rows[0]["n"] == len(flow) + len(in_words)


@pytest.mark.parametrize("name", RECORDS)
async def test_a_record_of_call_details_ends_alike_whenever_it_comes(tmp_path: Path, name: str) -> None:
    """First, in between, last, doubled with another price, young and then settled: the same records."""
    flow = {**FLOWS, **CONTRADICTED}[name]
    async with world(tmp_path) as w:
        young = recorded(w, {}, Status="", EndTime="1970-01-01 05:30:00", To=EXOPHONE, RecordingUrl="")
        settled = [
            recorded(w, RECORDS[name], Price=f"{number}.5", DateUpdated=f"2026-11-21 10:01:0{number}")
            for number in range(3)
        ]
        events = [sent(w, *one) for one in flow]
        ways = [
            (place, times, [*events[:place], *settled[:times], *events[place:]])
            for place in range(len(flow) + 1)
            for times in (1, 3)
        ]
        variants = [
            Variant(number, [young, *steps] if times > 1 else steps, (place, times))
            for number, (place, times, steps) in enumerate(ways)
        ]
        await play(w, *variants)
        all_alike(w, variants)


async def test_the_same_record_is_stored_once(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        for price in ("1.5", "1.75"):
            await record(w, RECORDS["recording comes late"], Price=price)
        assert len(await w.rows("select id from event")) == 1
