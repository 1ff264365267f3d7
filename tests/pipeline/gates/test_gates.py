"""Gates of two replicas on one store: what one learns of an account holds for the other, and together they are one."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from connector_freshdesk import Freshdesk
from sqlalchemy import text

from connector.clock import SYSTEM
from connector.pipeline.gates.gate import PROBE_EVERY_S, Gate
from connector.pipeline.gates.replicas import DEAD_S, Replicas
from connector.store.engine.database import Database
from tests.databases import config_in
from tests.pipeline.world import SID, World, replica, standin_of, tenant_file, world
from tests.rig.waiting import until

#: What a replica wrote has reached the others: docs/design.md §7, about a second; here with room for a slow machine.
_SOON_S = 20.0


async def told(teller: World, other: World) -> None:
    """Stores what `teller` learned of its gate, as the pipeline does; returns once the other knows it."""
    assert await teller.pipeline.accounts.store(gate(teller))
    await until(lambda: gate(other).state == gate(teller).state)


def gate(w: World) -> Gate:
    return w.pipeline.accounts.gate(w.tenant.connections[0])


def rooms(*worlds: World) -> int:
    """How many deliveries may start now on all of them."""
    return sum(w.pipeline.accounts.room(w.tenant.connections[0].id) for w in worlds)


@asynccontextmanager
async def two(folder: Path, *, deliver: bool = True, account: object = None) -> AsyncIterator[tuple[World, World]]:
    async with (
        world(folder, single_process=False, deliver=deliver, account=account) as a,
        replica(a, deliver=deliver) as b,
    ):
        yield a, b


# --- pause ---


async def test_a_pause_reaches_the_other_and_so_does_its_end(tmp_path: Path) -> None:
    account = standin_of("freshdesk").Account(keys={"other": "admin"})
    async with two(tmp_path, account=account) as (a, b):
        await a.missed("c1")
        await until(lambda: gate(a).state.paused and gate(b).state.paused)
        asked = account.requests.total()
        assert gate(a).account in b.pipeline.accounts.paused()
        await b.missed("c2")
        (_, second) = await b.settle()
        assert (second["reason"], account.requests.total()) == ("paused", asked), "B asks nothing"
        account.keys = None
        await b.pipeline.accounts.resume(gate(b).account)
        await until(lambda: not gate(a).state.paused)
        await until(lambda: len(a.tickets) == 2)  # by whichever of them has the room


async def test_one_replica_at_a_time_probes(tmp_path: Path) -> None:
    account = standin_of("freshdesk").Account(keys={"other": "admin"})
    async with two(tmp_path, account=account) as (a, b):
        await a.missed("c1")
        await until(lambda: gate(a).state.paused and gate(b).state.paused)
        before = account.requests.total()
        a.faults.latency_s = 0.3  # the first is still under way when the second begins
        await asyncio.gather(*(w.pipeline.accounts.probe(due_only=False) for w in (a, b)))
        assert account.requests.total() == before + 1
        await until(lambda: gate(a).state.version == gate(b).state.version)
        await asyncio.gather(*(w.pipeline.accounts.probe() for w in (a, b)))
        assert account.requests.total() == before + 1, "the next is due in a quarter of an hour"
        a.clock.advance(PROBE_EVERY_S + 1)
        await asyncio.gather(*(w.pipeline.accounts.probe() for w in (a, b)))
        assert account.requests.total() == before + 2


async def test_who_dies_in_its_probe_is_followed_by_another(tmp_path: Path) -> None:
    account = standin_of("freshdesk").Account(keys={"other": "admin"})
    async with two(tmp_path, account=account) as (a, b):
        await a.missed("c1")
        await until(lambda: gate(a).state.paused and gate(b).state.paused)
        a.faults.script.append("slow")
        a.faults.slow_s = 1.0
        dying = asyncio.create_task(a.pipeline.accounts.probe(due_only=False))
        await until(lambda: a.faults.dealt["slow"] == 1)
        dying.cancel()
        account.keys = None
        await b.pipeline.accounts.probe(due_only=False)
        assert gate(b).state.paused, "somebody asks"
        b.clock.advance(61)
        await b.pipeline.accounts.probe(due_only=False)
        assert not gate(b).state.paused
        await until(lambda: not gate(a).state.paused)


# --- circuit ---


async def test_an_open_circuit_holds_both_and_work_comes_back_in_ones_and_twos(tmp_path: Path) -> None:
    async with two(tmp_path, deliver=False) as (a, b):
        await until(lambda: rooms(a) == rooms(b) == gate(a).in_flight // 2)
        for _ in range(5):
            opened = gate(a).failed()
        assert opened
        await told(a, b)
        assert rooms(a, b) == 0
        a.clock.advance(2)
        assert rooms(a, b) == 1, "one delivery on both together"
        trial, other = (a, b) if rooms(a) else (b, a)
        # It fails: one failure is enough, and the next wait is longer.
        assert gate(trial).failed()
        await told(trial, other)
        assert rooms(a, b) == 0
        a.clock.advance(3)
        for allowed in (2, 4, 8, 16, 32):
            assert gate(trial).succeeded()
            await told(trial, other)
            assert rooms(a, b) == allowed
        assert not gate(trial).succeeded(), "all is as it was: nothing to tell"


async def test_two_that_write_at_once_agree(tmp_path: Path) -> None:
    async with two(tmp_path, deliver=False) as (a, b):
        for w in (a, b):
            for _ in range(5):
                gate(w).failed()
        written = await asyncio.gather(*(w.pipeline.accounts.store(gate(w)) for w in (a, b)))
        assert sorted(written) == [False, True]
        assert gate(a).state == gate(b).state
        # A person's word stands above what a circuit did meanwhile.
        gate(a).succeeded()
        assert await a.pipeline.accounts.store(gate(a))
        await b.pipeline.accounts.resume(gate(b).account)
        assert gate(b).state.version == gate(a).state.version + 1
        await until(lambda: gate(a).state == gate(b).state)


# --- what may run at once ---


async def test_each_takes_its_part_and_a_dead_one_gives_it_back(tmp_path: Path) -> None:
    db = Database(config_in(tmp_path).database_url, single_process=False)

    async def silent_for(seconds: float, id_: str) -> None:
        aged = text("update replica set seen_at = seen_at - :seconds where id = :id")
        await asyncio.to_thread(db.transact, lambda sql: sql.execute(aged, {"seconds": seconds, "id": id_}))

    async with db.running():
        alive = [Replicas(db, SYSTEM) for _ in range(3)]
        for one in (*alive, *alive):
            await one.beat()
        for total in (1, 4, 32, 100):
            assert sum(one.part(total, "acme.freshdesk.com") for one in alive) == total
        assert {one.part(30, "acme") for one in alive} == {10}
        # Nobody hears of the third any more; a beat late is no death.
        await silent_for(DEAD_S - 5, alive[2].id)
        for one in alive[:2]:
            await one.beat()
            assert one.count == 3
        await silent_for(5, alive[2].id)
        for one in alive[:2]:
            await one.beat()
            assert one.part(32, "acme") == 16
        assert DEAD_S < 30
        # It was only frozen.
        await alive[2].beat()
        await alive[0].beat()
        assert {alive[0].count, alive[2].count} == {3}


async def test_who_comes_waits_until_it_is_known_and_who_ends_says_so(tmp_path: Path) -> None:
    async with world(tmp_path, single_process=False, deliver=False) as a:
        most = gate(a).in_flight
        assert rooms(a) == most
        async with replica(a, deliver=False) as b:
            assert rooms(b) in (1, most // 2), "the least, until the others have heard of it"
            await until(lambda: rooms(a) == rooms(b) == most // 2)
        await until(lambda: rooms(a) == most)


# --- apply ---


async def test_what_is_applied_reaches_both(tmp_path: Path) -> None:
    async with two(tmp_path, deliver=False) as (a, b):
        file = tenant_file(a.base_url, enabled=False)
        await a.apply(file)
        await until(lambda: not b.directories.current.tenants[SID].connections[0].enabled)
        assert rooms(a, b) == 0


@pytest.mark.parametrize("both_databases", ["postgresql"], indirect=True)  # an SQLite file carries no tokens
async def test_what_one_has_no_part_left_for_the_other_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All events come to A, and more of them until its part of what may run is used up and B has taken some."""
    monkeypatch.setattr(Freshdesk, "limits", {"all": (1_000_000, 60)})
    async with two(tmp_path) as (a, b):
        await until(lambda: rooms(a) == rooms(b) == gate(a).in_flight // 2)
        started = a.pipeline.accounts.started
        begun: list[tuple[int, int]] = []

        def seen(connection_id: str, change: int) -> None:
            part = max(1, gate(a)._part(gate(a).in_flight, gate(a).account))
            started(connection_id, change)
            if change > 0:
                begun.append((gate(a).running, part))

        monkeypatch.setattr(a.pipeline.accounts, "started", seen)
        a.faults.latency_s = 1.0
        sent = 0
        end = time.monotonic() + _SOON_S
        while sent < 24 or not (gate(a).running > 0 and gate(b).running > 0):
            assert time.monotonic() < end
            await a.missed(f"c{sent}", f"08888464{sent:03}")
            sent += 1
            if sent >= 24:
                await asyncio.sleep(0.05)
        # However long it took: at no start has A gone beyond its part, which is half for as long as both are heard of.
        assert begun[0][1] == gate(a).in_flight // 2
        assert all(running <= part for running, part in begun), begun
        a.faults.latency_s = 0.0
        await until(lambda: len(a.tickets) == sent)
