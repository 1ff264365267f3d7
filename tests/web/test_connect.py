"""Whom a Connect applet rings, over sockets: owner, sticky agent, group, fallback, whatever others do meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from connector.pipeline.applets import lines, routing
from connector.web import applets
from connector.web.keys import DATABASE, DIRECTORIES, PIPELINE
from tests.web.stubs import basic
from tests.web.switchboard import (
    ASHA,
    BINA,
    CALLER,
    CHETAN,
    EXOPHONE,
    FRONT_DESK,
    HOOK,
    PUBLIC,
    SID,
    Switchboard,
    switchboard,
    user,
    users_of,
)

BUDGET = (routing.WAIT_S, applets._ANSWERED_S)
GROUP = {"group": [BINA, CHETAN]}


@pytest.fixture
async def board(tmp_path: Path) -> AsyncIterator[Switchboard]:
    async with switchboard(tmp_path, connect=GROUP) as board:
        yield board


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Others are waited for as long as this machine may need; from the call on, for a fifth of a second."""
    monkeypatch.setattr(applets, "_ANSWERED_S", 60.0)
    monkeypatch.setattr(applets, "WAIT_S", 30.0)
    return lambda: monkeypatch.setattr(applets, "WAIT_S", 0.2)


def owned(board: Switchboard, place: int = 0) -> dict[str, Any]:
    """The caller's contact in HubSpot, which belongs to one of its users (the first is Asha)."""
    properties = {"lastname": "Rao", "phone": "+918884643606", "hubspot_owner_id": users_of(board.crm)[place]}
    row: dict[str, Any] = board.crm.add("contacts", properties, indexed=True)
    return row


def numbers(answer: dict[str, Any]) -> list[str]:
    found: list[str] = answer["destination"]["numbers"]
    return found


async def rung(board: Switchboard, call_sid: str = "c1") -> list[list[str]]:
    """All answers of one call where nobody ever picks up, as Exotel asks for them."""
    answer = await board.answer(call_sid=call_sid)
    answers = [numbers(answer)]
    while answer["fetch_after_attempt"]:
        answer = await board.failed(numbers(answer)[-1], call_sid)
        if numbers(answer) == answers[-1]:
            break  # Exotel asks no further (docs/reference/exotel-flows.md §5.6)
        answers.append(numbers(answer))
        assert len(answers) < 10
    return answers


class TestAnswer:
    async def test_is_exactly_what_exotel_takes(self, board: Switchboard) -> None:
        owned(board)
        assert await board.answer() == {
            "fetch_after_attempt": True,
            "destination": {"numbers": [ASHA]},
            "record": False,
            "recording_channels": "single",
            "max_ringing_duration": 30,
            "max_conversation_duration": 900,
            "dial_passthru_event_url": f"{PUBLIC}/h/{HOOK}/pop",
        }

    async def test_with_all_that_a_tenant_may_say(self, tmp_path: Path) -> None:
        said = {
            **GROUP,
            "popups": False,
            "outgoing_phone_number": EXOPHONE,
            "record": True,
            "recording_channels": "dual",
            "max_ringing_duration": 45,
            "max_conversation_duration": 3600,
            "music_on_hold": {"type": "operator_tone"},
            "start_call_playback": {"playback_to": "both", "type": "text", "value": "A call from {{ number }}"},
        }
        async with switchboard(tmp_path, connect=said, mask={"customer_numbers": "last_4"}) as board:
            assert await board.answer() == {
                "fetch_after_attempt": True,
                "destination": {"numbers": [BINA]},
                "outgoing_phone_number": "+918047494574",
                "record": True,
                "recording_channels": "dual",
                "max_ringing_duration": 45,
                "max_conversation_duration": 3600,
                "music_on_hold": {"type": "operator_tone"},
                "start_call_playback": {"playback_to": "both", "type": "text", "value": "A call from …3606"},
            }

    async def test_nothing_is_stored(self, board: Switchboard) -> None:
        await board.answer()
        for table in ("call", "event", "delivery", "contact"):
            query = f"select count(*) from {table}"
            found = await board.app[DATABASE].read(lambda sql, query: sql.exec_driver_sql(query).scalar(), query)
            assert found == 0, table


