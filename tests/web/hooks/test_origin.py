"""Who sent it: addresses behind proxies, failed tries, looks at the store."""

import asyncio
import hmac
import tracemalloc
from collections.abc import AsyncIterator
from ipaddress import ip_network
from unittest import mock

import pytest

from connector.errors import StoreBusy
from connector.web.hooks import origin
from connector.web.hooks.origin import MOST_FAILURES, Failures, SharedLooks, client_address
from tests.web.stubs import (
    HOOK,
    SID,
    Client,
    StubDirectories,
    StubPipeline,
    basic,
    client_of,
    hook_app,
    tenant,
)

PROXIES = [ip_network("10.0.0.0/8"), ip_network("::1/128"), ip_network("127.0.0.0/8")]
POP = f"/pop/exotel535?CallSid={SID}"


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        # Nobody who is not trusted can choose an address.
        ("192.0.2.1", ["203.0.113.9"], "192.0.2.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.7, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.7", "203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["203.0.113.9, unknown"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9:4711"], "203.0.113.9"),
        ("10.0.0.1", ["[2001:db8::7]:4711"], "2001:db8::7"),
        ("10.0.0.1", ["2001:db8::7"], "2001:db8::7"),
        ("::ffff:10.0.0.1", ["::ffff:203.0.113.9"], "203.0.113.9"),
        # A Unix socket has no address: the proxy is on this machine.
        (None, ["203.0.113.9"], "203.0.113.9"),
        ("", ["203.0.113.9"], "203.0.113.9"),
    ],
)
def test_the_address_behind_proxies(peer: str | None, forwarded: list[str], expected: str) -> None:
    assert str(client_address(peer, forwarded, PROXIES)) == expected


def test_without_trusted_proxies_nothing_forwarded_counts() -> None:
    assert str(client_address("10.0.0.1", ["203.0.113.9"], [])) == "10.0.0.1"


class TestFailures:
    def test_counts_per_window(self) -> None:
        now = 100.0
        failures = Failures(lambda: now, most=3, window_s=60)
        assert [failures.count("a", "t") for _ in range(4)] == [None, None, None, 60.0]
        assert failures.count("a", "other") is None
        assert failures.count("b", "t") is None
        now = 130.0
        assert failures.count("a", "t") == 30.0
        now = 160.0
        assert failures.count("a", "t") is None

    def test_memory_is_bounded(self) -> None:
        failures = Failures(lambda: 1.0, most=3, keys=1000)
        tracemalloc.start()
        for number in range(100_000):
            failures.count("a", f"tenant-{number}")
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(failures) == 1000
        assert size < 1_000_000


class TestLooks:
    async def test_are_shared_and_begin_after_the_question(self) -> None:
        begun: list[int] = []
        go = asyncio.Event()

        async def look() -> None:
            begun.append(len(begun))
            await go.wait()

        looks = SharedLooks(look, gap_s=0.01)
        first = [asyncio.create_task(looks.next()) for _ in range(50)]
        await asyncio.sleep(0.05)
        assert begun == [0]
        late = asyncio.create_task(looks.next())
        go.set()
        await asyncio.gather(*first, late)
        assert begun == [0, 1]

    async def test_are_paced(self) -> None:
        begun = 0

        async def look() -> None:
            nonlocal begun
            begun += 1

        looks = SharedLooks(look, gap_s=0.05)
        loop = asyncio.get_running_loop()
        until = loop.time() + 0.3
        while loop.time() < until:
            await looks.next()
        assert 4 <= begun <= 8

    async def test_a_store_that_hangs_is_busy(self) -> None:
        async def look() -> None:
            await asyncio.sleep(60)

        with mock.patch.object(origin, "_LOOK_TIMEOUT_S", 0.01), pytest.raises(StoreBusy):
            await SharedLooks(look).next()


