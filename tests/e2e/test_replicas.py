"""Three replicas on one PostgreSQL: killed, frozen, cut off; every acknowledged call is one ticket and one note."""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from connector.config import Config
from tests import databases
from tests.e2e.service import Service, answered, caller, stand_in, tenant

CALLS, CALLERS = 300, 90
_DROP = (
    "select pg_terminate_backend(pid) from pg_stat_activity"
    " where datname = current_database() and pid <> pg_backend_pid()"
)


@pytest.fixture
def config(tmp_path: Path, postgres: databases.Server) -> Iterator[Config]:
    stores = databases.PostgresStores(postgres)
    yield stores.config(tmp_path)
    stores.give_back()


@contextlib.asynccontextmanager
async def replicas(folder: Path, config: Config, crm_url: str, count: int) -> AsyncIterator[list[Service]]:
    """Replicas that serve one tenant, whose CRM is the stand-in's."""
    made = [Service(folder / f"replica{number}", config) for number in range(count)]
    try:
        await made[0].apply(tenant(crm_url))
        await made[0].take_token()
        for other in made[1:]:
            await asyncio.to_thread(shutil.copy, f"{made[0].database}.token", f"{other.database}.token")
        await asyncio.gather(*(one.start() for one in made))
        yield made
    finally:
        await asyncio.gather(*(one.close() for one in made))


@pytest.mark.slow
async def test_killed_frozen_and_cut_off_during_calls(tmp_path: Path, config: Config) -> None:
    seed = int(os.environ.get("E2E_SEED") or time.time())
    print(f"E2E_SEED={seed}")
    dice = random.Random(seed)
    calls = {f"call{number:04d}": caller(dice.randrange(CALLERS)) for number in range(CALLS)}
    async with stand_in(tmp_path) as crm, replicas(tmp_path, config, crm.url, 3) as running:
        let_go, few_at_once = asyncio.Semaphore(0), asyncio.Semaphore(12)

        async def send(number: int, call_sid: str) -> None:
            await let_go.acquire()
            async with few_at_once:
                # Exotel's load balancer would choose another one where a replica is away; `insist` asks the same.
                await running[number % 3].insist("automated_answered", answered(call_sid, calls[call_sid]))

        async with asyncio.TaskGroup() as sending:
            for number, call_sid in enumerate(calls):
                sending.create_task(send(number, call_sid))
            for turn in range(6):
                for _ in range(CALLS // 6):
                    let_go.release()
                victim = running[dice.randrange(3)]
                await asyncio.sleep(dice.uniform(0.1, 0.6))
                if turn % 3 == 0:
                    victim.kill()
                    await victim.start()
                elif turn % 3 == 1:
                    victim.signal(signal.SIGSTOP)
                    await asyncio.sleep(3)
                    victim.signal(signal.SIGCONT)
                else:
                    await _drop_connections(config.database_url)
        # A dead replica's claims end, and what it had begun settles, before its work is done by another.
        await running[0].settled(120)
        (await crm.written()).assert_exact(calls, (1, 1), len(set(calls.values())))


async def _drop_connections(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(_DROP)
    finally:
        await connection.close()


async def test_told_to_stop_a_replica_ends_its_work_and_the_others_go_on(tmp_path: Path, config: Config) -> None:
    calls = {f"call{number:02d}": caller(number) for number in range(24)}
    async with stand_in(tmp_path, "--latency-ms", "100") as crm, replicas(tmp_path, config, crm.url, 2) as running:
        for call_sid, number in calls.items():
            await running[0].insist("automated_answered", answered(call_sid, number))
        assert await running[0].stop() == 0
        await running[1].settled(60)
        (await crm.written()).assert_exact(calls, (1, 1), len(calls))
