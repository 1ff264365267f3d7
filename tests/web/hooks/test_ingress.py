"""Exotel's URLs over a real socket: every dialect, method and origin, and each refusal."""

import gzip
import json
import logging
from collections.abc import AsyncIterator
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode

import pytest
from aiohttp import FormData
from aiohttp.test_utils import make_mocked_request

from connector.exotel import parse_request
from connector.exotel.urls import URLS
from connector.tenants.model import IngressRules
from connector.web.hooks.ingress import INGRESS
from tests.web.stubs import (
    HOOK,
    SID,
    TOKEN,
    Client,
    StubDirectories,
    StubPipeline,
    basic,
    client_of,
    hook_app,
    raw_request,
    tenant,
)

EVENTS = [
    *("pop", "answered", "automated_answered", "missed", "ivr", "gather", "end", "voicemail"),
    *("record_start", "record_stop"),
]
DIALECTS = [
    *((f"/v2/accounts/exotel535/call-events?event={word}", word) for word in EVENTS),
    ("/v2/accounts/exotel535/status", "status"),
    *((f"/{word}/exotel535", word) for word in ("pop", "answered", "missed")),
    *((f"/callback/exotel/exotel535/{word}", word) for word in ("createpopup", "incomingcallhungup", "callmissed")),
    *((f"/h/{HOOK}/callback/{word}", f"callback/{word}") for word in ("leg", "recording")),
    *((f"/h/{HOOK}/{word}", word) for word in (*EVENTS, "popup", "status", "createpopup", "callmissed")),
]
OPEN = ["/pop/exotel535", "/missed/exotel535", "/callback/exotel/exotel535/callmissed"]
PARAMS = {"CallSid": SID, "CallFrom": "09711581199", "digits": '"12"'}


def with_query(path: str, params: dict[str, str]) -> str:
    return path + ("&" if "?" in path else "?") + urlencode(params)


async def error_of(answer: Any) -> tuple[int, str, str | None]:
    assert answer.content_type == "application/json"
    body = await answer.json()
    assert list(body) == ["error"]
    assert sorted(body["error"]) == ["code", "field", "message"]
    assert body["error"]["message"]
    return answer.status, body["error"]["code"], body["error"]["field"]


@pytest.mark.parametrize(("path", "word"), DIALECTS)
async def test_every_dialect_by_every_method(client: Client, pipeline: StubPipeline, path: str, word: str) -> None:
    answers = [
        await client.get(with_query(path, PARAMS), headers=basic()),
        await client.post(path, data=PARAMS, headers=basic()),
        await client.post(path, data=multipart(PARAMS), headers=basic()),
        await client.post(path, json={**PARAMS, "Legs": [{"OnCallDuration": 21}]}, headers=basic()),
    ]
    assert [answer.status for answer in answers] == [200] * 4
    assert [r.call_sid for r in pipeline.received] == [SID] * 4
    assert {r.kind for r in pipeline.received} == {word}
    assert {r.tenant_id for r in pipeline.received} == {1}
    assert [r.method for r in pipeline.received] == ["GET", "POST", "POST", "POST"]
    for received in pipeline.received:
        assert {"CallFrom": "09711581199", "digits": '"12"'}.items() <= dict(received.params).items()
        assert received.connection_id is None
    head = await client.head(with_query(path, PARAMS), headers=basic())
    assert head.status == 200
    assert len(pipeline.received) == 4


def multipart(params: dict[str, str]) -> FormData:
    form = FormData(default_to_multipart=True)
    for name, value in params.items():
        form.add_field(name, value)
    return form


@pytest.mark.parametrize(("path", "word"), DIALECTS)
async def test_what_is_stored_can_be_read_again(client: Client, pipeline: StubPipeline, path: str, word: str) -> None:
    """Accept finds the CallSid that the parser finds later."""
    await client.post(with_query(path, {"From": "+91 97115"}), data=multipart(PARAMS), headers=basic())
    (received,) = pipeline.received
    event = parse_request(
        event=received.kind,
        method=received.method,
        query=parse_qsl(received.query, keep_blank_values=True),
        content_type=received.content_type,
        body=received.body or b"",
    )
    assert event.call_sid == received.call_sid