class TestWhoIsRung:
    async def test_the_owner_then_the_group_then_the_fallback(self, board: Switchboard) -> None:
        owned(board)
        assert await rung(board) == [[ASHA], [BINA], [CHETAN], [FRONT_DESK]]

    async def test_nobody_twice(self, board: Switchboard) -> None:
        owned(board, 1)
        assert await rung(board) == [[BINA], [CHETAN], [FRONT_DESK]]

    async def test_a_stranger_gets_the_group(self, board: Switchboard) -> None:
        assert await rung(board) == [[BINA], [CHETAN], [FRONT_DESK]]

    async def test_an_owner_without_a_number_is_nobody(self, board: Switchboard) -> None:
        owned(board)
        connection = {**board.tenant["connections"][0], "agents": []}
        await board.change(connections=[connection])
        assert (await rung(board))[0] == [BINA]

    async def test_an_agent_who_calls_is_not_rung(self, board: Switchboard) -> None:
        answer = await board.answer(CallFrom=BINA, From=BINA)
        assert numbers(answer) == [CHETAN]

    async def test_a_tenant_without_a_group_or_crm(self, tmp_path: Path) -> None:
        async with switchboard(tmp_path, connections=[]) as board:
            answer = await board.answer()
            assert (numbers(answer), answer["fetch_after_attempt"]) == ([FRONT_DESK], False)

    @pytest.mark.parametrize("crm", ["freshsales", "zoho_crm"])
    async def test_owners_of_other_crms(self, tmp_path: Path, crm: str) -> None:
        async with switchboard(tmp_path, crm, connect=GROUP) as board:
            first = users_of(board.crm)[0]
            if crm == "freshsales":
                person = {"last_name": "Rao", "mobile_number": "8884643606", "owner_id": int(first)}
                board.crm.add("contact", person, indexed=True)
            else:
                person = {"Last_Name": "Rao", "Phone": "08884643606", "Owner": {"id": first}}
                board.crm.add("Contacts", person, indexed=True)
            assert await rung(board) == [[ASHA], [BINA], [CHETAN], [FRONT_DESK]]

    async def test_a_crm_whose_contacts_belong_to_nobody(self, tmp_path: Path) -> None:
        async with switchboard(tmp_path, "freshdesk", connect=GROUP) as board:
            assert (await rung(board))[0] == [BINA]
            assert not board.crm.requests

    @pytest.mark.usefixtures("both_databases")
    async def test_the_contact_is_kept_for_the_calls_deliveries(self, board: Switchboard) -> None:
        owned(board)
        await board.answer()
        asked = sum(board.crm.requests.values())
        assert asked == 2  # search, contact
        missed = {"CallFrom": CALLER, "From": CALLER, "To": EXOPHONE, "CallType": "incomplete", "Direction": "incoming"}
        await board.event("missed", "c1", **missed, DialCallStatus="no-answer")
        await board.until_folded("c1")
        assert not [path for path in board.crm.requests if "search" in path and board.crm.requests[path] > 1]


@pytest.mark.usefixtures("both_databases")
class TestSticky:
    async def talked(self, board: Switchboard, number: str, call_sid: str = "earlier") -> None:
        """An answered call of the caller's and this agent's, as the passthru tells of it."""
        local = f"0{number[3:]}"
        facts = {"CallFrom": CALLER, "From": CALLER, "To": EXOPHONE, "Direction": "incoming", "CallType": "completed"}
        legs = {"Legs[0][Number]": local, "Legs[0][OnCallDuration]": "21"}
        await board.event("answered", call_sid, **facts, DialCallStatus="completed", DialWhomNumber=local, **legs)
        await board.until_folded(call_sid)

    async def test_who_talked_to_the_caller_last_is_rung_first(self, board: Switchboard) -> None:
        await self.talked(board, CHETAN)
        assert await rung(board) == [[CHETAN], [BINA], [FRONT_DESK]]
        await self.talked(board, BINA, "later")
        assert (await rung(board, "c2"))[0] == [BINA]

    async def test_the_owner_comes_before(self, board: Switchboard) -> None:
        owned(board)
        await self.talked(board, CHETAN)
        assert await rung(board) == [[ASHA], [CHETAN], [BINA], [FRONT_DESK]]

    async def test_who_is_no_agent_any_more_is_left_in_peace(self, board: Switchboard) -> None:
        await self.talked(board, "+919711581199")
        assert (await rung(board))[0] == [BINA]

    async def test_only_for_the_days_that_the_tenant_says(self, board: Switchboard) -> None:
        await self.talked(board, CHETAN)
        board.clock.advance(31 * 24 * 3600)
        assert (await rung(board))[0] == [BINA]

    async def test_another_callers_agent_is_not_mine(self, board: Switchboard) -> None:
        await self.talked(board, CHETAN)
        assert numbers(await board.answer(CallFrom="09777773606", From="09777773606")) == [BINA]


