"""Killed (SIGKILL) at random and at every boundary between two writes: one ticket, one note per acknowledged call."""

import asyncio
import math
import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.e2e.service import answered, both, caller, stand_in, tenant
from tests.e2e.service import service as service_

#: Every fifth of the kills does not wait for the service's start.
IMPATIENT = 5
#: What is asked for only where a write may have been done.
LOOK_UPS = ("GET /contacts", "GET /tickets", "GET /tickets/{id}/conversations")
#: All that a call of a new caller passes.
BOUNDARIES = [
    "contact started",
    "POST contacts",
    "contact done",
    "started ticket",
    "POST tickets",
    "started note:recording",
    "POST notes",
    "finished",
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "callers", "kills"), [(250, 75, 6), pytest.param(1000, 300, 24, marks=pytest.mark.long)]
)
async def test_killed_at_random_moments(tmp_path: Path, count: int, callers: int, kills: int) -> None:
    seed = int(os.environ.get("E2E_SEED") or time.time())
    print(f"E2E_SEED={seed}")
    dice = random.Random(seed)
    calls = {f"call{number:04d}": caller(dice.randrange(count // 3)) for number in range(count)}
    async with both(tmp_path) as (service, crm):
        let_go, few_at_once = asyncio.Semaphore(0), asyncio.Semaphore(24)

        async def send(call_sid: str) -> None:
            await let_go.acquire()
            async with few_at_once:
                await service.insist("automated_answered", answered(call_sid, calls[call_sid]))

        async with asyncio.TaskGroup() as sending:
            for call_sid in calls:
                sending.create_task(send(call_sid))
            for number in range(kills):
                for _ in range(math.ceil(count / kills)):
                    let_go.release()
                # It dies amid its writes, however slow the machine.
                if number % IMPATIENT == IMPATIENT - 1:
                    await service.start(ready=False)
                else:
                    before = await crm.writes()
                    await service.start()
                    await crm.wrote_more_than(before)
                await asyncio.sleep(dice.uniform(0.0, 0.3))
                service.kill()
            await service.start()
        await service.settled(90)
        (await crm.written()).assert_exact(calls, (1, 1), len(set(calls.values())))
        requests = (await crm.control("state"))["requests"]
        looked_up = {path: requests.get(path, 0) for path in LOOK_UPS}
        print(f"writes without a verdict, looked up by key: {looked_up}")
        assert sum(looked_up.values()) > 0, "the kills hit no write"


@pytest.mark.slow
async def test_killed_at_each_boundary(tmp_path: Path) -> None:
    """One service per boundary, on stores of their own; together they take the time of one settling."""
    async with stand_in(tmp_path) as crm:

        async def dies(at: int) -> str:
            folder = tmp_path / f"at{at}"
            passed = folder / "boundaries"
            async with service_(folder, tenant(crm.url, sid=f"exotel{at}")) as service:
                async with starting:
                    await service.start({"at": at, "do": "SIGKILL", "boundaries": str(passed)})
                call = answered(f"call{at}", caller(at), f"exotel{at}")
                acknowledged = await service.hook("automated_answered", call, f"exotel{at}") == 200
                if at <= len(BOUNDARIES):
                    assert await service.ended(60) == -signal.SIGKILL
                    assert passed.read_text().splitlines() == BOUNDARIES[:at]
                    async with starting:
                        await service.start()
                    if not acknowledged:  # it died before it could say so
                        await service.insist("automated_answered", call, f"exotel{at}")
                await service.settled(60)
                assert await service.stop() == 0
                return passed.read_text()

        starting = asyncio.Semaphore(2)
        after = range(1, len(BOUNDARIES) + 2)
        passed = await asyncio.gather(*map(dies, after))
        assert passed[-1].splitlines() == BOUNDARIES, "a boundary is new: the list above does not try it"
        (await crm.written()).assert_exact([f"call{at}" for at in after], (1, 1), len(after))
