"""The stand-in of Exotel is as strict as its reference: who may come in, what is refused, how recordings are had."""

from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from connector.exotel.api.hosts import basic
from connector.exotel.recordings import allowed
from connector.kit.exotel import ExotelAccount, exotel_app
from connector.kit.exotel.files import sound
from tests.exotel.conftest import AGENT, CUSTOMER, EXOPHONE, KEY, SID, TOKEN
from tests.rig.listening import Server

GOOD = basic(SecretStr(KEY), SecretStr(TOKEN))
V1 = f"/v1/Accounts/{SID}"
CONNECT = {"From": AGENT, "To": CUSTOMER, "CallerId": EXOPHONE}
CALLBACK = {**CONNECT, "StatusCallback": "http://127.0.0.1:1/x"}


async def sent(
    client: aiohttp.ClientSession, method: str, url: str, auth: str | None = GOOD, headers: Any = None, **how: Any
) -> tuple[int, str]:
    headers = {**({"Authorization": auth} if auth else {}), **(headers or {})}
    async with client.request(method, url, headers=headers, allow_redirects=False, **how) as answer:
        return answer.status, await answer.text(errors="replace")


class TestTheDoor:
    @pytest.mark.parametrize(
        ("auth", "sid", "status", "words"),
        [
            (GOOD, SID, 200, SID),
            (None, SID, 401, "Authentication is required"),
            (basic(SecretStr(KEY), SecretStr("wrong")), SID, 401, "34010"),
            (GOOD, "stranger", 404, "Not Found"),
        ],
    )
    async def test_who_may_come_in(
        self, sessions: aiohttp.ClientSession, standin: str, auth: str | None, sid: str, status: int, words: str
    ) -> None:
        found, body = await sent(sessions, "GET", f"{standin}/v1/Accounts/{sid}.json", auth)
        assert found == status
        assert words in body

    async def test_the_other_region_does_not_know_it(
        self, sessions: aiohttp.ClientSession, account: ExotelAccount
    ) -> None:
        async with Server(exotel_app(account, region="mumbai")) as server:
            status, _ = await sent(sessions, "GET", str(server.make_url(f"{V1}.json")))
        assert status == 404

    async def test_the_limit_is_of_any_minute(
        self, sessions: aiohttp.ClientSession, standin: str, account: ExotelAccount
    ) -> None:
        now = 1_750_000_000.0
        account.clock = lambda: now
        account.limit = 3
        sid = account.add_call()
        got = [(await sent(sessions, "GET", f"{standin}{V1}/Calls/{sid}.json"))[0] for _ in range(4)]
        assert got == [200, 200, 200, 429]
        now += 60
        assert (await sent(sessions, "GET", f"{standin}{V1}/Calls/{sid}.json"))[0] == 200

    async def test_xml_unless_json_is_asked(
        self, sessions: aiohttp.ClientSession, standin: str, account: ExotelAccount
    ) -> None:
        sid = account.add_call()
        _, found = await sent(sessions, "GET", f"{standin}{V1}/Calls/{sid}?details=true")
        assert "<TwilioResponse><Call><Sid>" in found
        assert "<Leg><Id>1</Id>" in found
        _, missing = await sent(sessions, "GET", f"{standin}{V1}/Calls/{'0' * 32}")
        assert "<RestException><Status>404</Status><Message>No matching results</Message>" in missing
        account.xml_errors = True
        _, missing = await sent(sessions, "GET", f"{standin}{V1}/Calls/{'0' * 32}.json")
        assert missing.startswith("<?xml")


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        "form",
        [
            {},
            {"From": AGENT, "To": CUSTOMER},
            {"From": AGENT, "CallerId": EXOPHONE},
            {**CONNECT, "Url": f"http://my.exotel.com/{SID}/exoml/start_voice/1"},
            {**CONNECT, "Unknown": "1"},
            {**CONNECT, "from": AGENT},
            {**CONNECT, "CallType": "promo"},
            {**CONNECT, "TimeOut": "61"},
            {**CONNECT, "TimeLimit": "14401"},
            {**CONNECT, "Record": "yes"},
            {**CONNECT, "RecordingChannels": "stereo"},
            {**CONNECT, "CustomField": "x" * 129},
            {**CONNECT, "StatusCallback": "nowhere"},
            {**CALLBACK, "StatusCallbackEvents": "terminal"},
            {**CALLBACK, "StatusCallbackEvents[0]": "ringing"},
            {**CALLBACK, "StatusCallbackContentType": "text/plain"},
            {**CONNECT, "From": "12345"},
            {**CONNECT, "To": "sip:asha"},
            {**CONNECT, "CallerId": AGENT},
        ],
    )
    async def test_of_connect(
        self, sessions: aiohttp.ClientSession, standin: str, account: ExotelAccount, form: dict[str, str]
    ) -> None:
        status, body = await sent(sessions, "POST", f"{standin}{V1}/Calls/connect.json", data=form)
        assert status == 400, body
        assert account.connects == []

    @pytest.mark.parametrize(
        "query",
        [
            "Unknown=1",
            "PageSize=101",
            "PageSize=0",
            "SortBy=StartTime:asc",
            f"To={CUSTOMER[3:]}",
            "To=" + ",".join(["%2B919876543210"] * 6),
            "Status=answered",
            "DateCreated=gte:2026-01-01T00:00:00",
            "DateCreated=gte:2020-01-01 00:00:00",
            "After=x",
            "RecordingUrlValidity=61",
            "details=yes",
            "PageSize=1&PageSize=2",
        ],
    )
    async def test_of_bulk_details(self, sessions: aiohttp.ClientSession, standin: str, query: str) -> None:
        status, _ = await sent(sessions, "GET", f"{standin}{V1}/Calls.json?{query}")
        assert status == 400

    async def test_an_unknown_path_and_method(self, sessions: aiohttp.ClientSession, standin: str) -> None:
        assert (await sent(sessions, "GET", f"{standin}{V1}/Faxes.json"))[0] == 404
        assert (await sent(sessions, "DELETE", f"{standin}{V1}/Calls.json"))[0] == 404


