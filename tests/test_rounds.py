"""`every`: nothing that a round raises ends the rounds, and each trouble is told once."""

import asyncio
import logging
from collections.abc import Callable

import pytest

from connector.errors import StoreBusy
from connector.rounds import every


class Rounds:
    """What is done: `ends` says how each round ends, the last of them for all that follow."""

    def __init__(self, *ends: Exception | None) -> None:
        self.ends = list(ends)
        self.begun = 0
        self.done = asyncio.Event()

    async def __call__(self) -> None:
        self.begun += 1
        end = self.ends.pop(0) if len(self.ends) > 1 else self.ends[0]
        if len(self.ends) == 1:
            self.done.set()
        if end is not None:
            raise end


async def test_it_begins_after_its_first_wait_and_ends_with_what_is_inside() -> None:
    at_once, later = Rounds(None), Rounds(None)
    async with every(60, at_once, name="a", first_s=0), every(60, later, name="b"):
        await asyncio.wait_for(at_once.done.wait(), 5)
        await asyncio.sleep(0.05)
    assert (at_once.begun, later.begun) == (1, 0)


async def test_a_fault_that_passes_ends_nothing_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    busy, bug = StoreBusy("The store is busy."), KeyError("x")
    rounds = Rounds(busy, busy, bug, KeyError("y"), None, busy, bug, None)
    with caplog.at_level(logging.INFO):
        async with every(0.001, rounds, name="looks"):
            await asyncio.wait_for(rounds.done.wait(), 5)
    told = [(one.levelname, one.message, vars(one)["round"], vars(one)["error"]) for one in caplog.records]
    as_busy = ("WARNING", "the store is busy", "looks", "The store is busy.")
    as_bug = ("ERROR", "a round failed; the next one comes", "looks", "KeyError: 'x'")
    assert told == [as_busy, as_bug, as_busy, as_bug]
    assert [bool(one.exc_info) for one in caplog.records] == [False, True, False, True]


async def test_it_can_be_woken() -> None:
    rounds, woken = Rounds(None), asyncio.Event()
    async with every(60, rounds, name="orders", woken=woken):
        for _ in range(3):
            rounds.done.clear()
            woken.set()
            await asyncio.wait_for(rounds.done.wait(), 5)
        await asyncio.sleep(0.05)
    assert rounds.begun == 3


async def test_a_round_under_way_is_cancelled_and_waited_for() -> None:
    begun, ended = asyncio.Event(), False

    async def long() -> None:
        nonlocal ended
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            ended = True

    async with every(60, long, name="long", first_s=0):
        await begun.wait()
    assert ended


async def test_waits_differ_by_their_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    real: Callable[[float | None], asyncio.Timeout] = asyncio.timeout

    def timeout(delay: float | None) -> asyncio.Timeout:
        waits.append(delay or 0.0)
        return real(0)

    rounds = Rounds(*[None] * 50)
    monkeypatch.setattr("connector.rounds.asyncio.timeout", timeout)
    async with every(10, rounds, name="spread", spread=0.2):
        await rounds.done.wait()
    assert all(8 <= wait <= 12 for wait in waits)
    assert max(waits) - min(waits) > 1
