"""Three replicas on one PostgreSQL: killed, frozen, cut off; every acknowledged call is one ticket and one note."""

import asyncio
import os
import random
import signal
import time
from pathlib import Path

import pytest

from connector.config import Config
from tests import databases
from tests.e2e.replicas import Replica, Replicas, replicas
from tests.e2e.service import answered, caller, stand_in, tenant

CALLERS, SENDERS = 600, 48
TENANTS = [f"exotel{number}" for number in range(3)]
#: Calls come so fast that they last while things go wrong; the last tenth of them waits until all has gone wrong.
LASTS_S = 33.0
KILL_EVERY_S, KILLS = 3.0, 3
#: A claim of 6 s and a CRM that settles within 2 s, instead of 24 s and 10 s: a freeze must outlast both. Looks come
#: each 5 s, instead of 15 s.
SHORT = {"lease_s": 6.0, "settle_s": 2.0, "timeout_s": 3.0, "look_every_s": 5.0}
FREEZE_S = 9.0


@pytest.mark.slow
@pytest.mark.parametrize("count", [300, pytest.param(2000, marks=pytest.mark.long)])
async def test_calls_while_everything_goes_wrong(tmp_path: Path, count: int) -> None:
    seed = int(os.environ.get("E2E_SEED") or time.time())
    print(f"E2E_SEED={seed}")
    dice = random.Random(seed)
    calls = {f"call{number:04d}": (TENANTS[number % 3], _caller_of(number % 3, dice)) for number in range(count)}
    with databases.own_server() as (server, own):
        config = databases.PostgresStores(server).config(tmp_path)
        async with (
            stand_in(tmp_path) as crm,
            replicas(tmp_path, config, *(tenant(crm.url, sid=sid) for sid in TENANTS), patches=[SHORT] * 3) as running,
        ):
            killed_enough, is_over = asyncio.Event(), asyncio.Event()
            let_go, few_at_once = asyncio.Semaphore(0), asyncio.Semaphore(SENDERS)

            async def come() -> None:
                for number in range(count):
                    let_go.release()
                    if not is_over.is_set():
                        await asyncio.sleep((1.0 if number < 0.9 * count else 10.0) * LASTS_S / count)

            async def send(call_sid: str, sid: str, number: str) -> None:
                await let_go.acquire()
                async with few_at_once:
                    await running.insist("automated_answered", answered(call_sid, number, sid), sid, dice)

            async def go_wrong() -> None:
                for place, mode in (("started", "fast"), ("accepting", "immediate")):
                    victim = await _frozen_at(place, running, dice)
                    woken_at = time.monotonic() + FREEZE_S
                    await running.drop_connections()
                    await asyncio.sleep(woken_at - time.monotonic())
                    victim.signal(signal.SIGCONT)
                    running.give_back(victim)
                    await asyncio.to_thread(own.restart, mode)
                await killed_enough.wait()
                await running.drop_connections()
                is_over.set()

            async with asyncio.TaskGroup() as tasks:
                for call_sid, (sid, number) in calls.items():
                    tasks.create_task(send(call_sid, sid, number))
                tasks.create_task(come())
                tasks.create_task(go_wrong())
                kills = await _kill(running, dice, killed_enough, is_over)
            # A dead replica's claims end, and what it had begun settles, before its work is done by another.
            await running[0].settled(120)
            print(f"{kills} kills")
            assert kills >= KILLS
            (await crm.written()).assert_exact(calls, (1, 1), len({number for _, number in calls.values()}))


def _caller_of(place: int, dice: random.Random) -> str:
    # The stand-in is one account for all: tenants that share callers would find each other's contacts.
    return caller(place * CALLERS + dice.randrange(CALLERS // 3))


async def _frozen_at(place: str, running: Replicas, dice: random.Random) -> Replica:
    victim = await running.take(dice)
    victim.freeze_at(place)
    await victim.frozen(60)
    return victim


async def _kill(running: Replicas, dice: random.Random, killed_enough: asyncio.Event, is_over: asyncio.Event) -> int:
    """Kills one after the other, at most every `KILL_EVERY_S`, and starts it again; how many."""
    kills = 0
    while not is_over.is_set():
        next_at = time.monotonic() + KILL_EVERY_S
        victim = await running.take(dice)
        victim.kill()
        kills += 1
        if kills == KILLS:
            killed_enough.set()
        await victim.start_again()
        running.give_back(victim)
        await asyncio.sleep(max(0.0, next_at - time.monotonic()))
    return kills


async def test_told_to_stop_a_replica_ends_its_work_and_the_others_go_on(tmp_path: Path, shared_store: Config) -> None:
    calls = {f"call{number:02d}": caller(number) for number in range(24)}
    async with (
        stand_in(tmp_path, "--latency-ms", "100") as crm,
        replicas(tmp_path, shared_store, tenant(crm.url), patches=[{}] * 2) as running,
    ):
        for call_sid, number in calls.items():
            await running[0].insist("automated_answered", answered(call_sid, number))
        assert await running[0].stop() == 0
        await running[1].settled(60)
        (await crm.written()).assert_exact(calls, (1, 1), len(calls))