class TestDevices:
    async def test_who_is_off_or_busy_is_skipped(self, board: Switchboard) -> None:
        owned(board)
        board.exotel.users = [user(ASHA, on=False), user(BINA, status="busy"), user(CHETAN)]
        assert await rung(board) == [[CHETAN], [FRONT_DESK]]

    async def test_where_nobody_is_left_the_fallback_is_rung(self, board: Switchboard) -> None:
        board.exotel.users = [user(number, on=False) for number in (ASHA, BINA, CHETAN)]
        answer = await board.answer()
        assert (numbers(answer), answer["fetch_after_attempt"]) == ([FRONT_DESK], False)

    async def test_who_is_on_another_call_is_busy_and_on_this_one_is_not(self, board: Switchboard) -> None:
        board.exotel.users = [user(BINA, call="another"), user(CHETAN, call="c1")]
        assert await rung(board) == [[CHETAN], [FRONT_DESK]]

    async def test_a_device_that_is_on_instead_is_rung(self, board: Switchboard) -> None:
        bina = user(BINA, on=False)
        sip = {"id": 9, "name": "sip", "contact_uri": "sip:bina9", "type": "sip", "verified": True}
        bina["devices"].append({**sip, "available": True, "status": "free"})
        board.exotel.users = [bina]
        assert (await rung(board))[0] == ["sip:bina9"]

    async def test_who_becomes_free_is_rung_by_a_later_attempt(self, board: Switchboard) -> None:
        board.exotel.users = [user(BINA, status="busy"), user(CHETAN)]
        assert numbers(await board.answer()) == [CHETAN]
        board.exotel.users = [user(BINA), user(CHETAN, status="busy")]
        board.clock.advance(6)
        assert numbers(await board.failed(CHETAN)) == [BINA]

    async def test_the_list_of_users_is_asked_for_every_few_seconds_only(self, board: Switchboard) -> None:
        for number in range(20):
            await board.answer(call_sid=f"c{number}")
        assert sum(board.exotel.requests.values()) == 1
        board.clock.advance(6)
        await board.answer(call_sid="later")
        assert sum(board.exotel.requests.values()) == 2

    @pytest.mark.parametrize("fault", ["error_before", "reset_before", "slow"])
    async def test_where_exotel_does_not_tell_everybody_is_rung(
        self, board: Switchboard, impatient: Callable[[], None], fault: Any
    ) -> None:
        impatient()
        board.exotel_faults.odds = {fault: 1.0}
        assert await rung(board) == [[BINA], [CHETAN], [FRONT_DESK]]


