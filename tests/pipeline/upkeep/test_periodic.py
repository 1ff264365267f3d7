"""Periodic jobs: one process at a time holds one, whoever dies loses it, and nothing ends the loop."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import text

from connector.errors import CrmUnavailable, StoreBusy
from connector.pipeline.upkeep import periodic
from connector.pipeline.upkeep.periodic import Periodic
from connector.store.engine.database import Database
from connector.store.engine.held import Hold
from connector.store.queries import leases
from connector.store.queries.leases import Standing
from connector.tenants.directory import Directories
from connector.tenants.model import Tenant
from tests.databases import config_in
from tests.pipeline.world import ManualClock
from tests.web.stubs import StubDirectories, tenant

JOB = "retention:exotel535"


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(config_in(tmp_path).database_url)
    async with database.running():
        yield database


async def claim(db: Database, holder: str, now: float) -> Standing:
    return await db.write(leases.claim, Hold(JOB, holder, now, now + 60))


async def renew(db: Database, holder: str, now: float) -> bool:
    return await db.write(leases.renew, Hold(JOB, holder, now, now + 60))


async def test_one_holder_has_a_job_until_its_lease_ends(db: Database) -> None:
    assert await claim(db, "one", 100.0) == Standing(granted=True, free_at=160.0)
    assert await claim(db, "two", 159.9) == Standing(granted=False, free_at=160.0)
    assert await claim(db, "two", 160.0) == Standing(granted=True, free_at=220.0)
    assert not await renew(db, "one", 161.0)
    assert not await db.write(leases.release, (JOB, "one", 0.0))
    assert await renew(db, "two", 170.0)
    assert await claim(db, "one", 229.0) == Standing(granted=False, free_at=230.0)


async def test_a_lease_that_ended_is_not_renewed_even_if_nobody_took_it(db: Database) -> None:
    await claim(db, "one", 100.0)
    assert not await renew(db, "one", 160.0)


async def test_what_was_given_back_is_due_when_its_holder_said(db: Database) -> None:
    await claim(db, "one", 100.0)
    assert await db.write(leases.release, (JOB, "one", 3700.0))
    assert await claim(db, "one", 3699.0) == Standing(granted=False, free_at=3700.0)
    assert (await claim(db, "two", 3700.0)).granted


async def test_of_two_that_ask_in_one_commit_one_gets_it(db: Database) -> None:
    found = await asyncio.gather(*(claim(db, holder, 100.0) for holder in "abcdefgh"))
    assert sum(standing.granted for standing in found) == 1


class Replica:
    """A process's job for some tenants; `runs` are the SIDs it ran for."""

    def __init__(
        self,
        db: Database,
        clock: ManualClock,
        *sids: str,
        work: Callable[[Tenant], Awaitable[None]] | None = None,
        which: Callable[[], Awaitable[set[int]]] | None = None,
    ) -> None:
        self.runs: list[str] = []
        self._work = work
        self.directories = StubDirectories(
            *(tenant(sid, id_, hook=f"hook-{sid}") for id_, sid in enumerate(sids or ("exotel535",), 1))
        )
        self.job = Periodic(
            "retention",
            self._run,
            every_s=3600,
            db=db,
            directories=cast(Directories, self.directories),
            clock=clock,
            which=which,
        )

    async def _run(self, of: Tenant) -> None:
        self.runs.append(of.sid)
        if self._work is not None:
            await self._work(of)

    async def turn(self) -> None:
        """Everything that is due now, done."""
        await self.job.look()
        await self.job.idle()


async def test_a_job_runs_once_a_period_on_one_of_two_replicas(db: Database) -> None:
    clock = ManualClock()
    one, two = Replica(db, clock, "a", "b"), Replica(db, clock, "a", "b")
    for _ in range(3):
        await asyncio.gather(one.turn(), two.turn())
        await asyncio.gather(one.turn(), two.turn())
        clock.advance(3600 * 1.1)
    assert sorted(one.runs + two.runs) == ["a"] * 3 + ["b"] * 3


async def test_who_has_nothing_to_do_costs_no_turn(db: Database) -> None:
    busy: set[int] = set()

    async def which() -> set[int]:
        return busy

    clock = ManualClock()
    replica = Replica(db, clock, "a", "b", which=which)
    await replica.turn()
    assert replica.runs == []
    busy.add(2)
    for _ in range(2):
        await replica.turn()
    assert replica.runs == ["b"]
    busy.add(1)
    clock.advance(3600 * 1.1)
    await replica.turn()
    assert sorted(replica.runs) == ["a", "b", "b"]