async def test_head_without_anything_has_no_effect(client: Client, pipeline: StubPipeline) -> None:
    assert (await client.head("/pop/exotel535", headers=basic())).status == 200
    assert (await client.head(f"/h/{HOOK}/pop")).status == 200
    assert (await client.head("/pop/exotel535")).status == 401
    assert (await client.head("/h/wrong/pop")).status == 404
    assert pipeline.received == []


@pytest.mark.parametrize(
    "headers",
    [
        basic(),
        {"Authorization": basic()["Authorization"].replace("Basic", "basic")},
        {"Authorization": f"Bearer {HOOK}"},
        basic("anything", HOOK),
        basic(HOOK, ""),
    ],
)
@pytest.mark.parametrize("path", ["/v2/accounts/exotel535/call-events?event=pop", "/pop/exotel535"])
async def test_credentials_that_open_the_documented_urls(client: Client, path: str, headers: dict[str, str]) -> None:
    assert (await client.get(with_query(path, PARAMS), headers=headers)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic("demo_key", "wrong"),
        basic("", ""),
        basic("wrong", TOKEN),
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic"},
        {"Authorization": f"Bearer {TOKEN}"},
        {"Authorization": "Bearer "},
        {"Authorization": f"Digest {HOOK}"},
    ],
)
@pytest.mark.parametrize("sid", ["exotel535", "nobody"])
async def test_wrong_credentials(client: Client, pipeline: StubPipeline, sid: str, headers: dict[str, str]) -> None:
    for form in (
        "/v2/accounts/{}/status",
        "/v2/accounts/{}/call-events?event=pop",
        "/missed/{}",
        "/callback/exotel/{}/callmissed",
    ):
        answer = await client.get(with_query(form.format(sid), PARAMS), headers=headers)
        assert await error_of(answer) == (401, "unauthorized", None)
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert pipeline.received == []


async def test_right_credentials_of_another_tenant_open_nothing(pipeline: StubPipeline) -> None:
    directories = StubDirectories(tenant(), tenant("other1m", 2, hook="another-hook-token", token="another"))
    async with client_of(hook_app(pipeline, directories)) as client:
        assert (await client.get(with_query("/pop/other1m", PARAMS), headers=basic())).status == 401
        bearer = {"Authorization": "Bearer another-hook-token"}
        assert (await client.get(with_query("/pop/exotel535", PARAMS), headers=bearer)).status == 401
        assert (await client.get(with_query("/h/another-hook-token/pop", PARAMS))).status == 200
    assert [r.tenant_id for r in pipeline.received] == [2]


async def test_unknown_paths_and_methods(client: Client) -> None:
    for path in ("/", "/h/wrong/pop", f"/h/{HOOK}", "/v2/accounts/exotel535", "/pop/exotel535/", "/nothing"):
        answer = await client.get(with_query(path, PARAMS), allow_redirects=False)
        assert await error_of(answer) == (404, "not_found", None)
    answer = await client.put("/pop/exotel535", headers=basic())
    assert await error_of(answer) == (405, "method_not_allowed", None)
    assert "POST" in answer.headers["Allow"]


