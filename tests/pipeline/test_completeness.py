"""Every call that Exotel billed is in the CRM once, whatever was lost on the way; and what it costs at Exotel."""

import random
from collections import Counter
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer

from adapters.freshdesk import Freshdesk
from adapters.freshsales import Freshsales
from adapters.freshsales import standin as freshsales
from connector.kit.faults import Faults
from tests.pipeline.exotel_world import AGENT_E164, ExotelWorld, exotel_world
from tests.pipeline.test_looks import popups, sid
from tests.pipeline.world import AGENT, CALLER, EXOPHONE, RECORDING

CALLS = 2000
#: A tenth of all requests is lost.
LOST = 0.1
_KINDS = ("answered", "missed", "voicemail", "outbound")


class Line:
    """A day at Exotel: calls happen, and their requests come, or are lost."""

    def __init__(self, x: ExotelWorld, chance: random.Random) -> None:
        self._x = x
        self._chance = chance
        self.lost = 0
        self.sent = 0

    async def call(self, number: int) -> None:
        kind = _KINDS[number % len(_KINDS)]
        customer = f"+91888464{number % 60:04d}"
        facts = {"answered": "answered", "outbound": "answered"}.get(kind, kind)
        self._x.call(
            sid(number),
            customer,
            ending=facts,
            agent=AGENT_E164,
            direction="outbound-api" if kind == "outbound" else "inbound",
        )
        national = f"0{customer[3:]}"
        if kind == "outbound":
            await self._event(
                sid(number), "status", From=AGENT, To=national, PhoneNumberSid=EXOPHONE, Direction="outbound-api",
                EventType="terminal", Status="completed", ConversationDuration=20, RecordingUrl=RECORDING,
            )  # fmt: skip
            return
        base = {"CallFrom": national, "From": national, "To": EXOPHONE, "CallTo": EXOPHONE, "Direction": "incoming"}
        if kind != "voicemail":
            for state, event_type in (("busy", "Dial"), ("free", "Terminal")):
                told = {"From": national, "To": EXOPHONE, "DialWhomNumber": AGENT}
                await self._event(sid(number), "pop", Status=state, EventType=event_type, **told)
        if kind == "answered":
            await self._event(
                sid(number), "answered", CallType="completed", DialCallStatus="completed", DialWhomNumber=AGENT,
                RecordingUrl=RECORDING, **base, **{"Legs[0][Number]": AGENT, "Legs[0][OnCallDuration]": 20},
            )  # fmt: skip
        elif kind == "missed":
            told = {"CallType": "incomplete", "DialCallStatus": "no-answer", "DialWhomNumber": AGENT}
            await self._event(sid(number), "missed", **told, **base)
        else:
            await self._event(sid(number), "voicemail", CallType="voicemail", RecordingUrl=RECORDING, **base)

    async def _event(self, call_sid: str, kind: str, **params: object) -> None:
        if self._chance.random() < LOST:
            self.lost += 1
            return
        self.sent += 1
        await self._x.w.event(call_sid, kind, **params)


async def test_a_tenth_of_all_requests_is_lost_and_no_call_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for adapter in (Freshdesk, Freshsales):  # the CRMs' quotas are not what is tried here
        monkeypatch.setattr(adapter, "limits", {"all": (1_000_000, 60)})
    async with TestServer(freshsales.standin(freshsales.Account(), Faults())) as server:
        connection = {
            "name": "sales",
            "adapter": "freshsales",
            "settings": {**freshsales.SETTINGS, "base_url": f"http://127.0.0.1:{server.port}"},
        }
        async with exotel_world(tmp_path, options={"answered": "ticket"}, connections=[connection]) as x:
            await x.reconcile()
            line = Line(x, random.Random(5))
            for first in range(0, CALLS, 500):
                for number in range(first, first + 500):
                    await line.call(number)
                await x.after(600, every_s=150)
            assert line.lost > CALLS * 0.1
            await x.after(3600 + 600, every_s=600)
            statement = await x.statement()
            assert statement.total.calls == CALLS
            assert (statement.total.missing_for, statement.total.not_due_for) == ({}, {})
            for total in (statement.total, *statement.connections.values()):
                assert (total.calls, total.written) == (CALLS, CALLS)
            assert statement.unconfirmed == 0
            # One record per call, by the key that each carries.
            tickets = await x.w.rows("select ref_id from step where slot = 'ticket'")
            assert len({row["ref_id"] for row in tickets}) == len(x.w.account.tickets) == CALLS
            logs = await x.w.rows("select ref_id from step where slot = 'log'")
            assert len({row["ref_id"] for row in logs}) == CALLS
            subjects = Counter(ticket["subject"].split()[0] for ticket in x.w.tickets)
            assert subjects == dict.fromkeys(("Incoming", "Missed", "Voicemail", "Outbound"), CALLS // 4)
            assert x.asked() <= 0.022 * CALLS + 40


async def test_ten_thousand_calls_cost_at_most_220_requests(tmp_path: Path) -> None:
    calls = 10_000
    async with exotel_world(tmp_path) as x:
        await x.reconcile()
        for number in range(calls):
            # Answered calls of which popups alone are known, a tenth not even by those.
            x.call(sid(number), CALLER, agent=AGENT_E164, ago_s=-(number % 3000))
            if number % 10:
                await popups(x, sid(number), CALLER)
        await x.w.settle(120)
        before = x.asked()
        x.w.clock.advance(4000)
        for _ in range(5):
            await x.reconcile()
            x.w.clock.advance(61)
        asked = x.asked() - before
        statement = await x.statement()
        assert (statement.total.calls, statement.total.missing) == (calls, 0)
        assert await x.looks() == []
        assert asked <= 220, asked
        assert x.exotel.answers[429] == 0