class TestSlowCrm:
    async def looked_up(self, board: Switchboard) -> None:
        """Returns once no CRM is being asked any more."""
        kept = board.app[PIPELINE].routing._owners._owners
        await board.until(lambda: not kept._running)

    async def test_the_caller_does_not_wait_and_the_next_attempt_knows(
        self, board: Switchboard, impatient: Callable[[], None]
    ) -> None:
        impatient()
        owned(board)
        board.crm_faults.latency_s = 0.3
        answer = await asyncio.wait_for(board.answer(), 10)
        assert (numbers(answer), answer["fetch_after_attempt"]) == ([BINA], True)
        await self.looked_up(board)
        assert numbers(await board.failed(BINA)) == [ASHA]

    async def test_what_was_known_is_good_enough(self, board: Switchboard, impatient: Callable[[], None]) -> None:
        owned(board)
        assert numbers(await board.answer()) == [ASHA]
        impatient()
        board.crm_faults.odds = {"slow": 1.0}
        board.clock.advance(3600)
        assert numbers(await asyncio.wait_for(board.answer(call_sid="c2"), 10)) == [ASHA]

    @pytest.mark.parametrize("fault", ["error_before", "reset_before", "rate_limited", "slow"])
    async def test_a_broken_crm_costs_the_owner_alone(
        self, board: Switchboard, impatient: Callable[[], None], fault: Any
    ) -> None:
        impatient()
        owned(board)
        board.crm_faults.odds = {fault: 1.0}
        assert numbers(await asyncio.wait_for(board.answer(), 10)) == [BINA]

    async def test_an_account_that_is_paused_or_broken_is_not_asked(self, board: Switchboard) -> None:
        owned(board)
        (connection,) = board.app[DIRECTORIES].current.connections.values()
        board.app[PIPELINE].accounts.gate(connection).pause("a new key is needed")
        assert numbers(await board.answer()) == [BINA]
        assert not board.crm.requests

    async def test_the_last_answer_again_where_the_crm_knew_nobody_after_all(
        self, tmp_path: Path, impatient: Callable[[], None]
    ) -> None:
        impatient()
        async with switchboard(tmp_path) as board:
            board.crm_faults.latency_s = 0.3
            first = await board.answer()
            assert (numbers(first), first["fetch_after_attempt"]) == ([FRONT_DESK], True)
            await self.looked_up(board)
            second = await board.failed(FRONT_DESK)
            assert (numbers(second), second["fetch_after_attempt"]) == ([FRONT_DESK], False)


async def test_hooks_are_acknowledged_while_callers_wait_for_slow_crms(tmp_path: Path) -> None:
    async with switchboard(tmp_path, "freshsales", connect=GROUP) as board:
        board.crm_faults.odds = {"slow": 1.0}
        callers = [f"0888464{number:04d}" for number in range(30)]
        waiting = [
            asyncio.create_task(board.answer(call_sid=f"w{place}", CallFrom=caller, From=caller))
            for place, caller in enumerate(callers)
        ]
        await board.until(lambda: board.crm_faults.dealt["slow"] == len(callers))
        for number in range(50):
            await board.event("pop", f"p{number}", From=CALLER, DialWhomNumber=BINA, Status="busy")
        assert not [task for task in waiting if task.done()], "callers still wait, and hooks were acknowledged"
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


