"""What is remembered of those who are slow to tell: fresh, stale, shared, bounded."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from connector.errors import CrmUnavailable
from connector.pipeline.applets.cache import Kept, KeptValue
from tests.pipeline.world import ManualClock


@dataclass
class Teller:
    """Tells a value once it is let; counts who asked."""

    says: str = "Asha"
    asked: int = 0
    fails: bool = False
    may_tell: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.may_tell.set()

    async def __call__(self) -> str:
        self.asked += 1
        await self.may_tell.wait()
        if self.fails:
            raise CrmUnavailable("away")
        return self.says


Look = Callable[[], Awaitable[str]]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def kept(clock: ManualClock) -> AsyncIterator[Kept[str, str]]:
    made: Kept[str, str] = Kept(clock, fresh_s=10, stale_s=100, looks=2, look_s=30)
    yield made
    await made.close()


async def test_a_fresh_value_is_not_asked_for_again(kept: Kept[str, str], clock: ManualClock) -> None:
    teller = Teller()
    assert await kept.get("a", teller, 5) == KeptValue("Asha", fresh=True)
    clock.advance(9)
    assert await kept.get("a", teller, 5) == KeptValue("Asha", fresh=True)
    assert teller.asked == 1
    clock.advance(2)
    teller.says = "Bina"
    assert await kept.get("a", teller, 5) == KeptValue("Bina", fresh=True)


async def test_a_stale_value_is_better_than_waiting(kept: Kept[str, str], clock: ManualClock) -> None:
    teller = Teller()
    await kept.get("a", teller, 5)
    clock.advance(50)
    teller.may_tell.clear()
    teller.says = "Bina"
    assert await kept.get("a", teller, 0.01) == KeptValue("Asha", fresh=False)
    assert kept.is_awaited("a")
    teller.may_tell.set()
    assert await kept.get("a", teller, 5) == KeptValue("Bina", fresh=True), "the look went on"
    clock.advance(101)
    teller.may_tell.clear()
    assert await kept.get("a", teller, 0.01) is None, "too old to be believed"


async def test_all_who_ask_at_once_share_a_look(kept: Kept[str, str]) -> None:
    teller = Teller()
    teller.may_tell.clear()
    asking = [asyncio.create_task(kept.get("a", teller, 30)) for _ in range(50)]
    await asyncio.sleep(0)
    asking[0].cancel()
    await asyncio.sleep(0)
    teller.may_tell.set()
    assert await asyncio.gather(*asking[1:]) == [KeptValue("Asha", fresh=True)] * 49
    assert teller.asked == 1


async def test_who_cannot_wait_starts_a_look_all_the_same(kept: Kept[str, str]) -> None:
    teller = Teller()
    assert await kept.get("a", teller, 0) is None
    assert await kept.get("a", teller, 5) == KeptValue("Asha", fresh=True)
    assert teller.asked == 1


async def test_a_failed_look_is_not_repeated_at_once(kept: Kept[str, str], clock: ManualClock) -> None:
    teller = Teller(fails=True)
    for _ in range(5):
        assert await kept.get("a", teller, 5) is None
    assert teller.asked == 1
    clock.advance(6)
    teller.fails = False
    assert await kept.get("a", teller, 5) == KeptValue("Asha", fresh=True)


async def test_looks_under_way_are_bounded_per_party(clock: ManualClock) -> None:
    kept: Kept[str, str] = Kept(clock, fresh_s=10, stale_s=100, looks=2, look_s=30, party=lambda key: key[0])
    teller = Teller()
    teller.may_tell.clear()
    for key in ("a1", "a2", "a3", "b1"):
        assert await kept.get(key, teller, 0) is None
    assert [key for key in ("a1", "a2", "a3", "b1") if kept.is_awaited(key)] == ["a1", "a2", "b1"]
    teller.may_tell.set()
    assert await kept.get("a1", teller, 5) == KeptValue("Asha", fresh=True)
    assert await kept.get("a3", teller, 5) == KeptValue("Asha", fresh=True), "there is room again"
    await kept.close()


async def test_a_look_that_never_ends_is_given_up(clock: ManualClock) -> None:
    kept: Kept[str, str] = Kept(clock, fresh_s=10, stale_s=100, looks=1, look_s=0.05)
    teller = Teller()
    teller.may_tell.clear()
    assert await kept.get("a", teller, 30) is None
    assert not kept.is_awaited("a")
    await kept.close()
