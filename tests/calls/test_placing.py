"""Click to call: what is placed, refused and unsure, and that nobody is ever rung twice for one wish."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from connector.app import DATABASE, DIRECTORIES
from connector.pipeline.upkeep.retention import Retention
from tests.calls.placed import CALLED, HOOK, RUNG, Placed, placed
from tests.pipeline.world import EXOPHONE, SID, ManualClock

pytestmark = pytest.mark.usefixtures("both_databases")


def refused(answer: tuple[int, Any]) -> tuple[int, str, str | None]:
    status, body = answer
    return status, body["error"]["code"], body["error"]["field"]


class TestPlacing:
    async def test_the_agent_is_rung_first_and_everything_is_told(self, tmp_path: Path) -> None:
        rules = {"record": True, "channels": "dual", "time_limit_s": 900, "ring_s": 40, "retries": 0}
        async with placed(tmp_path, calls=rules) as p:
            status, body = await p.place(custom_field="order 7")
            assert status == 202
            assert body["state"] == "placed"
            (form,) = p.exotel.connects
            assert form == {
                "From": RUNG,
                "To": CALLED,
                "CallerId": "+918047494574",
                "CallType": "trans",
                "CustomField": body["id"],
                "Record": "true",
                "RecordingChannels": "dual",
                "TimeLimit": "900",
                "TimeOut": "40",
                "MaxRetries": "0",
                "StatusCallback": f"{p.url}/h/{HOOK}/status",
                "StatusCallbackEvents[0]": "answered",
                "StatusCallbackEvents[1]": "terminal",
                "StatusCallbackContentType": "multipart/form-data",
            }
            found = await p.done(body["id"])
            assert (found["id"], found["call_sid"], found["state"]) == (body["id"], body["call_sid"], "placed")
            assert found["call"]["custom_field"] == "order 7"
            assert found["call"]["outcome"] == "answered"
            assert {event["source"] for event in found["events"]} == {"connect", "exotel"}
            assert await p.call(body["call_sid"], SID) == found
            assert len(p.crm.tickets) == 1

    async def test_the_shortest_wish(self, tmp_path: Path) -> None:
        async with placed(tmp_path) as p:
            for agent in ("agent", "AVNISH@acme.example", "097115 81199"):
                _, body = await p.place(agent=agent, number="0888-464-3606")
                assert (await p.done(body["id"]))["call"]["custom_field"] is None
            assert [form["Record"] for form in p.exotel.connects if "Record" in form] in ([], ["false"] * 3)
            assert len(p.exotel.connects) == 3

    async def test_what_is_refused_names_its_field(self, tmp_path: Path) -> None:
        async with placed(tmp_path) as p:
            for changes, told in [
                ({"connection": "other"}, (400, "unknown_connection", "connection")),
                ({"agent": "nobody"}, (400, "unknown_agent", "agent")),
                ({"number": "12345"}, (400, "invalid_number", "number")),
                ({"number": "reception"}, (400, "invalid_number", "number")),
                ({"number": "+91 97115 81199"}, (400, "invalid_number", "number")),
                ({"custom_field": "x" * 1001}, (400, "invalid", "custom_field")),
                ({"tenant": "nobody1"}, (404, "not_found", "tenant")),
                ({"colour": "red"}, (400, "invalid", "colour")),
            ]:
                assert refused(await p.place(**changes)) == told, changes
            assert refused(await p.place(key="k" * 256)) == (400, "invalid", "Idempotency-Key")
            assert p.exotel.requests.total() == 0
            assert await p.rows("select * from placement") == []

    async def test_an_agent_who_may_not_call_or_has_no_number(self, tmp_path: Path) -> None:
        async with placed(tmp_path) as p:
            wishes = [
                {"crm_id": "2", "phone": "09711500002"},
                {"crm_id": "3", "outbound": True},
                {"crm_id": "4", "phone": "sip:four", "outbound": True},
            ]
            status, body = await p.ask("PUT", f"/api/v1/agents?tenant={SID}&connection=support", {"agents": wishes})
            assert (status, body["refused"]) == (200, 0), body
            assert refused(await p.place(agent="2")) == (403, "agent_not_allowed", "agent")
            assert refused(await p.place(agent="3")) == (400, "no_agent_number", "agent")
            assert (await p.place(agent="sip:four"))[0] == 202
            assert p.exotel.connects[0]["From"] == "sip:four"

    async def test_which_exophone(self, tmp_path: Path) -> None:
        lines = {EXOPHONE: "Support line", "08047494575": "Sales line"}
        async with placed(tmp_path, exophones=lines) as p:
            status, body = await p.place()
            assert refused((status, body)) == (400, "no_caller_id", "caller_id")
            assert "Support line, Sales line" in body["error"]["message"]
            await p.ask(
                "PUT",
                "/api/v1/agents",
                {
                    "tenant": SID,
                    "connection": "support",
                    "agents": [{"crm_id": "2", "phone": "09711500002", "outbound": True, "caller_id": EXOPHONE}],
                },
            )
            assert (await p.place(agent="2"))[0] == 202
            assert p.exotel.connects[0]["CallerId"] == "+918047494574"

    async def test_a_strangers_token_learns_nothing(self, tmp_path: Path) -> None:
        async with placed(tmp_path) as p:
            _, body = await p.place(key="k1")
            other = {"sid": "other1", "api_key": "k", "api_token": "t"}
            await p.apply({"tenants": [other]})
            stranger = await p.token_of("other1")
            for path in (body["id"], body["call_sid"], f"{body['id']}?tenant={SID}"):
                status, answer = await p.ask("GET", f"/api/v1/calls/{path}", headers=stranger)
                assert refused((status, answer))[:2] == (404, "not_found")
            own = await p.token_of(SID)
            assert (await p.ask("GET", f"/api/v1/calls/{body['id']}", headers=own))[0] == 200
            wish = {"tenant": SID, "connection": "support", "agent": "agent", "number": CALLED}
            assert refused(await p.ask("POST", "/api/v1/calls", wish, stranger))[:2] == (404, "not_found")
            assert len(p.exotel.connects) == 1

    async def test_without_a_public_address(self, tmp_path: Path) -> None:
        async with placed(tmp_path, public=False) as p:
            status, body = await p.place()
            assert refused((status, body)) == (409, "no_public_url", None)
            assert "CONNECTOR_PUBLIC_URL" in body["error"]["message"]
            assert p.exotel.connects == []

    async def test_outside_the_allowed_hours(self, tmp_path: Path) -> None:
        clock = ManualClock(at=1_795_968_000.0)  # 2026-11-29T17:30+05:30, a Sunday
        async with placed(tmp_path, clock=clock, calls={"hours": {"mon-fri": "09:00-19:00"}}) as p:
            status, body = await p.place()
            assert refused((status, body)) == (409, "outside_hours", None)
            assert "2026-11-30T09:00:00+05:30" in body["error"]["message"]
            clock.advance(16 * 3600)
            assert (await p.place())[0] == 202

    async def test_what_exotel_refuses(self, tmp_path: Path) -> None:
        async with placed(tmp_path) as p:
            p.exotel.has_credit = False
            status, body = await p.place(key="k1")
            assert refused((status, body))[:2] == (422, "refused")
            again = await p.place(key="k1")
            assert again == (status, body), "the same wish has the same answer"
            p.exotel.has_credit = True
            assert await p.place(key="k1") == (status, body)
            (row,) = await p.rows("select token from placement")
            found = await p.call(row["token"])
            assert (found["state"], found["call_sid"]) == ("refused", None)
            assert found["reason"] == body["error"]["message"]
            assert p.exotel.connects == []

    async def test_wrong_keys(self, tmp_path: Path) -> None:
        async with placed(tmp_path) as p:
            p.exotel.api_token = "rotated"
            assert refused(await p.place())[:2] == (422, "exotel_credentials")

    async def test_no_requests_left(self, tmp_path: Path) -> None:
        async with placed(tmp_path) as p:
            p.exotel.limit = 0
            assert refused(await p.place(key="k1"))[:2] == (429, "rate_limited")
            (row,) = await p.rows("select state, idempotency_key from placement")
            assert row == {"state": "refused", "idempotency_key": None}, "nobody was rung: the wish may be repeated"
            assert refused(await p.place(key="k1"))[:2] == (429, "rate_limited")
            assert len(await p.rows("select id from placement")) == 2
            assert p.exotel.connects == []


class TestNeverTwice:
    async def test_the_same_key_rings_once(self, tmp_path: Path) -> None:
        async with placed(tmp_path) as p:
            answers = [await p.place(key="k1"), await p.place(key="k1")]
            assert answers[0] == answers[1]
            assert refused(await p.place(key="k1", number="09711500009")) == (
                422, "idempotency_key_reused", "Idempotency-Key",
            )  # fmt: skip
            assert len(p.exotel.connects) == 1

    async def test_at_the_same_moment(self, tmp_path: Path) -> None:
        async with placed(tmp_path) as p:
            p.exotel_faults.latency_s = 0.2
            answers = await asyncio.gather(*(p.place(key="k1") for _ in range(8)))
            assert {status for status, _ in answers} == {202}
            assert len({body["id"] for _, body in answers}) == 1
            assert {body["state"] for _, body in answers} == {"placed", "unknown"}
            assert len(p.exotel.connects) == 1

    @pytest.mark.parametrize("fault", ["error_after", "reset_after"])
    async def test_bound_by_the_callback(self, tmp_path: Path, fault: Any) -> None:
        async with placed(tmp_path) as p:
            p.exotel_faults.script.append(fault)
            status, body = await p.place(key="k1", custom_field="order 7")
            assert (status, body["call_sid"], body["state"]) == (202, None, "unknown")
            found = await p.done(body["id"])
            assert found["state"] == "placed"
            assert found["call"]["custom_field"] == "order 7"
            again = await p.place(key="k1", custom_field="order 7")
            assert again == (202, {"id": body["id"], "call_sid": found["call_sid"], "state": "placed"})
            assert len(p.exotel.connects) == 1
            assert len(p.crm.tickets) == 1
            assert body["id"] not in str(p.crm.dump()), "our token is nobody's business"
            # Nobody looks for it any more.
            asked = p.exotel.requests.total()
            await p.look(5 * 3600)
            assert p.exotel.requests.total() == asked

    async def test_callbacks_overtake_the_answer(self, tmp_path: Path) -> None:
        async with placed(tmp_path) as p:
            p.exotel_faults.only = "connect"
            p.exotel_faults.script.append("late")
            p.exotel_faults.slow_s, p.exotel_faults.effect_after_s = 1.0, 0.0
            placing = asyncio.create_task(p.place())

            async def bound() -> Any:
                return await p.rows("select token from placement where state = 'placed'")

            (row,) = await p.until(bound)
            early = await p.done(row["token"])
            status, body = await placing
            assert (status, body) == (
                202, {"id": row["token"], "call_sid": early["call_sid"], "state": "placed"},
            )  # fmt: skip
            assert len(p.crm.tickets) == 1
            assert len((await p.call(row["token"]))["events"]) == len(early["events"])


class TestUnsure:
    async def unsure(self, p: Placed) -> tuple[str, str]:
        """A call that was placed, of which nobody tells: its id, and its CallSid at Exotel."""
        p.exotel.sends_callbacks = False
        p.exotel_faults.script.append("error_after")
        _, body = await p.place()
        assert body["state"] == "unknown"
        await p.player.idle()
        return body["id"], p.at_exotel(body["id"])

    async def test_found_by_from_to_and_time(self, tmp_path: Path) -> None:
        async with placed(tmp_path) as p:
            others: list[dict[str, Any]] = [
                {"direction": "inbound", "customer": CALLED, "agent": RUNG},
                {"direction": "outbound-api", "customer": "+918884643607", "agent": RUNG},
                {"direction": "outbound-api", "customer": CALLED, "agent": "+919711500002"},
                {"direction": "outbound-api", "customer": CALLED, "agent": RUNG, "created_at": p.clock.now() - 3600},
            ]
            for facts in others:
                p.exotel.add_call(facts)
            id_, sid = await self.unsure(p)
            asked = p.exotel.requests.total()
            await p.look(30)
            assert p.exotel.requests.total() == asked, "not before a minute"
            await p.look(31)
            found = await p.call(id_)
            assert (found["state"], found["call_sid"]) == ("placed", sid)
            assert (await p.done(id_))["call"]["outcome"] == "answered", "the record that was found tells how it went"
            assert len(p.crm.tickets) == 1
            assert p.exotel.requests.total() == asked + 1

    async def test_the_schedule_and_the_end_of_it(self, tmp_path: Path) -> None:
        async with placed(tmp_path) as p:
            p.exotel_faults.script.append("reset_before")
            _, body = await p.place(key="k1")
            assert body["state"] == "unknown"
            asked = p.exotel.requests.total()
            looks = []
            for minute in range(300):
                await p.look(60)
                if p.exotel.requests.total() > asked:
                    asked = p.exotel.requests.total()
                    looks.append(minute + 1)
            assert looks == [1, 5, 15, 60, 260]
            found = await p.call(body["id"])
            assert (found["state"], found["call_sid"], found["deliveries"]) == ("not_placed", None, [])
            assert "no trace" in found["reason"]
            assert (await p.place(key="k1"))[1]["state"] == "not_placed"
            assert p.exotel.connects == []
            assert await p.rows("select * from call") == []

    async def test_exotel_down_proves_nothing(self, tmp_path: Path) -> None:
        async with placed(tmp_path) as p:
            id_, _ = await self.unsure(p)
            p.exotel_faults.odds = {"error_before": 1.0}
            await p.look(5 * 3600)
            assert (await p.call(id_))["state"] == "unknown"
            p.exotel_faults.odds = {}
            await p.look(120)
            assert (await p.call(id_))["state"] == "placed"

    async def test_two_of_one_pair_are_two(self, tmp_path: Path) -> None:
        async with placed(tmp_path) as p:
            first = await self.unsure(p)
            p.clock.advance(10)
            second = await self.unsure(p)
            await p.look(61)
            for id_, sid in (first, second):
                assert (await p.call(id_))["call_sid"] == sid

    async def test_a_wrong_guess_is_put_right_by_the_callbacks(self, tmp_path: Path) -> None:
        async with placed(tmp_path) as p:
            pairs = [await self.unsure(p), await self.unsure(p)]
            await p.look(61)
            guessed = {id_: (await p.call(id_))["call_sid"] for id_, _ in pairs}
            assert set(guessed.values()) == {sid for _, sid in pairs}
            # Whatever was guessed of two calls of one second: their own callbacks say it was the other way round.
            first, second = guessed
            await p.callback(guessed[second], first)
            assert (await p.call(first))["call_sid"] == guessed[second]
            assert (await p.call(second))["state"] == "unknown"
            await p.callback(guessed[first], second)
            assert (await p.call(second))["call_sid"] == guessed[first]
            await p.callback(guessed[second], first)
            assert (await p.call(first))["call_sid"] == guessed[second]
            assert (await p.call(second))["call_sid"] == guessed[first]

            async def tickets() -> bool:
                return len(p.crm.tickets) == 2

            await p.until(tickets)

    async def test_many_are_asked_for_together(self, tmp_path: Path) -> None:
        async with placed(tmp_path) as p:
            p.exotel.sends_callbacks = False
            ids = []
            for number in range(5):
                p.exotel_faults.script.append("error_after")
                ids.append((await p.place(number=f"0888464360{number}"))[1]["id"])
            await p.player.idle()
            sids = [p.at_exotel(id_) for id_ in ids]
            asked = p.exotel.requests.total()
            await p.look(61)
            assert p.exotel.requests.total() == asked + 1
            found = [await p.call(id_) for id_ in ids]
            assert [one["call_sid"] for one in found] == sids

    async def test_a_process_that_ended_in_between(self, tmp_path: Path) -> None:
        clock = ManualClock()
        async with placed(tmp_path, clock=clock) as p:
            p.exotel.sends_callbacks = False
            p.exotel_faults.only = "connect"
            p.exotel_faults.script.append("late")
            p.exotel_faults.slow_s, p.exotel_faults.effect_after_s = 30.0, 0.0
            placing = asyncio.create_task(p.place(key="k1"))

            async def begun() -> Any:
                return p.exotel.connects

            await p.until(begun)
            placing.cancel()
            exotel = p.exotel
        async with placed(tmp_path, clock=clock, exotel=exotel) as p:
            (row,) = await p.rows("select token from placement")
            status, body = await p.place(key="k1")
            assert (status, body) == (202, {"id": row["token"], "call_sid": None, "state": "unknown"})
            for call in exotel.dump()["calls"]:
                exotel.end_call(call["Sid"])
            await p.look(121)  # on PostgreSQL another replica might still be at it before
            assert (await p.call(row["token"]))["state"] == "placed"
            assert len(exotel.connects) == 1


async def test_what_was_asked_is_forgotten_with_the_calls(tmp_path: Path) -> None:
    async with placed(tmp_path) as p:
        _, body = await p.place(key="k1")
        await p.done(body["id"])
        tenant = p.app[DIRECTORIES].current.tenants[SID]
        retention = Retention(p.app[DATABASE], p.clock)
        p.clock.advance(89 * 86400)
        await retention.prune(tenant)
        assert (await p.call(body["id"]))["state"] == "placed"
        p.clock.advance(2 * 86400)
        await retention.prune(tenant)
        assert await p.rows("select * from placement") == []
        assert (await p.ask("GET", f"/api/v1/calls/{body['id']}"))[0] == 404
        assert (await p.ask("GET", f"/api/v1/calls/{body['call_sid']}?tenant={SID}"))[0] == 200, "its tombstone"
