"""Connect, details and bulk details, over sockets with the stand-in."""

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from connector.errors import CrmUnavailable, ExotelRefused, NotFound, OutcomeUnknown, RateLimited
from connector.exotel import parse_request
from connector.exotel.api import CallFilter, Exotel
from connector.kit.exotel import ExotelAccount, exotel_app
from connector.kit.exotel.account import Ending
from connector.kit.faults import Fault, Faults
from tests.exotel.conftest import AGENT, CUSTOMER, EXOPHONE, Purse, http
from tests.rig.listening import Server


class Heard:
    """A StatusCallback's receiver: requests as they came."""

    def __init__(self) -> None:
        self.requests: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()

    async def hear(self, request: web.Request) -> web.Response:
        await self.requests.put((request.headers["Content-Type"], await request.read()))
        return web.Response()

    async def wait_for(self, count: int) -> list[Any]:
        """The events of so many requests, as the connector reads them."""
        async with asyncio.timeout(20):
            came = [await self.requests.get() for _ in range(count)]
        return [
            parse_request(event="status", method="POST", query=[], content_type=content_type, body=body)
            for content_type, body in came
        ]


@pytest.fixture
async def heard() -> Any:
    receiver = Heard()
    app = web.Application()
    app.router.add_post("/status", receiver.hear)
    async with Server(app) as server:
        yield receiver, str(server.make_url("/status"))


async def test_connect_rings_agent_then_customer(exotel: Exotel, account: ExotelAccount, purse: Purse) -> None:
    call = await exotel.calls.connect(
        AGENT, CUSTOMER, EXOPHONE, custom_field="t-1", record=True, dual_channel=True, ring_s=30, max_retries=0
    )
    assert account.connects == [
        {
            "From": AGENT,
            "To": CUSTOMER,
            "CallerId": EXOPHONE,
            "Record": "true",
            "RecordingChannels": "dual",
            "MaxRetries": "0",
            "CallType": "trans",
            "CustomField": "t-1",
            "TimeOut": "30",
        }
    ]
    assert (call.agent_number, call.customer_number, call.exophone) == (AGENT, CUSTOMER, EXOPHONE)
    assert (call.status, call.direction, call.over, call.answered) == ("in-progress", "outbound", False, None)
    assert purse.spent == [0.0]  # somebody waits: nothing of the budget is left to others


@pytest.mark.parametrize("content_type", ["multipart/form-data", "application/json"])
@pytest.mark.parametrize(
    ("ending", "told", "answered"),
    [
        ("answered", 3, True),
        ("machine", 3, True),
        ("agent_no_answer", 1, False),
        ("agent_busy", 1, False),
        ("agent_hangup", 2, False),
        ("customer_busy", 2, False),
        ("customer_no_answer", 2, False),
        ("customer_failed", 2, False),
    ],
)
async def test_every_ending_is_told(
    exotel: Exotel, account: ExotelAccount, heard: Any, ending: Ending, told: int, answered: bool, content_type: Any
) -> None:
    receiver, url = heard
    account.ending = ending
    call = await exotel.calls.connect(
        AGENT, CUSTOMER, EXOPHONE, status_callback=url, callback_type=content_type, custom_field="t-1"
    )
    events = await receiver.wait_for(told)
    assert receiver.requests.empty()
    last = events[-1]
    assert last.event_type == "terminal"
    assert (last.call_sid, last.answered, last.custom_field) == (call.sid, answered, "t-1")
    assert (last.agent_number, last.customer_number, last.exophone) == (AGENT, CUSTOMER, EXOPHONE)
    record = await exotel.calls.get(call.sid)
    assert record.over
    assert record.answered is answered
    assert record.conversation_duration_s == (32 if answered else 0)