class TestOneCall:
    async def test_requests_at_once_share_one_answer(self, board: Switchboard) -> None:
        owned(board)
        answers = await asyncio.gather(*(board.answer() for _ in range(20)))
        assert answers == [answers[0]] * 20
        assert numbers(answers[0]) == [ASHA]
        assert sum(board.crm.requests.values()) == 2
        again = await asyncio.gather(*(board.failed(ASHA) for _ in range(20)))
        assert [numbers(answer) for answer in again] == [[BINA]] * 20

    async def test_a_repeated_request_moves_nobody_on(self, board: Switchboard) -> None:
        assert [numbers(await board.answer()) for _ in range(3)] == [[BINA]] * 3
        assert [numbers(await board.failed(BINA)) for _ in range(3)] == [[CHETAN]] * 3

    async def test_a_client_that_goes_away_takes_nobodys_answer(self, board: Switchboard) -> None:
        board.crm_faults.latency_s = 0.1
        owned(board)
        gone = asyncio.create_task(board.answer())
        await asyncio.sleep(0.05)
        gone.cancel()
        assert numbers(await board.answer()) == [ASHA]

    async def test_calls_are_apart(self, board: Switchboard) -> None:
        await board.answer()
        assert numbers(await board.failed(BINA)) == [CHETAN]
        assert numbers(await board.answer(call_sid="c2")) == [BINA]

    async def test_what_the_request_tells_counts_where_this_process_knows_nothing(self, board: Switchboard) -> None:
        """Another replica answered before, or this one was started anew."""
        assert numbers(await board.failed(BINA)) == [CHETAN]
        legs = {"Legs[0][Number]": f"0{BINA[3:]}", "Legs[1][Number]": f"0{CHETAN[3:]}"}
        assert numbers(await board.failed(CHETAN, "c2", **legs)) == [FRONT_DESK]

    async def test_a_flow_that_comes_by_once_more_begins_anew(self, board: Switchboard) -> None:
        assert await rung(board) == [[BINA], [CHETAN], [FRONT_DESK]]
        assert numbers(await board.failed(FRONT_DESK, DialCallDuration="90")) == [BINA]
        assert numbers(await board.failed(BINA, DialCallDuration="120")) == [CHETAN]

    async def test_an_earlier_conversation_of_the_call_is_no_failed_attempt(self, board: Switchboard) -> None:
        answer = await board.failed(BINA, status="completed", CallType="completed")
        assert numbers(answer) == [BINA]

    async def test_all_in_one_answer(self, tmp_path: Path) -> None:
        async with switchboard(tmp_path, connect={**GROUP, "fetch_after_attempt": False}) as board:
            owned(board)
            answer = await board.answer()
            assert (numbers(answer), answer["fetch_after_attempt"]) == ([ASHA, BINA, CHETAN, FRONT_DESK], False)

    async def test_all_at_once(self, tmp_path: Path) -> None:
        parallel = {**GROUP, "parallel_ringing": {"max_parallel_attempts": 4}}
        async with switchboard(tmp_path, connect=parallel) as board:
            owned(board)
            first, second = await board.answer(), await board.failed(ASHA)
            assert "parallel_ringing" not in first
            assert numbers(second) == [BINA, CHETAN]
            assert second["parallel_ringing"] == {"activate": True, "max_parallel_attempts": 4}
            assert numbers(await board.failed(CHETAN)) == [FRONT_DESK]
            connect = {"main": {"fallback": [FRONT_DESK], **parallel, "fetch_after_attempt": False}}
            await board.change(applets={"connect": connect})
            assert numbers(await board.answer(call_sid="c2")) == [ASHA, BINA, CHETAN]


HOSTILE = [
    {"CallFrom": "", "From": ""},
    {"CallFrom": "null", "From": "anonymous"},
    {"CallFrom": "'; drop table call; --", "From": "'"},
    {"CallFrom": "<script>alert(1)</script>", "From": "{{ 7 * 7 }}"},
    {"CallFrom": "9" * 5000, "From": "+" * 99},
    {"CallFrom": "\x00\r\nX: 1", "From": "\ud7ff"},
    {"DialWhomNumber": "%00", "DialCallStatus": "✂", "Legs": "[[[[", "DialCallDuration": "NaN"},
    {"Legs[999999999][Number]": "1", "Legs[x][y][z]": "2", "Legs": '{"Number": {"a": []}}'},
    {"CustomField": "https://evil.example/x.wav", "digits": '"' * 100},
    {"To": "sip:a@b", "CallTo": "", "Direction": "outbound-dial"},
]


