"""Every call that Exotel billed is in the CRM once, whatever was lost on the way; and what it costs at Exotel."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from connector_freshdesk import Freshdesk
from connector_freshsales import Freshsales
from sqlalchemy import Connection, insert, select
from standins import freshsales as freshsales

from connector.kit.faults import Faults
from connector.store import schema
from tests.pipeline.completeness.test_looks import sid
from tests.pipeline.exotel_world import AGENT_E164, ExotelWorld, exotel_world
from tests.pipeline.world import AGENT, EXOPHONE, RECORDING
from tests.rig.listening import Server

#: A tenth of all requests is lost.
LOST = 0.1
_KINDS = ("answered", "missed", "voicemail", "outbound")


Sent = tuple[str, str, dict[str, object]]


def happens(x: ExotelWorld, number: int) -> list[Sent]:
    """A call at Exotel, and the requests that it makes."""
    kind = _KINDS[number % len(_KINDS)]
    customer = f"+91888464{number % 60:04d}"
    ending = {"answered": "answered", "outbound": "answered"}.get(kind, kind)
    direction = "outbound-api" if kind == "outbound" else "inbound"
    x.call(sid(number), customer, ending=ending, agent=AGENT_E164, direction=direction)
    national = f"0{customer[3:]}"
    base = {"CallFrom": national, "From": national, "To": EXOPHONE, "CallTo": EXOPHONE, "Direction": "incoming"}
    ring = {"From": national, "To": EXOPHONE, "DialWhomNumber": AGENT}
    told: list[tuple[str, dict[str, object]]] = []
    if kind in ("answered", "missed"):
        told.append(("pop", {"Status": "busy", "EventType": "Dial", **ring}))
        told.append(("pop", {"Status": "free", "EventType": "Terminal", **ring}))
    if kind == "answered":
        legs = {"Legs[0][Number]": AGENT, "Legs[0][OnCallDuration]": 20, "RecordingUrl": RECORDING}
        told.append((kind, {"CallType": "completed", "DialCallStatus": "completed", **base, **legs}))
    elif kind == "missed":
        told.append((kind, {"CallType": "incomplete", "DialCallStatus": "no-answer", **base}))
    elif kind == "voicemail":
        told.append((kind, {"CallType": "voicemail", "RecordingUrl": RECORDING, **base}))
    else:
        ends = {"EventType": "terminal", "Status": "completed", "ConversationDuration": 20, "RecordingUrl": RECORDING}
        who = {"From": AGENT, "To": national, "PhoneNumberSid": EXOPHONE, "Direction": "outbound-api"}
        told.append(("status", {**ends, **who}))
    return [(sid(number), word, params) for word, params in told]


@pytest.mark.parametrize("count", [400, pytest.param(2000, marks=[pytest.mark.slow, pytest.mark.long])])
async def test_a_tenth_of_all_requests_is_lost_and_no_call_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    for adapter in (Freshdesk, Freshsales):  # the CRMs' quotas are not what is tried here
        monkeypatch.setattr(adapter, "limits", {"all": (1_000_000, 60)})
    async with Server(freshsales.standin(freshsales.Account(), Faults())) as server:
        connection = {
            "name": "sales",
            "adapter": "freshsales",
            "settings": {**freshsales.SETTINGS, "base_url": f"http://127.0.0.1:{server.port}"},
        }
        async with exotel_world(tmp_path, options={"answered": "ticket"}, connections=[connection]) as x:
            await x.reconcile()
            chance = random.Random(5)
            lost = 0
            for first in range(0, count, count // 4):
                sent = [one for number in range(first, first + count // 4) for one in happens(x, number)]
                come = [one for one in sent if chance.random() >= LOST]
                lost += len(sent) - len(come)
                await asyncio.gather(*(x.w.event(call_sid, kind, **params) for call_sid, kind, params in come))
                await x.after(600, every_s=150)
            assert lost > count * 0.1
            await x.after(3600 + 600, every_s=600)
            statement = await x.statement()
            assert statement.total.calls == count
            assert (statement.total.missing_for, statement.total.not_due_for) == ({}, {})
            for total in (statement.total, *statement.connections.values()):
                assert (total.calls, total.written) == (count, count)
            assert statement.unconfirmed == 0
            # One record per call, by the key that each carries.
            tickets = await x.w.rows("select ref_id from step where slot = 'ticket'")
            assert len({row["ref_id"] for row in tickets}) == len(x.w.account.tickets) == count
            logs = await x.w.rows("select ref_id from step where slot = 'log'")
            assert len({row["ref_id"] for row in logs}) == count
            subjects = Counter(ticket["subject"].split()[0] for ticket in x.w.tickets)
            assert subjects == dict.fromkeys(("Incoming", "Missed", "Voicemail", "Outbound"), count // 4)
            assert x.asked() <= 0.022 * count + 40


@pytest.mark.parametrize("both_databases", ["sqlite"], indirect=True)  # it is Exotel's requests that are counted
async def test_ten_thousand_calls_cost_at_most_220_requests(tmp_path: Path) -> None:
    calls = 10_000
    async with exotel_world(tmp_path, deliver=False) as x:
        await x.reconciler.reconcile(x.w.tenant)
        before = x.asked()
        began = x.w.clock.now()
        for number in range(calls):
            x.exotel.add_call({"sid": sid(number), "created_at": began + number % 3000, "talk_s": 20})
        # All lack something, but for a tenth that nothing told of.
        told = [number for number in range(calls) if number % 10]
        await asyncio.to_thread(x.w.db.transact, _lack, x.w.tenant.id, told, began)
        x.w.clock.advance(3700)
        for _ in range(3):  # the quota of a minute, and what is over it
            await x.reconciler.reconcile(x.w.tenant)
            x.w.clock.advance(61)
        assert x.asked() - before <= 220
        assert x.exotel.answers[429] == 0
        (row,) = await x.w.rows("select count(distinct call_id) n from event where source = 'details'")
        assert row["n"] == calls
        assert (await x.statement()).total.calls == calls


def _lack(sql: Connection, tenant_id: int, numbers: Sequence[int], began: float) -> None:
    calls = [{"tenant_id": tenant_id, "call_sid": sid(number), "created_at": began} for number in numbers]
    sql.execute(insert(schema.call), calls)
    ids = {row.call_sid: row.id for row in sql.execute(select(schema.call.c.id, schema.call.c.call_sid))}
    due = {"lacks": "end,outcome", "stage": 0, "tenant_id": tenant_id}
    looks = [
        {"call_id": ids[sid(n)], "since": began + n % 3000, "due_at": began + n % 3000 + 120, **due} for n in numbers
    ]
    sql.execute(insert(schema.look), looks)
