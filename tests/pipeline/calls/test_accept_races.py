"""An event meets retention on PostgreSQL: the call that it is of is being deleted while it is accepted."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy.exc import IntegrityError

from connector.store.queries import events
from tests import databases
from tests.pipeline.world import World, world

_IS_WAITING = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"


@pytest.fixture(autouse=True)
def _on_postgresql(postgres: databases.Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    stores = databases.PostgresStores(postgres)
    monkeypatch.setattr(databases, "current", stores)
    yield
    stores.give_back()


async def accepted_during(w: World, folder: Path, *, is_pruned: bool) -> None:
    """Has an event accepted that waits for a transaction which deletes its call, and then ends."""
    url = databases.config_in(folder).database_url
    pruning, looking = await asyncpg.connect(url), await asyncpg.connect(url)
    transaction = pruning.transaction()
    await transaction.start()
    await pruning.execute("select id from call for update")
    await pruning.execute(
        "insert into tombstone (tenant_id, call_sid, connection_id, slot, kind, made_at)"
        " select d.tenant_id, 'sid1', d.connection_id, 'ticket', 'ticket', 0 from delivery d"
    )
    await pruning.execute("delete from call")
    event = asyncio.create_task(w.missed("sid1", Again="1"))
    async with asyncio.timeout(20):
        while True:
            if await looking.fetchval(_IS_WAITING):
                break
            await asyncio.sleep(0.01)
        await (transaction.commit() if is_pruned else transaction.rollback())
        await event
    await pruning.close()
    await looking.close()


async def test_an_event_of_a_call_that_was_just_pruned_is_acknowledged_and_opens_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.missed("sid1")
        await w.settle()
        await accepted_during(w, tmp_path, is_pruned=True)
        assert await w.rows("select * from event") == []
        assert await w.settle() == []
        assert len(w.tickets) == 1


async def test_an_event_of_a_call_that_was_not_pruned_after_all_is_stored(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.missed("sid1")
        await w.settle()
        await accepted_during(w, tmp_path, is_pruned=False)
        assert len(await w.rows("select * from event")) == 2
        await w.settle()
        assert len(w.tickets) == 1


async def test_a_row_that_can_never_be_stored_is_an_error_and_not_tried_for_ever(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        event = events.NewEvent(
            tenant_id=w.tenant.id,
            call_sid="sid1",
            kind="missed",
            source="agent",
            connection_id="no-such-one",
            dedup="d",
            method="POST",
            query="",
            content_type=None,
            body=None,
            received_at=0.0,
            deliveries=(),
        )
        async with asyncio.timeout(20):
            with pytest.raises(IntegrityError):
                await w.db.write(events.accept, event)
