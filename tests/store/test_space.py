"""The SQLite file after retention: deleted rows are not in it any more, and it gets smaller."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from connector.pipeline.upkeep import retention
from connector.pipeline.upkeep.retention import Retention
from connector.store.engine import space
from connector.store.engine.database import Database
from connector.store.engine.migrate import upgrade
from connector.store.engine.sqlite import SqliteStore
from tests.pipeline.world import ManualClock, world
from tests.web.stubs import tenant

#: What tables hold of a caller and a call.
TRACES = (b"8884643606", b"recordings.exotel.com/exotelrecordings", b"Missed call", b"CallFrom")


@pytest.fixture(autouse=True)
def _no_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_REST", 0.0)
    monkeypatch.setattr(retention, "_REST_LEAST_S", 0.0)


async def on_disk(db: Database) -> None:
    """Returns once the database file has everything; and the log nothing, where that was asked for."""
    engine = db._engine
    assert isinstance(engine, SqliteStore)
    await asyncio.to_thread(engine._checkpoint)
    while engine._is_log_full:
        await asyncio.to_thread(engine._checkpoint)


async def test_it_is_gone_from_the_files_too(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        for number in range(30):
            await w.answered(f"sid{number}")
        await w.settle()
        await on_disk(w.db)
        assert all(trace in (tmp_path / "c.db").read_bytes() for trace in TRACES[:2])
        w.clock.advance(91 * 86400)
        await Retention(w.db, w.clock).prune(w.tenant)
        await on_disk(w.db)
        for name in ("c.db", "c.db-wal"):
            content = (tmp_path / name).read_bytes()
            assert [trace for trace in TRACES if trace in content] == [], name


def filled(sql: Connection, rows: int) -> None:
    sql.execute(text("insert into tenant (sid, settings, secrets, hook_token_hash, created_at, updated_at)"
                     " values ('a', '{}', x'00', 'a', 0, 0)"))  # fmt: skip
    values = [{"id": number, "sid": f"sid{number}", "body": b"x" * 8000} for number in range(1, rows + 1)]
    sql.execute(text("insert into call (id, tenant_id, call_sid, created_at) values (:id, 1, :sid, 0)"), values)
    sql.execute(
        text(
            "insert into event (tenant_id, call_id, kind, dedup, method, query, body, received_at)"
            " values (1, :id, 'missed', 'd', 'GET', '', :body, 0)"
        ),
        values,
    )


async def test_the_file_shrinks_and_keeps_a_little_for_what_comes(tmp_path: Path) -> None:
    file = tmp_path / "c.db"
    db = Database(f"sqlite:///{file}")
    await asyncio.to_thread(db.transact, upgrade)
    await asyncio.to_thread(db.transact, filled, 3000)
    async with db.running():
        await on_disk(db)
        before = file.stat().st_size
        assert before > 3000 * 8000
        await Retention(db, ManualClock()).prune(tenant("a"))
        await on_disk(db)
        assert file.stat().st_size < before / 3
        assert await db.read(space.spare) == 0
        assert (tmp_path / "c.db-wal").stat().st_size == 0


async def test_a_file_of_the_old_kind_only_stops_growing(tmp_path: Path) -> None:
    file = tmp_path / "c.db"
    with sqlite3.connect(file) as old:
        old.execute("create table made_before (id integer)")
    db = Database(f"sqlite:///{file}")
    await asyncio.to_thread(db.transact, upgrade)
    await asyncio.to_thread(db.transact, filled, 2000)
    async with db.running():
        await Retention(db, ManualClock()).prune(tenant("a"))
        await on_disk(db)
        before = file.stat().st_size
        await asyncio.to_thread(db.transact, lambda sql: sql.execute(text("delete from tenant")))
        await asyncio.to_thread(db.transact, filled, 2000)
        await on_disk(db)
        assert file.stat().st_size == before