class TestLimits:
    """Failures are limited, right credentials never."""

    async def test_too_many_failures(self, client: Client) -> None:
        answers = await asyncio.gather(*(client.get(POP, headers=basic("a", "b")) for _ in range(MOST_FAILURES + 5)))
        assert sorted({answer.status for answer in answers}) == [401, 429]
        assert [answer.status for answer in answers].count(401) == MOST_FAILURES
        refused = next(answer for answer in answers if answer.status == 429)
        assert (await refused.json())["error"]["code"] == "too_many_failures"
        assert 0 < int(refused.headers["Retry-After"]) <= 60
        assert (await client.get(POP, headers=basic())).status == 200
        assert (await client.get(f"/h/{HOOK}/pop?CallSid={SID}")).status == 200
        assert (await client.get("/pop/nobody")).status == 401

    async def test_too_many_wrong_tokens(self, client: Client) -> None:
        answers = await asyncio.gather(*(client.get("/h/wrong/pop") for _ in range(MOST_FAILURES + 5)))
        assert sorted({answer.status for answer in answers}) == [404, 429]
        assert (await client.get("/h/other/pop")).status == 404
        assert (await client.get(f"/h/{HOOK}/pop?CallSid={SID}")).status == 200

    async def test_a_new_configuration_is_seen_at_once(self, client: Client, directories: StubDirectories) -> None:
        for number in range(3):
            directories.apply(tenant(token=f"new-{number}", hook=f"hook-{number}"))
            assert (await client.get(POP, headers=basic(token=f"new-{number}"))).status == 200
            directories.apply(tenant(token="x", hook=f"rotated-{number}"))
            assert (await client.get(f"/h/rotated-{number}/pop?CallSid={SID}")).status == 200
            assert (await client.get(f"/h/hook-{number}/pop?CallSid={SID}")).status == 404

    async def test_a_new_configuration_is_seen_during_a_flood(
        self, client: Client, directories: StubDirectories
    ) -> None:
        async def flood() -> None:
            while True:
                await client.get(POP, headers=basic("a", "b"))

        attackers = [asyncio.create_task(flood()) for _ in range(20)]
        await asyncio.sleep(0.3)
        directories.apply(tenant(token="new"))
        assert (await client.get(POP, headers=basic(token="new"))).status == 200
        looks_before, loop = directories.looks, asyncio.get_running_loop()
        began = loop.time()
        await asyncio.sleep(0.5)
        assert directories.looks - looks_before <= 50 * (loop.time() - began)
        for attacker in attackers:
            attacker.cancel()
        await asyncio.gather(*attackers, return_exceptions=True)

    async def test_a_store_that_cannot_be_asked_is_no_401(self, client: Client, directories: StubDirectories) -> None:
        directories.fails = True
        answer = await client.get(POP, headers=basic("a", "b"))
        assert answer.status == 503
        assert (await answer.json())["error"]["code"] == "busy"
        assert (await client.get(POP, headers=basic())).status == 200


class TestWork:
    """A wrong guess costs the same, whoever it is about."""

    @pytest.mark.parametrize("headers", [{}, basic("a", "b"), {"Authorization": "Bearer x"}])
    async def test_same_comparisons_for_known_and_unknown(self, client: Client, headers: dict[str, str]) -> None:
        done: list[tuple[int, int]] = []
        await client.get(POP)  # what is known of the tenants is hashed once
        for sid in ("exotel535", "nobody"):
            with (
                mock.patch("hmac.compare_digest", wraps=hmac.compare_digest) as compared,
                mock.patch.object(origin, "_digest", wraps=origin._digest) as hashed,
            ):
                assert (await client.get(f"/missed/{sid}?CallSid={SID}", headers=headers)).status == 401
            done.append((compared.call_count, hashed.call_count))
            assert all(len(side) == 32 for call in compared.call_args_list for side in call.args)
        assert done[0] == done[1]


@pytest.fixture
async def behind_a_proxy(pipeline: StubPipeline) -> AsyncIterator[Client]:
    app = hook_app(pipeline, StubDirectories(tenant()), PROXIES)
    async with client_of(app) as client:
        yield client


async def test_failures_are_counted_by_the_address_behind_the_proxy(behind_a_proxy: Client) -> None:
    async def tries(address: str) -> set[int]:
        headers = {**basic("a", "b"), "X-Forwarded-For": address}
        answers = await asyncio.gather(*(behind_a_proxy.get(POP, headers=headers) for _ in range(MOST_FAILURES + 1)))
        return {answer.status for answer in answers}

    assert await tries("203.0.113.9") == {401, 429}
    assert await tries("2001:db8::1") == {401, 429}
    for address, status in (("198.51.100.7", 401), ("2001:db8::2", 429), ("2001:db8:0:1::2", 401)):
        headers = {**basic("a", "b"), "X-Forwarded-For": address}
        assert (await behind_a_proxy.get(POP, headers=headers)).status == status
