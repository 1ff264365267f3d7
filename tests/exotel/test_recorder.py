"""Recording on demand: passthrus say when, the Recording API is asked afterwards, once where Exotel answers."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from connector.app import DATABASE
from connector.exotel import parse_request
from connector.exotel.model import ORDERS
from connector.kit.exotel import ExotelAccount
from connector.kit.faults import Fault, Faults
from connector.pipeline.calls.fold import Arrived, Known, fold
from connector.store.queries.orders import Order, OrderClaim, OrderFinish, claim_orders, finish_orders, open_orders
from tests.exotel.conftest import SID
from tests.exotel.service import HOOK, Service, service

CALLBACK = f"https://calls.acme.example/h/{HOOK}/callback/recording"
START = {"Action": "START", "RecordingChannels": "single", "StatusCallback": CALLBACK}
STOP = {"Action": "STOP"}


@pytest.fixture
async def running(tmp_path: Path, account: ExotelAccount, faults: Faults) -> AsyncIterator[Service]:
    account.sends_callbacks = False
    async with service(tmp_path, account, faults) as made:
        yield made


def asked(running: Service) -> list[tuple[str, dict[str, str]]]:
    return running.exotel.recording_requests


async def settled(running: Service, sid: str, count: int) -> list[tuple[str, str, str | None]]:
    """Orders of the call, once so many are no longer pending."""

    async def told() -> Any:
        orders = await running.orders(sid)
        return orders if sum(state != "pending" for _, state, _ in orders) == count else None

    return list(await running.until(told))


async def tried(running: Service, sid: str) -> list[tuple[str, str, str | None]]:
    """Orders of the call that a try did not settle, once there is one."""

    async def told() -> Any:
        return [order for order in await running.orders(sid) if order[2] is not None]

    return list(await running.until(told))


@pytest.mark.usefixtures("both_databases")
async def test_start_and_stop(running: Service) -> None:
    sid = running.exotel.add_call({"running": True})
    assert await running.hook("record_start", sid, CallFrom="09876543210", CurrentTime="2026-01-01 10:00:00") == 200
    await settled(running, sid, 1)
    assert await running.hook("record_stop", sid, CurrentTime="2026-01-01 10:01:00") == 200
    assert await settled(running, sid, 2) == [("record_start", "done", None), ("record_stop", "done", None)]
    assert asked(running) == [(sid, START), (sid, STOP)]


async def test_the_freshdesk_dialect(running: Service) -> None:
    sid = running.exotel.add_call({"running": True})
    url = f"{running.url}/v2/accounts/{SID}/call-events"
    headers = {"Authorization": f"Bearer {HOOK}"}
    async with running.session.get(url, params={"event": "record_start", "CallSid": sid}, headers=headers) as answer:
        assert answer.status == 200
    await settled(running, sid, 1)
    assert asked(running) == [(sid, START)]


async def test_nobody_waits_for_exotel(running: Service) -> None:
    running.faults.change({"script": ["slow"], "slow_s": 30.0})
    sid = running.exotel.add_call({"running": True})
    assert await running.hook("record_start", sid) == 200
    assert await running.orders(sid) == [("record_start", "pending", None)]


async def test_told_twice_asked_once(running: Service) -> None:
    sid = running.exotel.add_call({"running": True})
    for _ in range(3):
        assert await running.hook("record_start", sid, CurrentTime="2026-01-01 10:00:00") == 200
    await settled(running, sid, 1)
    await running.look(60)
    assert asked(running) == [(sid, START)]


@pytest.mark.parametrize("fault", ["error_before", "error_after", "reset_before", "reset_after", "rate_limited"])
async def test_tried_again_while_the_call_runs(running: Service, fault: Fault) -> None:
    running.faults.script.append(fault)
    sid = running.exotel.add_call({"running": True})
    await running.hook("record_start", sid)

    ((kind, state, reason),) = await tried(running, sid)
    assert (kind, state) == ("record_start", "pending")
    assert reason is not None
    assert reason.startswith("Exotel")
    await running.look(61)
    assert await running.orders(sid) == [("record_start", "done", None)]
    assert asked(running)[-1] == (sid, START)


async def test_given_up_when_the_call_is_over_at_exotel(running: Service) -> None:
    sid = running.exotel.add_call()
    await running.hook("record_start", sid)
    ((_, state, reason),) = await settled(running, sid, 1)
    assert state == "failed"
    assert "not in-progress" in (reason or "")
    await running.look(60)
    assert running.exotel.requests["POST /v1/Accounts/{sid}/Calls/{call}/recording{ext}"] == 1


async def test_given_up_when_we_are_told_of_the_end(running: Service) -> None:
    running.faults.script.append("error_before")
    sid = running.exotel.add_call({"running": True})
    await running.hook("record_start", sid)

    await tried(running, sid)
    await running.hook("missed", sid, CallType="incomplete", DialCallStatus="no-answer")
    await running.look(61)
    assert await running.orders(sid) == [("record_start", "failed", "The call was over before Exotel took it.")]
    assert asked(running) == []


async def test_a_stop_overtakes_what_is_not_started(running: Service) -> None:
    running.faults.script.extend(["error_before", "ok"])
    sid = running.exotel.add_call({"running": True})
    await running.hook("record_start", sid)

    await tried(running, sid)
    await running.hook("record_stop", sid)
    orders = await settled(running, sid, 2)
    assert orders == [("record_start", "failed", "overtaken by record_stop"), ("record_stop", "done", None)]
    assert asked(running) == [(sid, STOP)]


@pytest.mark.usefixtures("both_databases")
async def test_orders_of_a_process_that_died(running: Service) -> None:
    """What it had claimed is carried out when its lease has ended, and what it writes then is not believed."""
    sid = running.exotel.add_call({"running": True})
    running.faults.script.append("error_before")
    await running.hook("record_start", sid)

    await tried(running, sid)
    store, now = running.app[DATABASE], running.clock.now()
    (order,) = await store.read(open_orders, now - 100, 10)
    assert isinstance(order, Order)
    assert await store.write(claim_orders, OrderClaim((order.event_id,), "the dead", now, now + 60))
    await running.look(59)
    assert asked(running) == []
    await running.look(2)
    assert await running.orders(sid) == [("record_start", "done", None)]
    late = OrderFinish(order.event_id, "the dead", "failed", "late", running.clock.now(), 0.0)
    await store.write(finish_orders, late)
    assert await running.orders(sid) == [("record_start", "done", None)]


@pytest.mark.usefixtures("both_databases")
async def test_all_orders_of_a_call_or_none(running: Service) -> None:
    """Nobody overtakes an order that another replica is at."""
    store, now = running.app[DATABASE], running.clock.now()
    running.faults.odds = {"error_before": 1.0}
    sid = running.exotel.add_call({"running": True})
    await running.hook("record_start", sid)

    await tried(running, sid)
    (start,) = await store.read(open_orders, now - 100, 10)
    assert await store.write(claim_orders, OrderClaim((start.event_id,), "another", now, now + 60))
    running.faults.odds = {}
    await running.hook("record_stop", sid)
    (_, stop) = await store.read(open_orders, now - 100, 10)
    assert not await store.write(claim_orders, OrderClaim((start.event_id, stop.event_id), "me", now, now + 60))
    await running.look()
    assert asked(running) == []
    await store.write(finish_orders, OrderFinish(start.event_id, "another", "done", None, now, now))
    await running.look(5)
    assert asked(running) == [(sid, STOP)]


async def test_the_recordings_own_callback_is_kept(running: Service) -> None:
    sid = running.exotel.add_call({"running": True})
    running.exotel.sends_callbacks = True
    url = f"{running.url}/h/{HOOK}/callback/recording"
    async with running.session.post(url, data={"CallSid": sid, "Status": "completed"}) as answer:
        assert answer.status == 200
    events = await running.rows("select kind, source from event")
    assert events == [{"kind": "callback/recording", "source": "exotel"}]
    assert await running.rows("select * from delivery") == []


class TestTheFold:
    """An order is no fact of how the call ends."""

    FLOW: ClassVar = {
        "CallSid": "c1",
        "CallFrom": "09876543210",
        "CallTo": "08047494574",
        "Direction": "incoming",
        "CallType": "completed",
        "DialCallStatus": "completed",
        "DialCallDuration": "20",
        "digits": '"1"',
        "CurrentTime": "2026-01-01 10:00:00",
    }

    def told(self, kind: str, number: int, **more: str) -> Arrived:
        query = list({**self.FLOW, **more}.items())
        return Arrived(parse_request(event=kind, method="GET", query=query), 1_767_241_800.0 + number, number)

    @pytest.mark.parametrize("kind", sorted(ORDERS))
    def test_alone(self, kind: str) -> None:
        event = parse_request(event=kind, method="GET", query=list(self.FLOW.items()))
        assert (event.kind, event.status, event.answered, event.duration_s) == (kind, "unknown", None, None)
        call = fold([self.told(kind, 1)], Known())
        assert (call.outcome, call.over, call.missed, call.digits) == ("in-progress", False, False, ())
        assert call.customer_number == "+919876543210"

    @pytest.mark.parametrize("ending", ["answered", "missed", "voicemail"])
    def test_beside_others(self, ending: str) -> None:
        facts = {"CallType": ending} if ending == "voicemail" else {}
        if ending == "missed":
            facts = {"CallType": "incomplete", "DialCallStatus": "no-answer"}
        end = self.told(ending, 5, **facts, CurrentTime="2026-01-01 10:05:00")
        orders = [
            self.told("record_start", 1),
            self.told("record_stop", 9, CurrentTime="2026-01-01 10:06:00"),
        ]
        alone, with_orders = fold([end], Known()), fold([*orders, end], Known())
        told = {"kinds", "last_event_at", "first_event_at"}
        assert with_orders.model_dump(exclude=told) == alone.model_dump(exclude=told)

    @pytest.mark.parametrize("kind", ["callback/leg", "callback/recording"])
    def test_callbacks_tell_nothing(self, kind: str) -> None:
        event = parse_request(
            event=kind,
            method="POST",
            query=[
                ("CallSid", "c1"),
                ("Status", "completed"),
                ("PhoneNumber", "09711581199"),
                ("OnCallDuration", "52"),
            ],
        )
        call = fold([Arrived(event, 1.0, 1)], Known())
        assert (call.outcome, call.over, call.duration_s, call.agent_number) == ("in-progress", False, None, None)
