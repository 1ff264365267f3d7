"""Faults on purpose: dealt as asked, and seen by a client as they are described."""

import asyncio
import time
from collections import Counter, deque
from typing import Any, get_args

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from connector.kit.faults import Fault, Faults, faults_middleware
from connector.kit.wire import serving


class Counting:
    """An application whose one effect is counted."""

    def __init__(self, faults: Faults) -> None:
        self.effects = 0
        self.app = web.Application(middlewares=[faults_middleware(faults, under="/api/")])
        self.app.add_routes([web.post("/api/note", self.note), web.post("/control", self.note)])

    async def note(self, request: web.Request) -> web.Response:
        self.effects += 1
        return web.json_response(await request.json())


@pytest.mark.parametrize(
    ("fault", "status", "effects"),
    [
        ("ok", 200, 1),
        ("error_before", 500, 0),
        ("error_after", 500, 1),
        ("rate_limited", 429, 0),
        ("reset_before", None, 0),
        ("reset_after", None, 1),
        ("slow", 500, 0),
        ("late", 200, 1),
    ],
)
async def test_what_a_client_sees(fault: Fault, status: int | None, effects: int) -> None:
    faults = Faults(script=deque([fault]), slow_s=0.05, effect_after_s=0.02, retry_after_s=7)
    crm = Counting(faults)
    async with serving(crm.app) as url, aiohttp.ClientSession() as client:
        if status is None:
            with pytest.raises(aiohttp.ClientError):
                await client.post(f"{url}/api/note", json={"a": 1})
        else:
            async with client.post(f"{url}/api/note", json={"a": 1}) as answer:
                assert answer.status == status
                assert answer.headers.get("Retry-After") == ("7" if status == 429 else None)
        assert crm.effects == effects
        async with client.post(f"{url}/api/note", json={"a": 1}) as answer:
            assert answer.status == 200
    assert faults.dealt == {fault: 1}


async def test_a_late_effect_needs_no_client() -> None:
    crm = Counting(Faults(script=deque(["late"]), slow_s=0.2, effect_after_s=0.15))
    async with serving(crm.app) as url, aiohttp.ClientSession() as client:
        with pytest.raises(TimeoutError):
            await client.post(f"{url}/api/note", json={}, timeout=aiohttp.ClientTimeout(total=0.05))
        assert crm.effects == 0
        await asyncio.sleep(0.25)
        assert crm.effects == 1


async def test_latency_and_what_is_left_alone() -> None:
    faults = Faults(script=deque(["error_before"]), latency_s=0.05, only="GET")
    crm = Counting(faults)
    async with serving(crm.app) as url, aiohttp.ClientSession() as client:
        began = time.monotonic()
        async with client.post(f"{url}/control", json={}) as answer:
            assert answer.status == 200
        assert time.monotonic() - began < 0.05
        async with client.post(f"{url}/api/note", json={}) as answer:
            assert answer.status == 200
        assert time.monotonic() - began > 0.05
    assert list(faults.script) == ["error_before"]


def test_odds() -> None:
    faults = Faults(odds={"error_before": 0.05, "rate_limited": 0.05, "reset_after": 0.02}, seed=7)
    request = make_mocked_request("POST", "/api/note")
    dealt = Counter(faults.next(request) for _ in range(10_000))
    assert dealt == faults.dealt
    assert {fault: round(count / 10_000, 2) for fault, count in dealt.items()} == {
        "ok": 0.88,
        "error_before": 0.05,
        "rate_limited": 0.05,
        "reset_after": 0.02,
    }
    again = Faults(odds=faults.odds, seed=7)
    assert Counter(again.next(request) for _ in range(10_000)) == dealt


def test_change() -> None:
    faults = Faults()
    faults.change({"script": ["slow", "late"], "odds": {"error_after": 0.5}, "slow_s": 3})
    assert (faults.script, faults.odds, faults.slow_s) == (deque(["slow", "late"]), {"error_after": 0.5}, 3)
    wrongs: list[dict[str, Any]] = [{"colour": 1}, {"dealt": {}}, {"script": ["flood"]}, {"odds": {"flood": 1}}]
    for wrong in wrongs:
        with pytest.raises(ValueError, match="no such"):
            faults.change(wrong)


def test_every_fault_is_tried() -> None:
    marks = test_what_a_client_sees.pytestmark  # type: ignore[attr-defined]
    assert {values[0] for values in marks[0].args[1]} == set(get_args(Fault))
