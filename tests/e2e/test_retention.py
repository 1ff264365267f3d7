"""Old calls are pruned by the running service, killed in the middle of it; late events write nothing a second time."""

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.e2e.service import Service, answered, both, caller

CALLS = {f"call{number:02}": caller(number) for number in range(60)}
_DAYS = 100 * 86400


def ask(service: Service, query: str) -> Any:
    with closing(sqlite3.connect(service.database, timeout=10)) as store, store:
        return store.execute(query).fetchall()


def aged(service: Service) -> None:
    """Makes everything a hundred days older, and retention due."""
    with closing(sqlite3.connect(service.database)) as store, store:
        for table, column in (
            *(("call", "created_at"), ("event", "received_at"), ("delivery", "updated_at"), ("delivery", "due_at")),
            ("contact", "updated_at"),
        ):
            store.execute(f"update {table} set {column} = {column} - {_DAYS}")
        store.execute("update lease set due_at = 0")


async def fewer(service: Service, table: str, than: int) -> None:
    until = time.monotonic() + 60
    while ask(service, f"select count(*) from {table}")[0][0] >= than:
        assert time.monotonic() < until, service.tail()
        await asyncio.sleep(0.02)


async def test_calls_are_pruned_once_and_late_events_change_nothing(tmp_path: Path) -> None:
    async with both(tmp_path) as (service, crm):
        await service.start()
        async with asyncio.TaskGroup() as sending:
            for call_sid, number in CALLS.items():
                sending.create_task(service.insist("automated_answered", answered(call_sid, number)))
        await service.settled(60)
        assert await service.stop() == 0
        aged(service)

        await service.start(ready=False)
        await fewer(service, "call", len(CALLS))
        service.kill()
        await service.start(ready=False)
        ask(service, "update lease set lease_until = 0")  # the dead process holds it for a minute otherwise
        await service.ready()
        await fewer(service, "call", 1)
        writes = await crm.writes()

        async with asyncio.TaskGroup() as sending:
            for call_sid, number in CALLS.items():
                sending.create_task(service.insist("status", answered(call_sid, number)))
                sending.create_task(service.insist("missed", answered(call_sid, number)))
        await service.settled(30)
        assert await crm.writes() == writes
        (await crm.written()).assert_exact(CALLS, (1, 1), len(CALLS))
        assert await service.all("calls") == []
        assert await service.all("deliveries") == []
        for call_sid in CALLS:
            left = await service.get(f"calls/{call_sid}", tenant="exotel535")
            assert left["call"]["pruned_at"] is not None
            assert [(one["slot"], one["state"]) for one in left["records"]] == [
                ("note:recording", "pruned"),
                ("ticket", "pruned"),
            ]
        await fewer(service, "contact", 1)
        assert await service.stop() == 0
        content = service.database.read_bytes()
        assert [number for number in CALLS.values() if number[1:].encode() in content] == []
