"""Quota: never above the limit in any window, whoever spends of it; nobody starves; what answers tell is shared."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, text

from connector.adapter import Quota
from connector.clock import SYSTEM, Clock, SystemClock
from connector.errors import RateLimited
from connector.pipeline.gates.gate import Gate
from connector.pipeline.gates.quota import SharedQuota
from connector.pipeline.gates.replicas import Replicas
from connector.store.engine.database import Database
from connector.store.queries.quota import CHUNK_S, Draw, Drawn, draw
from connector.store.schema import metadata
from connector.store.window import Window
from tests.databases import config_in
from tests.pipeline.world import ManualClock, replica, standin_of, world


class Store:
    """`draw` on a store of its own, at times that the test chooses."""

    def __init__(self, limit: int, per_s: float, replicas: int = 3) -> None:
        engine = create_engine("sqlite://")
        self._sql = engine.connect()
        metadata.create_all(self._sql)
        self._limit, self._per_s, self._replicas = limit, per_s, replicas

    def draw(self, owner: str, now: float, *, want: int, kept: float, used: int = 0, used_ago_s: float = 0.0) -> Drawn:
        wish = Draw(
            "a", "all", owner, now, self._limit, self._per_s, used, used_ago_s, want, kept, self._replicas
        )  # fmt: skip
        return draw(self._sql, [wish])[0]

    def close(self) -> None:
        self._sql.close()
        self._sql.engine.dispose()


_ACTS = st.tuples(
    st.integers(0, 2),  # which replica
    st.sampled_from([0.0, 0.01, 0.3, 1.0, 1.4]),  # so long after the last act
    st.integers(0, 20),  # how many it wants
    st.sampled_from([0.0, 0.1]),
    st.sampled_from([0.0, 0.5, 1.0]),  # how much of its chunk it spent
    st.booleans(),  # at the chunk's end, or at its begin
)


@given(limit=st.integers(1, 10), per_s=st.sampled_from([1.0, 10.0, 60.0]), acts=st.lists(_ACTS, max_size=60))
def test_no_window_holds_more_than_the_limit(
    limit: int, per_s: float, acts: list[tuple[int, float, int, float, float, bool]]
) -> None:
    store = Store(limit, per_s, replicas=1)  # as greedy as can be: half of what is free
    spent: list[float] = []
    chunks: dict[int, tuple[int, float]] = {}
    now = 1_000_000.0
    for owner, later, want, kept, share, at_end in acts:
        now += later
        granted, drawn_at = chunks.pop(owner, (0, now))
        used = round(granted * share)
        at = min(now, drawn_at + CHUNK_S) if at_end else drawn_at
        spent += [at] * used
        got = store.draw(str(owner), now, want=want, kept=kept, used=used, used_ago_s=now - at)
        chunks[owner] = (got.granted, now)
    # Whoever dies now has spent all of its chunk, at the last moment.
    spent += [at + CHUNK_S for granted, at in chunks.values() for _ in range(granted)]
    spent.sort()
    for place, begun in enumerate(spent):
        inside = [at for at in spent[place:] if at < begun + per_s - 1e-3]
        assert len(inside) <= limit
    store.close()


@pytest.mark.parametrize(("limit", "per_s"), [(5, 1.0), (50, 60.0), (100, 10.0)])
def test_three_replicas_share_a_small_limit(limit: int, per_s: float) -> None:
    """Each wants more than there is, all the time: together they get nearly all of it, and each its part."""
    store = Store(limit, per_s)
    chance = random.Random(7)
    begun, windows = 1_000_000.0, 40
    next_at = dict.fromkeys("abc", begun)
    got = dict.fromkeys("abc", 0)
    last: dict[str, tuple[int, float]] = {}
    while (now := min(next_at.values())) < begun + windows * per_s:
        owner = min(next_at, key=lambda one: next_at[one])
        used, at = last.get(owner, (0, now))
        drawn = store.draw(owner, now, want=10, kept=0.1, used=used, used_ago_s=now - at)
        last[owner] = (drawn.granted, now)  # sent at once
        got[owner] += drawn.granted
        next_at[owner] = now + (0.005 if drawn.granted else drawn.wait_s + chance.uniform(0, 0.03))
    usable = int(limit * 0.9) * windows
    assert sum(got.values()) > 0.85 * usable
    assert min(got.values()) > 0.15 * usable
    store.close()


def test_who_dies_costs_one_chunk_for_one_window() -> None:
    store = Store(50, 60.0, replicas=2)
    dead = store.draw("dead", 1000.0, want=10, kept=0.0)
    assert dead.granted == 10
    assert store.draw("b", 1000.0, want=99, kept=0.0).counted == 10 + 10
    free_at = 1000.0 + CHUNK_S + 60.0
    assert store.draw("b", free_at - 0.1, want=0, kept=0.0).counted == 10
    assert store.draw("b", free_at + 0.1, want=0, kept=0.0).counted == 0
    store.close()


def test_what_was_not_spent_goes_back() -> None:
    store = Store(50, 60.0, replicas=1)
    assert store.draw("a", 1000.0, want=20, kept=0.0).granted == 20
    again = store.draw("a", 1000.5, want=1, kept=0.0, used=3, used_ago_s=0.1)
    assert (again.granted, again.counted) == (1, 4)
    store.close()


# --- gates of replicas on one store ---


@asynccontextmanager
async def gates(
    folder: Path, limits: Mapping[str, tuple[int, float]], count: int = 2, clocks: Sequence[Clock] = (SYSTEM,) * 3
) -> AsyncIterator[tuple[Database, list[Gate]]]:
    """Gates of one account, each with a connection to the store of its own."""
    url = config_in(folder).database_url
    async with AsyncExitStack() as stack:
        made, shares = [], []
        for owner in range(count):
            db = await stack.enter_async_context(Database(url, single_process=False).running())
            shares.append(SharedQuota(db, f"r{owner}", lambda: count, clocks[owner]))
            made.append(Gate("acme", limits, clocks[owner], buckets=shares[-1]))
        yield db, made
        for share in shares:
            await share.ended()


async def sent(gate: Gate, times: int, bucket: str = "all", **how: float) -> int:
    """How many of so many requests at once may leave."""
    asked = await asyncio.gather(*(gate.spend(bucket, **how) for _ in range(times)), return_exceptions=True)
    assert all(one is None or isinstance(one, RateLimited) for one in asked), asked
    return asked.count(None)


async def test_together_they_send_what_one_may(tmp_path: Path) -> None:
    async with gates(tmp_path, {"all": (50, 3600.0)}, count=3) as (_db, replicas):
        assert sum(await asyncio.gather(*(sent(gate, 40) for gate in replicas))) == 45
        assert sum(await asyncio.gather(*(sent(gate, 9, kept=0.0) for gate in replicas))) == 5, "kept for who is urgent"


class WrongClock(SystemClock):
    """A machine's whose time nobody set."""

    def __init__(self, wrong_s: float) -> None:
        self._wrong_s = wrong_s

    def now(self) -> float:
        return super().now() + self._wrong_s