class TestHostile:
    @pytest.mark.parametrize("params", HOSTILE)
    async def test_somebody_is_rung_all_the_same(self, board: Switchboard, params: dict[str, str]) -> None:
        answer = await board.answer(**params)
        assert numbers(answer) == [BINA]

    async def test_without_a_call_one_answer_names_everybody(self, board: Switchboard) -> None:
        answer = await (await board.get("connect", call_sid=None)).json()
        assert (numbers(answer), answer["fetch_after_attempt"]) == ([BINA, CHETAN, FRONT_DESK], False)

    async def test_a_query_that_cannot_be_read(self, board: Switchboard) -> None:
        async with board.client.get(f"/h/{HOOK}/connect?CallSid=c1&{'a=1&' * 2000}") as answer:
            assert answer.status == 200
            assert numbers(await answer.json()) == [BINA, CHETAN, FRONT_DESK]

    async def test_a_mistyped_name_rings_somebody(self, board: Switchboard) -> None:
        assert numbers(await board.answer(name="mian")) == [BINA]

    async def test_a_new_name_is_known_at_once(self, board: Switchboard) -> None:
        connect = {**board.tenant["applets"]["connect"], "night": {"fallback": [CHETAN]}}
        await board.change(applets={"connect": connect})
        assert numbers(await board.answer(name="night")) == [CHETAN]
        assert numbers(await board.answer(name="main", call_sid="c2")) == [BINA]

    async def test_a_failing_store_and_a_failing_choice(
        self, board: Switchboard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def broken(*_args: Any) -> Any:
            raise RuntimeError("a mistake of ours")

        monkeypatch.setattr(lines.Lines, "find", broken)
        assert numbers(await board.answer()) == [FRONT_DESK]


@asynccontextmanager
async def asked(board: Switchboard, path: str, method: str = "GET", **how: Any) -> AsyncIterator[Any]:
    async with board.client.request(method, path, **how) as answer:
        yield answer


class TestOrigin:
    async def test_credentials_or_a_hook_token(self, board: Switchboard) -> None:
        query = {"CallSid": "c1", "From": CALLER}
        path = f"/v2/accounts/{SID}/connect"
        async with asked(board, path, params=query, headers=basic("demo_key", "demo_token")) as answer:
            assert (answer.status, numbers(await answer.json())) == (200, [BINA])
        for headers in ({}, basic("demo_key", "wrong"), basic("wrong", "demo_token")):
            async with asked(board, path, params=query, headers=headers) as answer:
                assert answer.status == 401
                assert answer.headers["WWW-Authenticate"].startswith("Basic")
                assert (await answer.json())["error"]["code"] == "unauthorized"
        async with asked(board, "/h/not-the-token/connect", params=query) as answer:
            assert answer.status == 404
        async with asked(board, "/v2/accounts/nobody/connect", params=query) as answer:
            assert answer.status == 401

    async def test_open_to_ranges_and_never_to_anyone(self, board: Switchboard) -> None:
        path, query = f"/v2/accounts/{SID}/connect", {"CallSid": "c1"}
        await board.change(ingress={"open": True, "allow_from": ["127.0.0.0/8"]})
        async with asked(board, path, params=query) as answer:
            assert answer.status == 200
        await board.change(ingress={"open": True, "allow_from": ["203.0.113.0/24"]})
        async with asked(board, path, params=query) as answer:
            assert answer.status == 401
        await board.change(ingress={"open": True, "allow_from": ["anyone"]})
        async with asked(board, path, params=query) as answer:
            assert answer.status == 401
            assert (await answer.json())["error"]["code"] == "unauthorized"
        async with asked(board, path, params=query, headers=basic("demo_key", "demo_token")) as answer:
            assert answer.status == 200

    async def test_an_applet_that_the_tenant_does_not_have(self, board: Switchboard) -> None:
        await board.change(applets={"greeting": {"hello": {"text": "Welcome."}}})
        async with asked(board, f"/h/{HOOK}/connect", params={"CallSid": "c1"}) as answer:
            assert answer.status == 404
            assert (await answer.json())["error"] == {
                "code": "unknown_applet",
                "message": "The account has no connect applet; or several: say ?name=.",
                "field": "name",
            }

    @pytest.mark.parametrize("body", [{"data": {"CallSid": "c1"}}, {"json": {"CallSid": "c1", "From": CALLER}}])
    async def test_post(self, board: Switchboard, body: dict[str, Any]) -> None:
        async with asked(board, f"/h/{HOOK}/connect", "POST", **body) as answer:
            assert (answer.status, numbers(await answer.json())) == (200, [BINA])

    async def test_head_has_no_effect(self, board: Switchboard) -> None:
        owned(board)
        async with asked(board, f"/h/{HOOK}/connect", "HEAD", params={"CallSid": "c1", "From": CALLER}) as answer:
            assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
            assert await answer.read() == b""
        assert not board.crm.requests
        assert numbers(await board.answer()) == [ASHA]

    @pytest.mark.parametrize("version", ["1.0", "1", "2.0", "x\ty"])
    async def test_every_version_is_answered_in_the_one_that_is_documented(
        self, board: Switchboard, version: str
    ) -> None:
        async with asked(
            board, f"/h/{HOOK}/connect", params={"CallSid": "c1"}, headers={"Exotel-Version": version}
        ) as answer:
            assert (answer.status, answer.headers["Exotel-Version"]) == (200, "1.0")


def test_the_budget_ends_before_two_seconds() -> None:
    assert BUDGET[0] < BUDGET[1] < 2.0