class TestOpen:
    """The documented URLs without credentials, where the tenant allows it."""

    @pytest.fixture
    async def opened(self, pipeline: StubPipeline) -> AsyncIterator[Client]:
        directories = StubDirectories(
            tenant(ingress=IngressRules(open=True, allow_from=("127.0.0.0/8", "::1"))),
            tenant("elsewhere", 2, IngressRules(open=True, allow_from=("203.0.113.0/24",)), hook="h2", token="t2"),
            tenant("everybody", 3, IngressRules(open=True, allow_from=("anyone",)), hook="h3", token="t3"),
            tenant("closed", 4, IngressRules(open=False, allow_from=("anyone",)), hook="h4", token="t4"),
        )
        async with client_of(hook_app(pipeline, directories)) as client:
            yield client

    async def test_from_listed_ranges(self, opened: Client, pipeline: StubPipeline) -> None:
        for path in OPEN:
            assert (await opened.get(with_query(path, PARAMS))).status == 200
            everybody = path.replace("exotel535", "everybody")
            assert (await opened.get(with_query(everybody, PARAMS))).status == 200
        assert len(pipeline.received) == 2 * len(OPEN)

    async def test_from_elsewhere(self, opened: Client, pipeline: StubPipeline) -> None:
        for sid in ("elsewhere", "closed"):
            for path in OPEN:
                answer = await opened.get(with_query(path.replace("exotel535", sid), PARAMS))
                assert answer.status == 401
        assert pipeline.received == []

    async def test_other_urls_stay_closed(self, opened: Client) -> None:
        for path in ("/v2/accounts/everybody/call-events?event=pop", "/v2/accounts/everybody/status"):
            assert (await opened.get(with_query(path, PARAMS))).status == 401

    async def test_wrong_credentials_are_wrong_all_the_same(self, opened: Client) -> None:
        assert (await opened.get(with_query("/pop/everybody", PARAMS), headers=basic("a", "b"))).status == 401