@pytest.mark.usefixtures("_databases_clock")
async def test_the_databases_clock_decides(tmp_path: Path, both_databases: str) -> None:
    # An SQLite file is served by one machine, so by one clock.
    clocks = [WrongClock(wrong_s if both_databases == "postgresql" else 0) for wrong_s in (-7200, 0, 7200)]
    async with gates(tmp_path, {"all": (50, 3600.0)}, count=3, clocks=clocks) as (db, replicas):
        assert [await sent(gate, 20, kept=0.0) for gate in replicas] == [20, 20, 10]
        alive = [Replicas(db, clock) for clock in clocks]
        for one in alive:
            await one.beat()
        assert alive[-1].count == 3


async def test_a_request_costs_a_share_of_a_write(tmp_path: Path) -> None:
    async with gates(tmp_path, {"all": (10_000, 60.0)}, count=1) as (db, (gate,)):
        draws = 0
        write = db.write

        async def counted(*args: object) -> object:
            nonlocal draws
            draws += 1
            return await write(*args)  # type: ignore[arg-type]  # passed through as it came

        db.write = counted  # type: ignore[method-assign,assignment]  # counts, and changes nothing
        for _ in range(300):
            await gate.spend("all")
        assert draws < 60


async def test_both_buckets_must_have_room(tmp_path: Path) -> None:
    async with gates(tmp_path, {"all": (100, 3600.0), "search": (5, 3600.0)}) as (db, (a, b)):
        assert await sent(a, 10, "search") + await sent(b, 10, "search") == 4
        await counting(db, exactly=4)  # what A took in advance comes back
        assert await sent(b, 300) == 90 - 4