async def test_a_job_outlives_a_busy_store(
    db: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(periodic, "_LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(periodic, "_ASK_EVERY", 0.0)
    answers: list[Exception | set[int]] = [StoreBusy("The store is busy."), {1}]
    began = asyncio.Event()

    async def which() -> set[int]:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def note(_of: Tenant) -> None:
        began.set()

    async with asyncio.timeout(20), Replica(db, ManualClock(), work=note, which=which).job.running():
        await began.wait()
    assert "the store is busy" in [record.message for record in caplog.records]


async def test_a_restart_runs_nothing_sooner(db: Database) -> None:
    clock = ManualClock()
    await Replica(db, clock).turn()
    later = Replica(db, clock)
    await later.turn()
    clock.advance(3600 * 0.89)
    await later.turn()
    assert later.runs == []
    clock.advance(3600 * 0.21)
    await later.turn()
    assert later.runs == ["exotel535"]


async def test_what_a_job_raises_is_logged_and_the_job_runs_again(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    clock, errors = ManualClock(), [ValueError("a mistake of ours"), CrmUnavailable("Exotel is away.")]

    async def fail(_of: Tenant) -> None:
        if errors:
            raise errors.pop(0)

    replica = Replica(db, clock, work=fail)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            await replica.turn()
            clock.advance(300)
    assert replica.runs == ["exotel535"] * 3
    first, second = (cast(Any, record) for record in caplog.records)
    assert (first.error, first.tenant, first.again_in_s) == ("ValueError: a mistake of ours", "exotel535", 300)
    assert first.exc_info is not None
    assert second.error == "CrmUnavailable: Exotel is away."
    assert not second.exc_info


@pytest.mark.parametrize("error", [StoreBusy("The disk is full."), RuntimeError("a mistake of ours")])
async def test_a_store_that_fails_is_asked_again(
    db: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    async def fail(*_args: object) -> None:
        raise error

    clock = ManualClock()
    replica = Replica(db, clock)
    with monkeypatch.context() as broken:
        broken.setattr(db, "write", fail)
        await replica.turn()
    await replica.turn()
    assert replica.runs == []
    clock.advance(300)
    await replica.turn()
    assert replica.runs == ["exotel535"]
    assert [cast(Any, record).error for record in caplog.records] == [f"{type(error).__name__}: {error}"]


async def test_a_job_that_lost_its_lease_is_given_up(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(periodic, "_RENEW_EVERY_S", 0.01)
    clock, began, given_up = ManualClock(), asyncio.Event(), asyncio.Event()

    async def hang(_of: Tenant) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    frozen, taker = Replica(db, clock, work=hang), Replica(db, clock)
    async with asyncio.timeout(20):
        await frozen.job.look()
        await began.wait()
        clock.advance(61)
        await frozen.job.idle()
        assert given_up.is_set()
        await taker.turn()
    assert taker.runs == ["exotel535"]


async def test_a_long_job_keeps_its_lease(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(periodic, "_RENEW_EVERY_S", 0.01)
    clock, go_on, began = ManualClock(), asyncio.Event(), asyncio.Event()

    async def wait(_of: Tenant) -> None:
        began.set()
        await go_on.wait()

    async def ends() -> float:
        return await db.read(lambda sql: sql.execute(text("select lease_until from lease")).scalar_one())

    one, two = Replica(db, clock, work=wait), Replica(db, clock)
    async with asyncio.timeout(20):
        await one.job.look()
        await began.wait()
        for _ in range(4):
            clock.advance(50)
            while await ends() < clock.now() + 60:
                await two.turn()
            await two.turn()
        go_on.set()
        await one.job.idle()
    assert two.runs == []


async def test_a_process_that_ends_gives_its_jobs_back_at_once(db: Database) -> None:
    clock, began, ended = ManualClock(), asyncio.Event(), asyncio.Event()

    async def hang(_of: Tenant) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with asyncio.timeout(20):
        async with Replica(db, clock, work=hang).job.running():
            await began.wait()
        assert ended.is_set()
        other = Replica(db, clock)
        await other.turn()
    assert other.runs == ["exotel535"]


async def test_a_tenant_that_is_new_is_taken_up_and_one_that_is_gone_is_left(db: Database) -> None:
    clock = ManualClock()
    replica = Replica(db, clock, "a")
    await replica.turn()
    replica.directories.apply(tenant("b", 2))
    await replica.directories.refresh()
    clock.advance(4000)
    await replica.turn()
    assert replica.runs == ["a", "b"]