class TestConnectIsNeverRepeated:
    @pytest.mark.parametrize("fault", ["error_after", "error_before", "reset_after", "reset_before"])
    async def test_unsure(self, exotel: Exotel, account: ExotelAccount, faults: Faults, fault: Fault) -> None:
        faults.script.extend([fault, "ok"])
        with pytest.raises(OutcomeUnknown):
            await exotel.calls.connect(AGENT, CUSTOMER, EXOPHONE)
        assert sum(account.requests.values()) + faults.dealt["reset_before"] + faults.dealt["error_before"] == 1
        assert len(account.connects) == (1 if fault.endswith("after") else 0)

    async def test_an_answer_that_takes_too_long(
        self, exotel: Exotel, account: ExotelAccount, faults: Faults, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("connector.exotel.api.calls._CONNECT_ANSWER_S", 0.1)
        monkeypatch.setattr("connector.exotel.api.http._CONNECT_S", 0.1)
        faults.change({"script": ["late"], "effect_after_s": 0.0, "slow_s": 30.0})
        with pytest.raises(OutcomeUnknown):
            await exotel.calls.connect(AGENT, CUSTOMER, EXOPHONE)
        assert len(account.connects) == 1

    async def test_a_slow_answer_is_waited_for(self, exotel: Exotel, faults: Faults) -> None:
        faults.change({"script": ["late"], "effect_after_s": 0.0, "slow_s": 0.3})
        assert (await exotel.calls.connect(AGENT, CUSTOMER, EXOPHONE)).sid

    async def test_nobody_listens(self, sessions: aiohttp.ClientSession, purse: Purse) -> None:
        exotel = Exotel(http(sessions, "http://127.0.0.1:1", purse))
        with pytest.raises(CrmUnavailable):
            await exotel.calls.connect(AGENT, CUSTOMER, EXOPHONE)
        assert len(purse.spent) == 1

    async def test_the_limit(self, exotel: Exotel, account: ExotelAccount, purse: Purse) -> None:
        account.limit = 0
        with pytest.raises(RateLimited) as caught:
            await exotel.calls.connect(AGENT, CUSTOMER, EXOPHONE)
        assert caught.value.retry_after_s == 60
        assert purse.blocked_s == [60]
        assert account.connects == []

    @pytest.mark.parametrize(
        "body", [b"<html>busy</html>", b"{}", b'{"Call": {}}', b"[]", b"", b'{"Call": {"Sid": null}}']
    )
    async def test_a_success_that_names_no_call(self, answering: Any, body: bytes) -> None:
        exotel = await answering(200, body)
        with pytest.raises(OutcomeUnknown):
            await exotel.calls.connect(AGENT, CUSTOMER, EXOPHONE)


@pytest.mark.parametrize(
    "wrong", [{"ring_s": 61}, {"ring_s": 0}, {"time_limit_s": 14_401}, {"custom_field": "x" * 129}]
)
async def test_what_exotel_would_not_take(exotel: Exotel, account: ExotelAccount, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"most|characters"):
        await exotel.calls.connect(AGENT, CUSTOMER, EXOPHONE, **wrong)
    assert not account.requests


@pytest.mark.parametrize(
    ("change", "caller_id", "why"),
    [
        ({"is_kyc_done": False}, EXOPHONE, "kyc"),
        ({"is_active": False}, EXOPHONE, "inactive"),
        ({"has_credit": False}, EXOPHONE, "no_credit"),
        ({}, "+918000000000", "caller_id"),
        ({"dnd": {CUSTOMER}}, EXOPHONE, "dnd"),
    ],
)
@pytest.mark.parametrize("as_xml", [False, True])
async def test_refusals_are_told_apart(
    exotel: Exotel, account: ExotelAccount, change: dict[str, Any], caller_id: str, why: str, as_xml: bool
) -> None:
    account.xml_errors = as_xml
    for name, value in change.items():
        setattr(account, name, value)
    with pytest.raises(ExotelRefused) as caught:
        await exotel.calls.connect(AGENT, CUSTOMER, caller_id)
    assert caught.value.why == why
    assert CUSTOMER[3:] not in caught.value.message
    assert account.connects == []


async def test_bad_number(exotel: Exotel) -> None:
    with pytest.raises(ExotelRefused) as caught:
        await exotel.calls.connect("12", CUSTOMER, EXOPHONE)
    assert caught.value.why in ("number", "parameter")


class TestDetails:
    @pytest.mark.parametrize(
        ("facts", "answered", "agent"),
        [
            ({}, True, AGENT),
            ({"ending": "missed"}, False, AGENT),
            ({"ending": "busy"}, False, AGENT),
            ({"ending": "caller_gone"}, False, AGENT),
            ({"ending": "voicemail"}, False, None),
            ({"agent": "sip:asha"}, True, "sip:asha"),
        ],
    )
    async def test_inbound(
        self, exotel: Exotel, account: ExotelAccount, facts: dict[str, Any], answered: bool, agent: str | None
    ) -> None:
        record = await exotel.calls.get(account.add_call(facts))
        assert record.status == "completed"
        assert (record.direction, record.answered, record.over) == ("inbound", answered, True)
        assert (record.customer_number, record.agent_number, record.exophone) == (CUSTOMER, agent, EXOPHONE)

    async def test_a_record_settles(self, exotel: Exotel, account: ExotelAccount) -> None:
        now = 1_750_000_000.0
        account.clock = lambda: now
        sid = account.add_call({"created_at": now - 50, "talk_s": 32, "settle_s": 120})
        young = await exotel.calls.get(sid)
        assert (young.status, young.ended_at, young.duration_s, young.answered) == (None, None, None, None)
        assert (young.to_number, young.agent_number) == (EXOPHONE, None)
        now += 120
        settled = await exotel.calls.get(sid)
        assert (settled.answered, settled.duration_s, settled.conversation_duration_s) == (True, 40, 32)
        assert settled.to_number == AGENT
        assert settled.started_at == datetime.fromtimestamp(1_749_999_950, UTC)
        assert settled.ended_at == datetime.fromtimestamp(1_749_999_990, UTC)

    async def test_a_record_that_never_settles(self, exotel: Exotel, account: ExotelAccount) -> None:
        record = await exotel.calls.get(account.add_call({"settle_s": None}))
        assert (record.status, record.ended_at, record.answered) == ("completed", None, None)
        assert record.recording_url is not None

    async def test_unknown(self, exotel: Exotel) -> None:
        with pytest.raises(NotFound):
            await exotel.calls.get("0" * 32)

    async def test_a_signed_link_is_not_kept(self, exotel: Exotel, account: ExotelAccount) -> None:
        account.signed_links = True
        record = await exotel.calls.get(account.add_call(), link_valid_min=60)
        assert record.signed_recording_url is not None
        assert "Signature" not in json.dumps(dict(record.raw))
        assert "Signature" not in repr(record)
        assert CUSTOMER[3:] not in repr(record)

    async def test_a_reading_is_repeated(self, exotel: Exotel, account: ExotelAccount, faults: Faults) -> None:
        sid = account.add_call()
        faults.script.extend(["error_before", "reset_before"])
        assert (await exotel.calls.get(sid)).sid == sid

    @pytest.mark.parametrize("minutes", [4, 61])
    async def test_the_life_of_a_link(self, exotel: Exotel, minutes: int) -> None:
        with pytest.raises(ValueError, match="5 to 60"):
            await exotel.calls.get("0" * 32, link_valid_min=minutes)


class TestBulk:
    async def test_ten_thousand_calls_in_a_hundred_pages(
        self, sessions: aiohttp.ClientSession, purse: Purse, account: ExotelAccount
    ) -> None:
        account.limit = 1000
        begin = time.time() - 86_400
        added = [account.add_call({"created_at": begin + i % 5000, "talk_s": 5}) for i in range(10_000)]
        async with Server(exotel_app(account)) as server:
            exotel = Exotel(http(sessions, str(server.make_url("")).rstrip("/"), purse), "reconcile")
            wanted = CallFilter(created_from=datetime.fromtimestamp(begin - 60, UTC), created_until=datetime.now(UTC))
            found = [call async for page in exotel.calls.pages(wanted) for call in page.calls]
        assert len(found) == 10_000
        assert {call.sid for call in found} == set(added)
        assert [call.created_at for call in found] == sorted(call.created_at for call in found if call.created_at)
        assert len(purse.spent) == 100
        assert set(purse.spent) == {0.2}

    async def test_newest_first_and_a_cursor_that_is_kept(self, exotel: Exotel, account: ExotelAccount) -> None:
        now = time.time()
        added = [account.add_call({"created_at": now - 1000 + i}) for i in range(25)]
        wanted = CallFilter(oldest_first=False)
        first = await exotel.calls.page(wanted, page_size=10)
        assert first.total == 25
        assert first.cursor is not None
        account.add_call({"created_at": now - 100})  # a new call moves no page
        second = await exotel.calls.page(CallFilter(), cursor=first.cursor, page_size=10)
        third = await exotel.calls.page(CallFilter(), cursor=second.cursor, page_size=10)
        assert third.cursor is None
        assert [call.sid for page in (first, second, third) for call in page.calls] == added[::-1]

    async def test_lists_of_calls(self, exotel: Exotel, account: ExotelAccount) -> None:
        sids = [account.add_call({"created_at": time.time() - 4_000 - i}) for i in range(100)]
        page = await exotel.calls.page(CallFilter(sids=(*sids[:99], "0" * 32)))
        assert {call.sid for call in page.calls} == set(sids[:99])
        assert all(call.has_details for call in page.calls)

    async def test_running_calls_are_not_listed(self, exotel: Exotel, account: ExotelAccount) -> None:
        sid = account.add_call({"running": True})
        assert (await exotel.calls.page(CallFilter())).calls == ()
        account.end_call(sid)
        assert [call.sid for call in (await exotel.calls.page(CallFilter())).calls] == [sid]

    async def test_filters(self, exotel: Exotel, account: ExotelAccount) -> None:
        other = "+919900000001"
        mine = account.add_call({"direction": "outbound-api", "agent": AGENT, "customer": other, "ending": "busy"})
        account.add_call({})
        account.add_call({"direction": "outbound-api", "agent": AGENT, "customer": CUSTOMER})
        for wanted in (
            CallFilter(to=[other]),
            CallFilter(from_=[AGENT], to=[other, "+919900000002"]),
            CallFilter(statuses=["busy", "no-answer"]),
            CallFilter(exophones=[EXOPHONE], directions=["outbound-api"], to=[other]),
        ):
            assert [call.sid for call in (await exotel.calls.page(wanted)).calls] == [mine]

    def test_more_than_exotel_takes(self) -> None:
        now = datetime.now(UTC)
        for wrong in (
            {"sids": ["x" * 32] * 101},
            {"to": [CUSTOMER] * 6},
            {"created_from": now.replace(tzinfo=None)},
            {"created_from": now - timedelta(days=32), "created_until": now},
            {"created_from": now, "created_until": now - timedelta(days=1)},
            {"statuses": ["busy,failed"]},
            {"sids": [""]},
        ):
            with pytest.raises(ValueError, match=r".+"):
                CallFilter(**wrong)

    def test_the_window_is_indian_time(self) -> None:
        begin = datetime(2026, 1, 31, 20, 0, tzinfo=UTC)
        wanted = CallFilter(created_from=begin, created_until=begin + timedelta(hours=1))
        assert wanted.query()["DateCreated"] == "gte:2026-02-01 01:30:00;lte:2026-02-01 02:30:00"

    @pytest.mark.parametrize(
        "uri",
        [
            "https://evil.example/v1/Accounts/acme1/Calls.json?After=x",
            "//evil.example/v1/Accounts/acme1/Calls.json?After=x",
            "/v1/Accounts/other/Calls.json?After=x",
            "/v1/Accounts/acme1/Calls/../../x?After=x",
        ],
    )
    async def test_a_page_leads_nowhere_else(self, answering: Any, uri: str) -> None:
        exotel = await answering(200, json.dumps({"Metadata": {"NextPageUri": uri}, "Calls": []}).encode())
        with pytest.raises(CrmUnavailable, match="another address"):
            await exotel.calls.page(CallFilter())

    async def test_a_circle_ends(self, answering: Any) -> None:
        uri = "/v1/Accounts/acme1/Calls.json?After=x&amp;details=true"
        exotel = await answering(200, json.dumps({"Metadata": {"NextPageUri": uri}, "Calls": []}).encode())
        assert len([page async for page in exotel.calls.pages(CallFilter())]) == 2

    async def test_xml_as_the_seed_has_it(self, answering: Any) -> None:
        call = "<Call><Sid>b6cf</Sid><To>0XXXXX30240</To><From>09876543210</From><Duration>17</Duration><Price/>"
        details = (
            "<Details><ConversationDuration>8</ConversationDuration><Legs><Leg><Id>1</Id><OnCallDuration>21"
            "</OnCallDuration></Leg><Leg><Id>2</Id><OnCallDuration>8</OnCallDuration></Leg></Legs></Details></Call>"
        )
        about = "<Metadata><Total>2</Total><NextPageUri/></Metadata>"
        rows = f"{about}{call}{details}{call}</Call>"
        body = f'<?xml version="1.0" encoding="UTF-8"?> <TwilioResponse>{rows}</TwilioResponse>'
        page = await (await answering(200, body.encode())).calls.page(CallFilter())
        assert len(page.calls) == 2
        first = page.calls[0]
        assert (first.answered, first.duration_s, first.price, first.from_number) == (True, 17, None, CUSTOMER)
        assert [leg.on_call_duration_s for leg in first.legs] == [21, 8]


class TestRecordingOnDemand:
    async def test_start_and_stop(self, exotel: Exotel, account: ExotelAccount) -> None:
        sid = account.add_call({"running": True})
        await exotel.calls.start_recording(sid, dual_channel=True, first_leg_only=True)
        await exotel.calls.stop_recording(sid)
        start = {"Action": "START", "RecordingChannels": "dual", "Leg1Recording": "True"}
        assert account.recording_requests == [(sid, start), (sid, {"Action": "STOP"})]

    async def test_too_late(self, exotel: Exotel, account: ExotelAccount) -> None:
        with pytest.raises(ExotelRefused) as caught:
            await exotel.calls.start_recording(account.add_call())
        assert caught.value.why == "not_running"
