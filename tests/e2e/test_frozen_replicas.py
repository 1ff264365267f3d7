"""A replica frozen (SIGSTOP) at a bad place: others are held for 2 s at most, and nothing is lost or doubled."""

import asyncio
import itertools
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.config import Config
from tests.e2e.replicas import Replica, frozen_at, new_calls, replicas
from tests.e2e.service import caller, missed, stand_in, tenant

#: A claim of 4 s and a CRM that settles within 1 s, instead of 24 s and 10 s: a freeze must outlast both. Looks come
#: each 3 s, instead of 15 s.
SHORT = {"lease_s": 4.0, "settle_s": 1.0, "timeout_s": 1.5, "look_every_s": 3.0}
#: Boundaries (see `test_kill`) that a write follows: `started` is committed, not a byte has left.
STARTED = ["contact started", "started ticket", "started note:recording"]
#: Where a replica holds what the others' accepts may wait for, or could be thought to.
ACCEPT = ["accepting", "accepted", "claiming", "journalling"]
#: Those where it holds rows.
HOLDS = {"claiming", "journalling"}
#: How long others may wait because of one that is frozen (docs/design.md §7).
BOUND_S = 2.0
#: A machine that is busy just then is not what is measured; what is, is there each time.
TRIES = 3


@pytest.mark.slow
async def test_frozen_inside_accept_it_holds_the_others_for_two_seconds_at_most(
    tmp_path: Path, shared_store: Config
) -> None:
    calls = new_calls()
    async with (
        stand_in(tmp_path) as crm,
        replicas(tmp_path, shared_store, tenant(crm.url), patches=[{}] * 3) as running,
    ):
        victim, *others = running
        # What the machine itself takes; the first requests warm up.
        usual_s = [await _longest_ack_s(others, [], calls) for _ in range(2)][-1]

        async def held_s(place: str) -> float | None:
            """The longest that the others were held; None where it froze and held nothing."""
            waiting = await frozen_at(place, victim, calls)
            held = await running.locked_calls()
            longest_s = await _longest_ack_s(others, held, calls)
            victim.signal(signal.SIGCONT)
            await asyncio.gather(*waiting)
            await running[0].settled(60)
            return longest_s if held or place not in HOLDS else None

        for place in ACCEPT:
            tries: list[float] = []
            for _ in range(3 * TRIES):
                took_s = await held_s(place)
                tries += [took_s] if took_s is not None else []
                if len(tries) == TRIES or min(tries, default=BOUND_S + usual_s) < BOUND_S + usual_s:
                    break
            print(f"{place}: {tries} s, usually {usual_s:.3f} s")
            assert min(tries) < BOUND_S + usual_s, place
        await running[0].settled(60)
        written = (await crm.written()).calls()
        assert len(written) == next(calls)[0]
        assert {count for call_sid, count in written.items() if call_sid.startswith("frozen")} == {(1, 1)}
        assert {count for call_sid, count in written.items() if call_sid.startswith("other")} == {(1, 0)}


async def _longest_ack_s(others: list[Replica], held: list[str], calls: Iterator[tuple[int, str]]) -> float:
    """Calls of their own and further events of these calls, some at once: the longest that one waited for its 200."""

    async def ack_s(replica: Replica, event: str, params: dict[str, str]) -> float:
        began = time.monotonic()
        await replica.insist(event, params)
        return time.monotonic() - began

    longest_s = 0.0
    for turn in range(5):
        own = [("missed", missed(f"other{number}", who)) for number, who in itertools.islice(calls, 6)]
        further = [("popup", {**missed(call_sid, caller(0)), "Turn": str(turn)}) for call_sid in held]
        sent = zip(itertools.cycle(others), own + further, strict=False)
        longest_s = max(longest_s, *await asyncio.gather(*(ack_s(one, *event) for one, event in sent)))
    return longest_s


@pytest.mark.slow
async def test_frozen_between_started_and_the_bytes(tmp_path: Path, shared_store: Config) -> None:
    calls = new_calls()
    async with (
        stand_in(tmp_path) as crm,
        replicas(tmp_path, shared_store, tenant(crm.url), patches=[SHORT] * 4) as running,
    ):
        *victims, awake = running
        waiting = [
            one for victim, place in zip(victims, STARTED, strict=True) for one in await frozen_at(place, victim, calls)
        ]
        # Their claims run out: the one that is left looks for what they began, and then writes it.
        await awake.settled(120)
        written = await crm.written()
        assert set(written.calls().values()) == {(1, 1)}
        for victim in victims:
            victim.signal(signal.SIGCONT)
        # Awake, each finds out by itself that it may not send any more. Told to stop, it ends what it was at first.
        await asyncio.gather(*waiting)
        assert set(await asyncio.gather(*(victim.stop() for victim in victims))) == {0}
        await awake.settled(120)
        sent = next(calls)[0]
        (await crm.written()).assert_exact([f"frozen{number}" for number in range(sent)], (1, 1), sent)
        assert all("the claim was lost" in victim.log.read_text() for victim in victims)
