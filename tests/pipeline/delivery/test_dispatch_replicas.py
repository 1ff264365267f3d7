"""Several replicas on one PostgreSQL: work is shared, taken over, and done once, whatever becomes of hints."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Connection, text

from connector.pipeline.delivery.journal import LEASE_S
from connector.pipeline.delivery.runner import Result, Runner
from connector.pipeline.service import Pipeline
from connector.store.engine import notify, postgresql
from connector.store.engine.clock import DatabaseClock
from connector.store.engine.database import Database
from connector.store.engine.migrate import migrate
from connector.store.queries import contacts, deliveries, journal
from connector.store.queries.contacts import ContactClaim, ContactRow
from connector.store.queries.deliveries import Work
from connector.store.queries.events import NewEvent, accept
from connector.store.queries.journal import JournalWrite
from connector.tenants.directory import Directories
from tests import databases
from tests.databases import Server
from tests.pipeline.world import World, world
from tests.rig.waiting import until

CALLS = 12


@pytest.fixture
def both_databases(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """One process is alone with an SQLite file, so all of this is about the other one."""
    stores = databases.PostgresStores(postgres)
    monkeypatch.setattr(databases, "current", stores)
    yield "postgresql"
    stores.give_back()


@contextlib.asynccontextmanager
async def replica(w: World, *, slots: int = 16, deliver: bool = True) -> AsyncIterator[Pipeline]:
    """Another process's pipeline on the world's store: a database, a directory and claims of its own."""
    db = Database(w.db.url)
    async with db.running():
        directories = Directories(db, w.box)
        made = Pipeline(db, w.box, directories, home_url=lambda: "http://127.0.0.1:1", clock=w.clock, slots=slots)
        async with directories.running(), made.running(deliver=deliver):
            yield made


async def once_each(w: World, calls: int = CALLS) -> None:
    """Every call is done, and has one ticket."""

    async def done() -> bool:
        rows = await w.rows("select state from delivery")
        return len(rows) == calls and all(row["state"] == "done" for row in rows)

    await until(done)
    assert len(w.tickets) == calls
    assert len({ticket["description"] for ticket in w.tickets}) == calls


async def test_what_one_replica_has_no_room_for_is_done_by_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holders: set[str] = set()
    run = Runner.run

    async def seen(self: Runner, work: Work) -> Result | None:
        holders.add(work.holder)
        return await run(self, work)

    monkeypatch.setattr(Runner, "run", seen)
    async with world(tmp_path, slots=0) as w, replica(w) as other:
        await asyncio.gather(*(w.missed(f"sid{number}", f"0987654{number:04d}") for number in range(CALLS)))
        await once_each(w)
        assert holders == {other.dispatcher.holder}


async def test_a_call_that_comes_while_others_are_claimed_is_not_left_to_the_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path) as w:
        claim_loops: list[str] = []
        write = w.db.write

        async def overtaken(change: Any, row: Any) -> Any:
            granted = await write(change, row)
            if change is deliveries.claim and not claim_loops:
                claim_loops.append("it has looked, and does not know yet what it got")
                await w.missed("sid2", "09876540002")
            return granted

        monkeypatch.setattr(w.db, "write", overtaken)
        monkeypatch.setattr(deliveries, "due", _nothing)
        await w.missed("sid1", "09876540001")
        await once_each(w, 2)


def _nothing(_sql: Connection) -> list[tuple[str, int, float]]:
    return []


@contextlib.asynccontextmanager
async def overheard(url: str, *, repeated: bool = False) -> AsyncIterator[list[str]]:
    """What replicas tell each other. `repeated`: each of it is told once more, after a while."""
    connection = await asyncpg.connect(url)
    heard: list[str] = []
    again: asyncio.Queue[str] = asyncio.Queue()

    def hear(_connection: Any, pid: int, _channel: str, payload: Any) -> None:
        heard.append(payload)
        if pid != connection.get_server_pid():
            again.put_nowait(payload)

    async def repeat() -> None:
        while True:
            payload = await again.get()
            await asyncio.sleep(0.1)
            await connection.execute("select pg_notify($1, $2)", notify._CHANNEL, payload)

    await connection.add_listener(notify._CHANNEL, hear)
    repeating = asyncio.create_task(repeat() if repeated else asyncio.sleep(0))
    try:
        yield heard
    finally:
        repeating.cancel()
        await asyncio.gather(repeating, return_exceptions=True)
        await connection.close()


async def test_where_every_hint_is_lost_the_look_finds_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path) as w, overheard(w.db.url) as hints:
        w.pipeline.dispatcher._slots = 0
        monkeypatch.setattr(notify.NotifyWakes, "_listen", _deaf)
        async with replica(w) as other:
            await asyncio.gather(*(w.missed(f"sid{number}", f"0987654{number:04d}") for number in range(CALLS)))

            async def was_told() -> bool:
                return bool(hints)

            await until(was_told)
            await asyncio.sleep(0.3)
            assert w.tickets == []
            await other.dispatcher.look()
            await once_each(w)


async def _deaf(_self: object, _connection: object) -> None:
    pass


async def test_where_each_hint_is_doubled_the_work_is_done_once(tmp_path: Path) -> None:
    async with world(tmp_path) as w, overheard(w.db.url, repeated=True) as hints:
        w.pipeline.dispatcher._slots = 0
        async with replica(w), replica(w):
            for number in range(CALLS):
                await w.missed(f"sid{number}", f"0987654{number:04d}")
                await asyncio.sleep(0)  # as many hints as may be, not one for all
            await once_each(w)
            assert len(hints) >= 2
            requests = w.account.requests
            assert (requests["POST /tickets"], requests["POST /contacts"]) == (CALLS, CALLS)


async def test_a_dead_replicas_work_is_taken_over_when_its_lease_ends(tmp_path: Path) -> None:
    async with world(tmp_path, deliver=False) as w:
        await w.missed("sid1")
        now = w.clock.now()
        wish = deliveries.Claim(w.tenant.connections[0].id, 1, 5, "gone", now, now + LEASE_S)
        (work,) = await w.db.write(deliveries.claim, wish)
        async with replica(w) as other:
            await other.dispatcher.look()
            (row,) = await w.rows("select owner, fence from delivery")
            assert (row["owner"], row["fence"]) == ("gone", work.fence)
            w.clock.advance(LEASE_S)
            await other.dispatcher.look()
            await once_each(w, 1)
        # The dead one wakes up: its fence is old, so it neither writes the journal nor keeps the claim alive.
        await w.db.write(deliveries.renew, deliveries.Renewal("gone", [work], w.clock.now() + LEASE_S))
        (row,) = await w.rows("select owner, state from delivery")
        assert (row["owner"], row["state"]) == (None, "done")
        lost = await w.db.write(journal.write_journal, JournalWrite(work, w.clock.now()))
        assert "claim ended" in str(lost)


async def test_a_look_plans_the_take_over_for_the_end_of_the_lease(tmp_path: Path) -> None:
    async with world(tmp_path, deliver=False) as w:
        await w.missed("sid1")
        now = w.clock.now()
        connection_id = w.tenant.connections[0].id
        assert await w.db.read(deliveries.due) == [(connection_id, 1, now)]
        await w.db.write(deliveries.claim, deliveries.Claim(connection_id, 1, 5, "gone", now, now + LEASE_S))
        assert await w.db.read(deliveries.due) == [(connection_id, 1, now + LEASE_S)]


async def test_replicas_that_accept_the_same_calls_at_once_store_each_event_once(tmp_path: Path) -> None:
    async with world(tmp_path, deliver=False) as w:
        connection_id = w.tenant.connections[0].id

        def event(call: int, kind: str) -> NewEvent:
            deliveries = ((connection_id, 1, 5.0, 5.0, "waiting"),)
            dedup = f"{call}-{kind}"
            return NewEvent(
                w.tenant.id, f"sid{call}", kind, "exotel", None, dedup, "GET", "q", None, b"b", 5.0, deliveries
            )

        others = [Database(w.db.url) for _ in range(2)]
        async with others[0].running(), others[1].running():
            events = [event(call, kind) for call in range(40) for kind in ("popup", "answered", "end")]
            asked = [db.write(accept, one) for one in events for db in (w.db, *others)]
            new = await asyncio.gather(*asked)
        assert sum(new) == len(events)
        (stored,) = await w.rows("select count(*) as events, min(body) as body from event")
        assert (stored["events"], bytes(stored["body"])) == (len(events), b"b")
        versions = await w.rows("select version from delivery")
        assert [row["version"] for row in versions] == [3] * 40


@pytest.mark.parametrize("in_mid_statement", [False, True], ids=["between statements", "in mid-statement"])
async def test_a_frozen_process_holds_an_accept_for_two_seconds_at_most(tmp_path: Path, in_mid_statement: bool) -> None:
    async with world(tmp_path, deliver=False) as w:
        await w.missed("sid1")
        # As a process that is stopped between two statements of its transaction, in a session like ours.
        frozen = await asyncpg.connect(w.db.url, server_settings=postgresql._SESSION)
        await frozen.execute("begin")
        await frozen.execute("update delivery set owner = 'frozen'")
        if (
            in_mid_statement
        ):  # prepared, and not yet carried out: the server counts this wait against no limit of its own
            await frozen.prepare("select 1")
        async with asyncio.timeout(8):  # two seconds, and what a busy machine adds
            await w.answered("sid1")

        async def is_ended() -> bool:
            return bool(frozen.is_closed())

        await until(is_ended)  # by the server
        (row,) = await w.rows("select version, owner from delivery")
        assert (row["version"], row["owner"]) == (2, None)


async def test_a_server_that_drops_every_connection_costs_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as w, replica(w):
        for number in range(CALLS):
            await w.missed(f"sid{number}", f"0987654{number:04d}")
            if number % 4 == 3:
                await _drop_connections(w.db.url)

        async def all_done() -> bool:
            w.clock.advance(1)
            await w.look()
            rows = await w.rows("select state from delivery")
            return all(row["state"] == "done" for row in rows)

        await until(all_done)
        await once_each(w)


async def _drop_connections(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
    finally:
        await connection.close()


async def test_one_of_two_that_ask_for_a_caller_finds_out(tmp_path: Path) -> None:
    async with world(tmp_path, deliver=False) as w:
        connection_id = w.tenant.connections[0].id
        other = Database(w.db.url)
        async with other.running():
            wishes = [ContactClaim(connection_id, "n", f"holder{n}", 5.0, 65.0) for n in range(8)]
            rows = await asyncio.gather(
                *((w.db, other)[n % 2].write(contacts.claim_contact, wish) for n, wish in enumerate(wishes))
            )
        assert len({row.holder for row in rows}) == 1
        assert [row.holder == wish.holder for row, wish in zip(rows, wishes, strict=True)].count(True) == 1


async def test_a_contact_that_another_claim_took_over_is_not_written(tmp_path: Path) -> None:
    async with world(tmp_path, deliver=False) as w:
        await w.missed("sid1")
        now = w.clock.now()
        connection_id = w.tenant.connections[0].id
        ((work,),) = (
            await w.db.write(deliveries.claim, deliveries.Claim(connection_id, 1, 5, "me", now, now + LEASE_S)),
        )
        for claimant in (work.claimant, "another"):
            await w.db.write(contacts.claim_contact, ContactClaim(connection_id, "n", claimant, now, now))
        mine = ContactRow(connection_id, "n", "done", "contact", "1")
        lost = await w.db.write(journal.write_journal, JournalWrite(work, now, contact=mine))
        assert "who the caller is" in str(lost)
        (row,) = await w.rows("select state, owner from contact")
        assert (row["state"], row["owner"]) == ("looking", "another")


async def test_the_databases_clock_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world(tmp_path, deliver=False) as w:
        monkeypatch.setattr("connector.store.engine.clock.time.time", lambda: 0.0)  # this machine's clock is far off
        async with DatabaseClock(w.db).running() as clock:
            at = await w.db.read(lambda sql: sql.execute(text("select extract(epoch from clock_timestamp())")).scalar())
            assert abs(clock.now() - float(at)) < 2


def test_two_machines_migrate_at_once(postgres: Server) -> None:
    name = postgres.create_empty()
    try:
        asyncio.run(_migrate_twice(postgres.url(name)))
    finally:
        postgres.drop(name)


async def _migrate_twice(url: str) -> None:
    first, second = await asyncio.gather(asyncio.to_thread(migrate, url), asyncio.to_thread(migrate, url))
    assert first == second
    database = Database(url)
    try:
        assert await asyncio.to_thread(database.transact, _tables) > 20
    finally:
        database.dispose()


def _tables(connection: Connection) -> int:
    return int(connection.execute(text("select count(*) from pg_tables where schemaname = 'public'")).scalar_one())