class TestRefusals:
    """Bad input gets a 4xx that names what is wrong."""

    @pytest.mark.parametrize(
        "params",
        [
            {},
            {"CallSid": ""},
            {"CallSid": "  "},
            {"CallSid": "null"},
            {"CallSid": "{CallSid}"},
            {"CallSid": "x" * 129},
            {"CallSid": "a\nb"},
            {"CallSid": "a\x00b"},
        ],
    )
    async def test_no_call_sid(self, client: Client, pipeline: StubPipeline, params: dict[str, str]) -> None:
        for answer in (
            await client.get(with_query(f"/h/{HOOK}/pop", params)),
            await client.post(f"/h/{HOOK}/pop", json=params),
        ):
            assert await error_of(answer) == (400, "no_call_sid", "CallSid")
        assert pipeline.received == []

    @pytest.mark.parametrize("query", ["", "&event=", "&event=dance", "&event=pop2"])
    async def test_unknown_event(self, client: Client, query: str) -> None:
        path = f"/v2/accounts/exotel535/call-events?CallSid={SID}{query}"
        assert await error_of(await client.get(path, headers=basic())) == (400, "unknown_event", "event")

    async def test_unknown_event_of_a_hook(self, client: Client) -> None:
        answer = await client.get(f"/h/{HOOK}/dance?CallSid={SID}")
        assert await error_of(answer) == (400, "unknown_event", "event")

    @pytest.mark.parametrize(
        ("body", "content_type"),
        [
            (b"\xff\xfe\x00", "application/json"),
            (b"{", "application/json"),
            (b"[1]", "application/json"),
            (b"nonsense", "multipart/form-data; boundary=x"),
            (b"nonsense", "application/x-www-form-urlencoded"),
        ],
    )
    async def test_unreadable(self, client: Client, pipeline: StubPipeline, body: bytes, content_type: str) -> None:
        headers = {"Content-Type": content_type}
        answer = await client.post(f"/h/{HOOK}/status", data=body, headers=headers)
        assert await error_of(answer) == (400, "unreadable", None)
        # The query tells which call it is: what else was meant is kept for people.
        answer = await client.post(f"/h/{HOOK}/status?CallSid={SID}", data=body, headers=headers)
        assert answer.status == 200
        assert pipeline.received[0].body == body

    async def test_cut_off_encodings(self, client: Client) -> None:
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        answer = await client.post(f"/h/{HOOK}/status?CallSid={SID}", data=b"not gzip", headers=headers)
        assert await error_of(answer) == (400, "unreadable", None)

    async def test_compressed_bodies_are_read_and_bounded(self, client: Client, pipeline: StubPipeline) -> None:
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        small = gzip.compress(json.dumps(PARAMS).encode())
        assert (await client.post(f"/h/{HOOK}/status", data=small, headers=headers)).status == 200
        assert pipeline.received[0].call_sid == SID
        bomb = gzip.compress(b" " * 5_000_000)
        answer = await client.post(f"/h/{HOOK}/status", data=bomb, headers=headers)
        assert await error_of(answer) == (413, "too_large", None)

    async def test_too_large(self, client: Client, pipeline: StubPipeline) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(70):
                yield b"x" * 1024

        url = f"/h/{HOOK}/status?CallSid={SID}"
        assert await error_of(await client.post(url, data=b"x" * 65537)) == (413, "too_large", None)
        assert await error_of(await client.post(url, data=chunks())) == (413, "too_large", None)
        assert await error_of(await client.get(url + "&a=" + "x" * 65536)) == (413, "too_large", None)
        assert await error_of(await client.get(url + "&a=1" * 2000)) == (413, "too_large", None)
        assert pipeline.received == []
        assert (await client.post(url, data=b"x" * 65536)).status == 200

    async def test_a_body_is_not_read_for_strangers(self, client: Client) -> None:
        answer = await client.post("/v2/accounts/exotel535/status", data=b"x" * 65537)
        assert answer.status == 401

    async def test_an_unknown_connection_is_named(
        self, client: Client, pipeline: StubPipeline, directories: StubDirectories
    ) -> None:
        answer = await client.get(with_query(f"/h/{HOOK}/pop?connection=sales", PARAMS))
        assert await error_of(answer) == (400, "unknown_connection", "connection")
        assert directories.looks == 1
        assert (await client.get(with_query(f"/h/{HOOK}/pop?connection=support", PARAMS))).status == 200
        assert [r.connection_id for r in pipeline.received] == ["c1"]

    async def test_busy_store(self, client: Client, pipeline: StubPipeline) -> None:
        pipeline.busy = True
        answer = await client.get(with_query(f"/h/{HOOK}/pop", PARAMS))
        assert await error_of(answer) == (503, "busy", None)
        assert int(answer.headers["Retry-After"]) > 0

    async def test_a_mistake_of_ours_shows_nothing(
        self, client: Client, pipeline: StubPipeline, caplog: pytest.LogCaptureFixture
    ) -> None:
        pipeline.broken = True
        answer = await client.get(with_query(f"/h/{HOOK}/pop", PARAMS))
        assert await error_of(answer) == (500, "internal", None)
        assert "Traceback" not in await answer.text()
        assert caplog.records[-1].levelno == logging.ERROR
        assert HOOK not in caplog.text