class TestRecordings:
    async def test_private_late_and_in_parts(
        self, sessions: aiohttp.ClientSession, standin: str, account: ExotelAccount
    ) -> None:
        now = 1_750_000_000.0
        account.clock = lambda: now
        account.recording_after_s, account.recording_size = 300, 200_000
        sid = account.add_call({"created_at": now - 40, "talk_s": 32, "ring_s": 8})
        _, record = await sent(sessions, "GET", f"{standin}{V1}/Calls/{sid}.json")
        url = record.partition('"RecordingUrl": "')[2].partition('"')[0]
        assert allowed(url, SID, standin)
        assert (await sent(sessions, "GET", url))[0] == 404
        now += 300
        assert (await sent(sessions, "GET", url, None))[0] == 401
        async with sessions.get(url, headers={"Authorization": GOOD}) as answer:
            assert (answer.status, answer.content_type) == (200, "audio/mpeg")
            whole = await answer.read()
        assert whole == sound(sid, 0, 200_000)
        for asked, begin, end in (("10-99", 10, 100), ("199990-", 199_990, 200_000), ("-5", 199_995, 200_000)):
            async with sessions.get(url, headers={"Authorization": GOOD, "Range": f"bytes={asked}"}) as answer:
                assert answer.status == 206
                assert await answer.read() == whole[begin:end]
        assert (await sent(sessions, "GET", url, headers={"Range": "bytes=200000-"}))[0] == 416

    async def test_behind_a_redirect(
        self, sessions: aiohttp.ClientSession, standin: str, account: ExotelAccount
    ) -> None:
        now = 1_750_000_000.0
        account.clock = lambda: now
        account.cdn_url = standin
        call = account.call(account.add_call({"created_at": now - 100}))
        assert call is not None
        async with sessions.get(
            f"{standin}/exotelrecordings/{SID}/{call.file}", headers={"Authorization": GOOD}, allow_redirects=False
        ) as answer:
            assert answer.status == 302
            signed = answer.headers["Location"]
        assert (await sent(sessions, "GET", signed, None))[0] == 200
        assert (await sent(sessions, "GET", signed))[0] == 400
        assert (await sent(sessions, "GET", signed.replace("Signature=", "Signature=0"), None))[0] == 403
        now += 301
        assert (await sent(sessions, "GET", signed, None))[0] == 403

    async def test_calls_that_were_not_recorded(
        self, sessions: aiohttp.ClientSession, standin: str, account: ExotelAccount
    ) -> None:
        call = account.call(account.add_call({"ending": "missed"}))
        assert call is not None
        assert (await sent(sessions, "GET", f"{standin}/exotelrecordings/{SID}/{call.file}"))[0] == 404


class TestControl:
    async def test_from_outside(self, sessions: aiohttp.ClientSession, standin: str, account: ExotelAccount) -> None:
        body = {"calls": [{"customer": f"+9198765{n:05}", "talk_s": n % 60} for n in range(3_000)]}
        async with sessions.post(f"{standin}/_standin/calls", json=body) as answer:
            added = (await answer.json())["calls"]
        assert len(set(added)) == 3_000
        async with sessions.get(f"{standin}/_standin/state") as answer:
            assert (await answer.json())["records"]["calls"] == 3_000
        async with sessions.put(f"{standin}/_standin/account", json={"endings": ["agent_busy"], "talk_s": 5}) as answer:
            assert answer.status == 200
        assert (list(account.endings), account.talk_s) == (["agent_busy"], 5)
        async with sessions.get(f"{standin}/_standin/dump") as answer:
            assert len((await answer.json())["calls"]) == 3_000

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("calls", {"calls": [{"colour": "red"}]}),
            ("calls", {"calls": [{"ending": "happy"}]}),
            ("calls", {}),
            ("account", {"sid": "other"}),
            ("account", {"ending": "happy"}),
            ("faults", {"script": ["flood"]}),
        ],
    )
    async def test_mistakes_are_told(
        self, sessions: aiohttp.ClientSession, standin: str, path: str, body: dict[str, Any]
    ) -> None:
        method = "POST" if path == "calls" else "PUT"
        async with sessions.request(method, f"{standin}/_standin/{path}", json=body) as answer:
            assert answer.status == 400
            assert (await answer.json())["error"]

    async def test_a_running_call_ends(
        self, sessions: aiohttp.ClientSession, standin: str, account: ExotelAccount
    ) -> None:
        sid = account.add_call({"running": True})
        async with sessions.post(f"{standin}/_standin/calls/{sid}/end") as answer:
            assert answer.status == 200
        call = account.call(sid)
        assert call is not None
        assert call.over_at is not None
        async with sessions.post(f"{standin}/_standin/calls/nothing/end") as answer:
            assert answer.status == 404
