"""The one HTTP client over real sockets: when bytes leave, what a failure means, what is read of an answer."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import aiohttp
import pytest

from connector import outbound
from connector.adapter import Adapter, Agent, Caller, Checked, Home, Kind, Ref, Settings
from connector.adapter.http import CrmHttp, Unlimited, send_before
from connector.errors import (
    AuthFailed,
    ConfigError,
    ConnectorError,
    CrmUnavailable,
    LeaseLost,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Rejected,
)
from connector.outbound import PublicOnly, is_public, retry_after, session
from tests.adapter.peer import Answer, Peer, cuts, hangs, peer, says

LOCAL = frozenset({"127.0.0.1", "localhost"})


class Plain(Adapter[Settings]):
    """An adapter that does nothing but say where its CRM is."""

    name, title = "plain", "Plain CRM"
    settings_model = Settings
    errors: ClassVar = {(409, "key_rotated"): AuthFailed, (418, None): RateLimited}

    @property
    def root(self) -> str:
        return self.at("https://crm.example/v1/")

    @property
    def account(self) -> str:
        return "crm.example"

    def headers(self) -> dict[str, str]:
        return {"Authorization": "Bearer s3cr3t-key"}

    def error_words(self, body: Any) -> Mapping[str, str]:
        return body.get("words", {}) if isinstance(body, dict) else {}

    async def check(self) -> Checked:
        raise NotImplementedError

    async def list_agents(self) -> list[Agent]:
        raise NotImplementedError

    async def find_contacts(self, caller: Caller) -> list[Ref]:
        raise NotImplementedError

    async def create_contact(self, key: str, caller: Caller, name: str) -> Ref:
        raise NotImplementedError

    async def find_by_key(self, kind: Kind, key: str, parent: Ref | None) -> Ref | None:
        raise NotImplementedError


class Watched(Unlimited):
    """A budget that remembers what it was told."""

    def __init__(self, spend_s: float = 0.0) -> None:
        self.spend_s = spend_s
        self.learned: list[str | None] = []
        self.blocks: list[tuple[str, float]] = []

    async def spend(self, bucket: str) -> None:
        await asyncio.sleep(self.spend_s)

    def learn(self, headers: Mapping[str, str]) -> None:
        self.learned.append(headers.get("x-left"))

    def blocked(self, bucket: str, for_s: float) -> None:
        self.blocks.append((bucket, for_s))


@asynccontextmanager
async def client(
    url: str, budget: Unlimited | None = None, *, timeout_s: float = 5.0, **how: Any
) -> AsyncIterator[CrmHttp]:
    """A client for a CRM at `url`."""
    async with session(how.pop("allowed", LOCAL), **how) as shared:
        http = CrmHttp(shared, budget or Unlimited())
        adapter = Plain(Settings(base_url=url), http, Home("", ""))
        vars(adapter)["timeout_s"] = timeout_s
        http.bind(adapter)
        yield http


@asynccontextmanager
async def claim(seconds: float) -> AsyncIterator[None]:
    """A claim whose writes must leave within so many seconds."""
    token = send_before.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        send_before.reset(token)


def a_form() -> aiohttp.FormData:
    form = aiohttp.FormData({"body": "words"})
    form.add_field("file", b"x" * 300_000, filename="call.mp3", content_type="audio/mpeg")
    return form


WRITES: dict[str, Callable[[CrmHttp], Awaitable[Any]]] = {
    "json": lambda http: http.post("notes", {"body": "words"}),
    "form": lambda http: http.write("POST", "notes", form=a_form()),
    "no body": lambda http: http.put("contacts/1/restore"),
}


class TestLease:
    @pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
    async def test_no_byte_leaves_after_the_claim(self, write: Callable[[CrmHttp], Awaitable[Any]]) -> None:
        async with peer(says()) as crm, client(crm.url) as http:
            async with claim(-0.001):
                with pytest.raises(LeaseLost):
                    await write(http)
            await asyncio.sleep(0.05)
            assert crm.received == b""

    @pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
    async def test_nor_on_a_connection_that_is_used_again(self, write: Callable[[CrmHttp], Awaitable[Any]]) -> None:
        async with peer(says()) as crm, client(crm.url) as http:
            await http.post("notes", {"first": 1})
            seen = crm.received
            async with claim(-0.001):
                with pytest.raises(LeaseLost):
                    await write(http)
            await asyncio.sleep(0.05)
            assert (crm.received, crm.connections) == (seen, 1)
            await http.post("notes", {"third": 3})
            assert len(crm.requests) == 2

    async def test_a_claim_that_ends_while_the_budget_waits(self) -> None:
        async with peer(says()) as crm, client(crm.url, Watched(spend_s=0.06)) as http, claim(0.03):
            with pytest.raises(LeaseLost):
                await http.post("notes", {})
            assert crm.received == b""

    async def test_a_claim_that_lasts_sends(self) -> None:
        async with peer(says()) as crm, client(crm.url) as http, claim(5):
            await http.post("notes", {})
            assert crm.requests == ["POST /v1/notes"]

    async def test_reads_are_not_held(self) -> None:
        async with peer(says(body={"id": 1})) as crm, client(crm.url) as http, claim(-1):
            assert await http.get("notes") == {"id": 1}
            assert await http.ask("POST", "search", {"q": "x"}) == {"id": 1}

    async def test_a_repeated_put_is_held_again(self) -> None:
        # aiohttp repeats an idempotent request whose idle connection turns out to be closed
        async with peer(says(), cuts(after_s=0.1), says()) as crm, client(crm.url) as http:
            await http.put("notes/1", {})
            async with claim(0.05):
                with pytest.raises(OutcomeUnknown):
                    await http.put("notes/1", {})
            assert len(crm.requests) == 2


class TestWhatAFailureMeans:
    async def test_refused_connection_wrote_nothing(self) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{unused.getsockname()[1]}"
            async with client(url) as http:
                with pytest.raises(CrmUnavailable):
                    await http.post("notes", {})

    async def test_broken_tls_wrote_nothing(self) -> None:
        async with peer(says()) as crm, client(crm.url.replace("http:", "https:"), timeout_s=0.3) as http:
            with pytest.raises(CrmUnavailable):
                await http.post("notes", {})
            assert crm.requests == []

    async def test_unknown_name_wrote_nothing(self) -> None:
        async with client("http://crm.invalid") as http:
            with pytest.raises(CrmUnavailable):
                await http.post("notes", {})

    async def test_name_that_cannot_be_asked_for(self) -> None:
        async with client(f"http://{'a' * 70}.example") as http:
            with pytest.raises(CrmUnavailable):
                await http.post("notes", {})

    @pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
    async def test_reset_after_the_request_is_unknown(self, write: Callable[[CrmHttp], Awaitable[Any]]) -> None:
        async with peer(cuts()) as crm, client(crm.url) as http:
            with pytest.raises(OutcomeUnknown):
                await write(http)

    async def test_reset_within_the_answer_is_unknown(self) -> None:
        async def half(_peer: Peer, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{")
            await writer.drain()
            writer.close()

        async with peer(half) as crm, client(crm.url) as http:
            with pytest.raises(OutcomeUnknown):
                await http.post("notes", {})

    async def test_a_page_is_no_answer(self) -> None:
        page = says(200, b"<html>We will be back soon</html>", Content_Type="text/html; charset=utf-8")
        async with peer(page) as crm, client(crm.url) as http:
            with pytest.raises(OutcomeUnknown):
                await http.post("notes", {})
            with pytest.raises(CrmUnavailable):
                await http.get("notes")

    async def test_silence_is_unknown_for_a_write_and_not_for_a_read(self) -> None:
        async with peer(hangs()) as crm, client(crm.url, timeout_s=0.1) as http:
            with pytest.raises(OutcomeUnknown, match="in time"):
                await http.post("notes", {})
            with pytest.raises(CrmUnavailable, match="in time"):
                await http.get("notes")
            with pytest.raises(CrmUnavailable, match="in time"):
                await http.ask("POST", "search", {})

    async def test_waiting_for_a_connection_wrote_nothing(self) -> None:
        async with peer(hangs()) as crm, client(crm.url, limit=1) as http:
            first = asyncio.create_task(http.get("slow"))
            await asyncio.sleep(0.05)
            vars(http._adapter)["timeout_s"] = 0.1
            with pytest.raises(CrmUnavailable):
                await http.post("notes", {})
            assert crm.requests == ["GET /v1/slow"]
            first.cancel()
            await asyncio.wait([first])

    @pytest.mark.parametrize(
        ("status", "write", "read"),
        [
            (400, Rejected, Rejected),
            (401, AuthFailed, AuthFailed),
            (403, AuthFailed, AuthFailed),
            (404, NotFound, NotFound),
            (405, Rejected, Rejected),
            (408, OutcomeUnknown, CrmUnavailable),
            (409, Rejected, Rejected),
            (410, NotFound, NotFound),
            (418, RateLimited, RateLimited),
            (422, Rejected, Rejected),
            (429, RateLimited, RateLimited),
            (500, OutcomeUnknown, CrmUnavailable),
            (502, OutcomeUnknown, CrmUnavailable),
            (503, OutcomeUnknown, CrmUnavailable),
            (507, OutcomeUnknown, CrmUnavailable),
            (520, OutcomeUnknown, CrmUnavailable),
        ],
    )
    async def test_statuses(self, status: int, write: type[ConnectorError], read: type[ConnectorError]) -> None:
        async with peer(says(status, b"<html>no</html>", Retry_After="7")) as crm, client(crm.url) as http:
            with pytest.raises(ConnectorError) as wrote:
                await http.post("notes", {})
            with pytest.raises(ConnectorError) as did_read:
                await http.get("notes")
            assert (type(wrote.value), type(did_read.value)) == (write, read)
            assert getattr(wrote.value, "status", None) == status

    async def test_the_adapters_table_comes_first(self) -> None:
        async with peer(says(409, {"code": "key_rotated"})) as crm, client(crm.url) as http:
            with pytest.raises(AuthFailed):
                await http.post("notes", {})

    async def test_accepted_statuses_are_answers(self) -> None:
        async with peer(says(409, {"id": 5})) as crm, client(crm.url) as http:
            answer = await http.write("POST", "contacts", {}, accept=(409,))
            assert (answer.status, answer.body) == (409, {"id": 5})
            assert (await http.read("contacts", accept=(409,))).status == 409


class TestRepeating:
    async def test_reads_are_repeated(self) -> None:
        async with peer(says(503), cuts(), says(body=[1])) as crm, client(crm.url) as http:
            assert await http.get("notes") == [1]
            assert len(crm.requests) == 3

    async def test_reads_are_given_up(self) -> None:
        async with peer(says(503)) as crm, client(crm.url) as http:
            with pytest.raises(CrmUnavailable):
                await http.get("notes")
            assert len(crm.requests) == 3

    async def test_writes_are_not(self) -> None:
        async with peer(says(503)) as crm, client(crm.url) as http:
            with pytest.raises(OutcomeUnknown):
                await http.post("notes", {})
            assert len(crm.requests) == 1

    @pytest.mark.parametrize("answer", [says(429), says(503, Retry_After="30"), says(400), says(404)])
    async def test_what_a_second_would_not_change_is_not(self, answer: Answer) -> None:
        async with peer(answer) as crm, client(crm.url) as http:
            with pytest.raises(ConnectorError):
                await http.get("notes")
            assert len(crm.requests) == 1

    async def test_slow_failures_are_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("connector.adapter.http._REPEAT_READS_FOR_S", 0.05)
        async with peer(hangs()) as crm, client(crm.url, timeout_s=0.1) as http:
            with pytest.raises(CrmUnavailable):
                await http.get("notes")
            assert len(crm.requests) == 1


class TestAddresses:
    async def test_redirects_are_refused(self) -> None:
        async with peer(says()) as other:
            async with peer(says(302, Location=f"{other.url}/stolen")) as crm, client(crm.url) as http:
                with pytest.raises(ConfigError) as wrote:
                    await http.post("notes", {})
                with pytest.raises(ConfigError):
                    await http.get("notes")
            assert "redirect" in wrote.value.message
            assert other.received == b""

    @pytest.mark.parametrize(
        "host", ["127.0.0.1", "localhost", "[::1]", "10.1.2.3", "169.254.169.254", "[::ffff:10.0.0.1]"]
    )
    async def test_private_addresses_are_refused(self, host: str) -> None:
        async with client(f"http://{host}:9", allowed=frozenset()) as http:
            with pytest.raises(ConfigError, match="private"):
                await http.post("notes", {})

    async def test_a_host_named_later_is_allowed(self) -> None:
        allowed: set[str] = set()
        async with peer(says()) as crm, client(crm.url, allowed=allowed) as http:
            with pytest.raises(ConfigError):
                await http.get("notes")
            allowed.add("127.0.0.1")
            await http.get("notes")

    async def test_names_lead_to_their_public_addresses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        known = {"home.example": ["10.0.0.1"], "both.example": ["10.0.0.1", "8.8.8.8"]}

        async def resolve(_self: object, host: str, *_how: object) -> list[dict[str, str]]:
            return [{"host": address} for address in known[host]]

        monkeypatch.setattr(aiohttp.ThreadedResolver, "resolve", resolve)
        resolver = PublicOnly({"home.example"})
        assert [found["host"] for found in await resolver.resolve("home.example")] == ["10.0.0.1"]
        assert [found["host"] for found in await resolver.resolve("both.example")] == ["8.8.8.8"]

    async def test_a_name_that_is_none(self) -> None:
        with pytest.raises(OSError, match="is no host name"):
            await PublicOnly(()).resolve("a..example")

    @pytest.mark.parametrize(
        ("address", "public"),
        [
            ("8.8.8.8", True),
            ("2606:4700::1111", True),
            ("192.168.1.1", False),
            ("100.64.0.1", False),
            ("224.0.0.1", False),
            ("0.0.0.0", False),
            ("fe80::1%eth0", False),
            ("fd00::1", False),
            ("::ffff:127.0.0.1", False),
        ],
    )
    def test_is_public(self, address: str, public: bool) -> None:
        assert is_public(address) is public


class TestRequestsAndAnswers:
    async def test_a_plus_is_encoded(self) -> None:
        async with peer(says()) as crm, client(crm.url) as http:
            await http.get("contacts", {"mobile": "+91 98'\""})
            assert crm.requests == ["GET /v1/contacts?mobile=%2B91+98%27%22"]

    async def test_text_that_is_no_unicode(self) -> None:
        async with peer(says()) as crm, client(crm.url) as http:
            await http.post("notes", {"body": "நன்றி 🎧 \ud83d"})
            assert json.loads(crm.received.partition(b"\r\n\r\n")[2]) == {"body": "நன்றி 🎧 ?"}

    async def test_a_long_answer_is_read_whole(self) -> None:
        rows = [{"text": "x" * 1000}] * 1500
        async with peer(says(body=rows)) as crm, client(crm.url) as http:
            assert await http.get("notes") == rows

    async def test_an_endless_answer_is_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(outbound, "_MAX_ANSWER", 1000)
        async with peer(says(body="x" * 2000)) as crm, client(crm.url) as http:
            with pytest.raises(OutcomeUnknown):
                await http.post("notes", {})

    @pytest.mark.parametrize(
        ("raw", "body"),
        [(b"", None), (b"<html>", "<html>"), (b"\xff{", "\ufffd{"), (b"[" * 100_000, "[" * 100_000), (b"[1]", [1])],
    )
    async def test_bodies(self, raw: bytes, body: Any) -> None:
        async with peer(says(200, raw)) as crm, client(crm.url) as http:
            assert await http.get("notes") == body

    async def test_the_budget_hears_of_every_answer(self) -> None:
        budget = Watched()
        answers = (says(x_left="9"), says(400, x_left="8"), says(429, x_left="0", Retry_After="12"), says(429))
        async with peer(*answers) as crm, client(crm.url, budget) as http:
            await http.post("notes", {})
            with pytest.raises(Rejected):
                await http.post("notes", {})
            with pytest.raises(RateLimited) as told:
                await http.post("notes", {}, bucket="list")
            with pytest.raises(RateLimited) as untold:
                await http.get("notes")
        assert budget.learned == ["9", "8", "0", None]
        assert budget.blocks == [("list", 12.0), ("all", 60.0)]
        assert (told.value.retry_after_s, untold.value.retry_after_s) == (12.0, 60.0)

    async def test_errors_carry_the_words_and_no_number_or_key(self) -> None:
        words = {"fields.cf_x": "is wrong", "": "919876543210 is taken"}
        async with peer(says(400, {"code": "invalid", "words": words})) as crm, client(crm.url) as http:
            with pytest.raises(Rejected) as error:
                await http.post("notes", {"phone": "919876543210"})
        assert error.value.parts == ("fields.cf_x",)
        assert error.value.words == {"fields.cf_x": "is wrong", "": "…3210 is taken"}
        assert error.value.message == "Plain CRM answered 400 (fields.cf_x: is wrong; …3210 is taken)."
        assert str(error.value) == "plain answered 400 invalid"

    async def test_a_client_that_is_not_bound(self) -> None:
        async with session() as shared:
            with pytest.raises(RuntimeError, match="bind"):
                await CrmHttp(shared, Unlimited()).get("notes")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("30", 30.0),
        (" 1.5 ", 1.5),
        ("0", 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    assert retry_after({"Retry-After": value}) == seconds


def test_retry_after_as_a_date_to_come() -> None:
    at = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 90))
    assert retry_after({"Retry-After": at}) == pytest.approx(90, abs=2)


def test_retry_after_absent() -> None:
    assert retry_after({}) is None