async def test_a_limit_and_what_others_spent_are_shared(tmp_path: Path) -> None:
    async with gates(tmp_path, {"all": (1000, 3600.0)}) as (db, (a, b)):
        a._learn = lambda _headers: {"all": Quota(remaining=20, limit=200)}
        await a.spend("all")
        a.learn({})
        await counting(db, at_least=180)
        assert await sent(b, 100, kept=0.0) + await sent(a, 100, kept=0.0) == 20


async def test_a_refusal_stops_all_replicas(tmp_path: Path) -> None:
    async with gates(tmp_path, {"all": (1000, 60.0)}) as (db, (a, b)):
        await b.spend("all")
        a.blocked("all", 30.0)
        await counting(db, blocked=True)
        with pytest.raises(RateLimited) as refused:
            await a.spend("all")
        assert 20 < (refused.value.retry_after_s or 0) <= 31
        b._buckets["all"]._until = 0.0  # type: ignore[attr-defined]  # the moment that its chunk lasts is over
        with pytest.raises(RateLimited) as refused:
            await b.spend("all", kept=0.0)
        assert 20 < (refused.value.retry_after_s or 0) <= 31


async def counting(db: Database, *, at_least: int = 0, exactly: int | None = None, blocked: bool = False) -> None:
    """Returns once the store counts so much of `all`."""
    async with asyncio.timeout(20):
        while True:
            state = await db.read(
                lambda sql: sql.execute(text("select state from quota where bucket = 'all'")).scalar()
            )
            window = Window.load(state) if state else Window(1, 1.0)
            counted = window.counted(SYSTEM.now())
            if counted >= at_least and exactly in (None, counted) and blocked <= (window.blocked_until > SYSTEM.now()):
                return
            await asyncio.sleep(0.01)


async def test_a_store_that_is_busy_lets_nothing_through(tmp_path: Path) -> None:
    """Another process holds the row (SQLite: the file) beyond all patience."""
    async with gates(tmp_path, {"all": (50, 60.0)}) as (db, (a, b)):
        await a.spend("all")
        a._buckets["all"]._until = 0.0  # type: ignore[attr-defined]  # the moment that its chunk lasts is over
        other = Database(db.url, single_process=False)
        locked, go = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def hold(sql: Connection) -> None:
            sql.execute(text("update quota set updated_at = updated_at"))
            loop.call_soon_threadsafe(locked.set)
            asyncio.run_coroutine_threadsafe(go.wait(), loop).result()

        holder = asyncio.create_task(asyncio.to_thread(other.transact, hold))
        await locked.wait()
        with pytest.raises(RateLimited) as refused:
            await a.spend("all")
        assert refused.value.retry_after_s == 1.0
        go.set()
        await holder
        await asyncio.gather(a.spend("all"), b.spend("all"))
        other.dispose()


# --- in the pipeline ---


class RunningClock(ManualClock):
    """The machine's: the quota's time is the database's, which no test moves."""

    def now(self) -> float:
        return time.time()


async def test_one_process_counts_in_memory(tmp_path: Path) -> None:
    async with world(tmp_path, single_process=True) as w:
        await w.missed("c1")
        await w.settle()
        assert len(w.tickets) == 1
        assert await w.rows("select * from quota") == []


async def test_two_replicas_meet_no_429(tmp_path: Path) -> None:
    """A CRM that lets five searches a second through and says in no header how many are left."""
    hubspot = standin_of("hubspot")
    account = hubspot.Account(limits=hubspot.Limits())
    async with (
        world(tmp_path, "hubspot", account=account, clock=RunningClock(), single_process=False) as a,
        replica(a) as b,
    ):
        for number in range(10):
            await (a, b)[number % 2].missed(f"c{number}", f"088846436{number:02}")
        until = time.monotonic() + 60
        while len(account.objects["calls"]) < 10:
            assert time.monotonic() < until
            await asyncio.sleep(0.05)
        assert account.answers[429] == 0