class TestReading:
    """Odd requests that are none the less calls."""

    async def test_the_first_event_counts(self, client: Client, pipeline: StubPipeline) -> None:
        path = f"/v2/accounts/exotel535/call-events?event=Answered&CallSid={SID}&event=pop"
        assert (await client.get(path, headers=basic())).status == 200
        assert pipeline.received[0].kind == "answered"

    async def test_the_event_may_be_posted(self, client: Client, pipeline: StubPipeline) -> None:
        path = "/v2/accounts/exotel535/call-events"
        assert (await client.post(path, json={**PARAMS, "event": "end"}, headers=basic())).status == 200
        assert pipeline.received[0].kind == "end"

    async def test_a_placeholder_gives_way_to_the_real_one(self, client: Client, pipeline: StubPipeline) -> None:
        path = f"/h/{HOOK}/pop?CallSid=%7BCallSid%7D&CallSid={SID}"
        assert (await client.get(path)).status == 200
        assert pipeline.received[0].call_sid == SID

    async def test_the_query_is_kept_as_it_came(self, client: Client, pipeline: StubPipeline) -> None:
        path = f"/h/{HOOK}/ivr?CallSid={SID}&From=+9197&x=%ff&ivr_tag_1=%E0%A4%95&digits=%2212%23%22&flag"
        assert b" 200 " in await raw_request(client, f"GET {path}#3 HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        (received,) = pipeline.received
        assert received.query == path.partition("?")[2] + "#3"
        assert dict(received.params) == {
            "CallSid": SID,
            "From": " 9197",
            "x": "�",
            "ivr_tag_1": "क",
            "digits": '"12#"',
            "flag#3": "",
        }

    async def test_a_header_that_is_no_text(self, client: Client, pipeline: StubPipeline) -> None:
        body = f"CallSid={SID}".encode()
        head = f"POST /h/{HOOK}/pop HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\nContent-Type: ".encode()
        assert b" 200 " in await raw_request(client, head + b"\xff\xfe" + b"x" * 300 + b"\r\n\r\n" + body)
        content_type = pipeline.received[0].content_type
        assert content_type is not None
        assert content_type.isascii()
        assert len(content_type) <= 255

    async def test_a_request_that_is_no_http_leaks_nothing(
        self, client: Client, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        answer = await raw_request(client, f"GET /h/{HOOK}/pop?a=é HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert b" 400 " in answer
        long = b"GET /h/%b/pop?a=%b HTTP/1.1\r\nHost: a\r\n\r\n" % (HOOK.encode(), b"x" * 200_000)
        assert b" 400 " in await raw_request(client, long)
        assert HOOK not in caplog.text
        assert "request not readable as HTTP" in caplog.text

    async def test_raw_bytes_where_aiohttp_lets_them_through(self, pipeline: StubPipeline) -> None:
        """Its C parser refuses them, its Python one does not."""
        path = f"/h/{HOOK}/ivr?CallSid={SID}&ivr_tag_1=" + "é\udcff"
        match = {"hook_token": HOOK, "event": "ivr"}
        app = hook_app(pipeline, StubDirectories(tenant()))
        answer = await app[INGRESS].answer(make_mocked_request("GET", path, match_info=match), URLS[-1])
        assert answer.status == 200
        assert pipeline.received[0].query == f"CallSid={SID}&ivr_tag_1=%C3%A9%FF"
        assert dict(pipeline.received[0].params)["ivr_tag_1"] == "é\ufffd"


class TestTextMessages:
    """`/h/{hook_token}/callback/sms`: the fate of a message, as Exotel posts it (docs/reference/exotel.md §4.3)."""

    PATH = f"/h/{HOOK}/callback/sms"
    TOLD: ClassVar = {
        "SmsSid": "d5f2",
        "To": "09876543210",
        "Status": "sent",
        "SmsUnits": "1",
        "DetailedStatus": "DELIVERED_TO_HANDSET",
        "DetailedStatusCode": "20005",
        "DateSent": "2026-01-01 05:30:00",
        "CustomField": "o-1",
    }

    @pytest.mark.parametrize("told", [TOLD, {"SmsSid": "d5f2", "Status": "null"}, {"Status": "sent"}, {}])
    async def test_it_is_taken_and_kept_nowhere(
        self, client: Client, pipeline: StubPipeline, told: dict[str, str]
    ) -> None:
        pipeline.busy = True
        answers = [await client.post(self.PATH, data=told), await client.get(with_query(self.PATH, told))]
        assert [answer.status for answer in answers] == [200, 200]
        assert pipeline.received == []

    async def test_refusals(self, client: Client) -> None:
        assert (await client.post("/h/wrong/callback/sms", data=self.TOLD)).status == 404
        assert (await client.head(self.PATH)).status == 200
        unknown = await client.post(f"/h/{HOOK}/callback/fax", data=self.TOLD)
        assert await error_of(unknown) == (400, "unknown_event", "event")
