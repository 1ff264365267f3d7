"""Retention: what is old goes for good, what is not finished stays, and nothing that was written is written again."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Index, PrimaryKeyConstraint, UniqueConstraint, text
from standins.freshdesk import Account

from connector.errors import StoreBusy
from connector.pipeline.delivery.replay import ReplayWish
from connector.pipeline.upkeep import retention
from connector.pipeline.upkeep.retention import TOMBSTONE_DAYS, Retention
from connector.store import schema
from connector.store.engine.database import single
from connector.store.queries import trail
from connector.store.queries.retention import Place, Prune, closed, old_calls
from connector.store.queries.retention import prune as pruning
from tests.pipeline.world import CALLER, RECORDING, World, tenant_file, world

DAY_S = 86400.0
OTHER = "09876543210"
_INDEXED = (Index, UniqueConstraint, PrimaryKeyConstraint)
OF_A_CALL = ("call", "event", "delivery", "step", "contact", "popup", "recording")


@pytest.fixture(autouse=True)
def _no_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_REST", 0.0)
    monkeypatch.setattr(retention, "_REST_LEAST_S", 0.0)


async def prune(w: World) -> None:
    await Retention(w.db, w.clock).prune(w.tenant)


async def counted(w: World, *tables: str) -> dict[str, int]:
    found = {table: await w.rows(f'select count(*) as n from "{table}"') for table in tables or OF_A_CALL}
    return {table: rows[0]["n"] for table, rows in found.items()}


async def buried(w: World) -> list[tuple[Any, ...]]:
    rows = await w.rows("select call_sid, slot, kind, ref_id from tombstone order by call_sid, connection_id, slot")
    return [tuple(row.values()) for row in rows]


async def execute(w: World, statement: str, **values: Any) -> None:
    def change(sql: Connection, rows: Sequence[dict[str, Any]]) -> list[None]:
        sql.execute(text(statement), list(rows))
        return [None] * len(rows)

    await w.db.write(change, values)


def with_two(w: World) -> dict[str, Any]:
    """The tenant's file with a second connection, which another account of the same stand-in answers."""
    file = tenant_file(w.base_url)
    (first,) = file["tenants"][0]["connections"]
    second = {**first, "name": "second", "settings": {**first["settings"], "domain": "second.freshdesk.com"}}
    file["tenants"][0]["connections"].append(second)
    return file


async def test_nothing_of_an_old_call_is_left_but_where_its_records_are(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.answered("sid1")
        await w.settle()
        called_at = w.clock.now()
        await execute(
            w,
            "insert into popup (tenant_id, call_id, agent, state, customer, at)"
            " values (1, 1, '+919711581199', 'ringing', '+918884643606', :at)",
            at=called_at,
        )
        await execute(
            w,
            "insert into recording (tenant_id, call_id, url, state) values (1, 1, :url, 'ready')",
            url=f"{RECORDING}?other",
        )
        assert min((await counted(w)).values()) == 1
        (ticket,), (note,) = w.tickets, w.account.notes.values()
        w.clock.advance(90 * DAY_S - 1)
        await prune(w)
        assert await buried(w) == []
        w.clock.advance(2)
        await prune(w)
        assert set((await counted(w)).values()) == {0}
        assert await buried(w) == [
            ("sid1", "note:recording", "note", str(note["id"])),
            ("sid1", "ticket", "ticket", str(ticket["id"])),
        ]
        (row,) = await w.rows("select * from tombstone where slot = 'ticket'")
        assert row["url"].endswith(f"/a/tickets/{ticket['id']}")
        assert (row["call_at"], row["made_at"]) == (called_at, w.clock.now())
        assert w.tickets == [ticket]


async def test_the_tenant_says_for_how_long(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.missed("sid1")
        await w.settle()
        file = tenant_file(w.base_url)
        file["tenants"][0]["retention"] = {"days": "7"}
        await w.apply(file)
        w.clock.advance(6.9 * DAY_S)
        await prune(w)
        assert (await counted(w, "call"))["call"] == 1
        w.clock.advance(0.2 * DAY_S)
        await prune(w)
        assert (await counted(w, "call"))["call"] == 0


async def test_what_is_pending_stays_however_old(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await execute(
            w,
            "insert into gate (account, paused, updated_at) select account, true, 0 from connection",
        )
        await w.pipeline.accounts.look()
        await w.missed("sid1")
        await w.missed("sid2")
        w.clock.advance(400 * DAY_S)
        await prune(w)
        assert (await counted(w, "call", "event", "delivery")) == {"call": 2, "event": 2, "delivery": 2}
        (connection,) = w.tenant.connections
        await w.pipeline.accounts.resume(connection.account)
        rows = await w.settle()
        assert [row["state"] for row in rows] == ["done", "done"]
        assert len(w.tickets) == 2


async def test_a_dead_delivery_is_kept_from_when_it_died_and_may_be_written_after_that(tmp_path: Path) -> None:
    field = {"name": "cf_line", "label": "Line", "type": "custom_text", "required_for_agents": True, "default": False}
    async with world(tmp_path, account=Account(custom_fields=[field])) as w:
        await w.missed("sid1")
        await w.settle()
        w.clock.advance(60 * DAY_S)
        await w.pipeline.replay(ReplayWish(w.tenant.id, call_sid="sid1"))
        (delivery,) = await w.settle()
        assert delivery["state"] == "dead"
        w.clock.advance(60 * DAY_S)
        await prune(w)
        assert (await counted(w, "delivery"))["delivery"] == 1
        w.clock.advance(31 * DAY_S)
        await prune(w)
        assert await counted(w) == dict.fromkeys(OF_A_CALL, 0)
        assert await buried(w) == []
        w.account.custom_fields.clear()
        await w.missed("sid1")
        await w.settle()
        assert len(w.tickets) == 1


async def test_a_call_that_something_happened_to_stays(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        for sid in ("late", "replayed", "old"):
            await w.missed(sid)
        await w.settle()
        w.clock.advance(50 * DAY_S)
        await w.event("late", "status", CallSid="late", Status="completed", EventType="terminal")
        await w.pipeline.replay(ReplayWish(w.tenant.id, call_sid="replayed"))
        await w.settle()
        w.clock.advance(50 * DAY_S)
        await prune(w)
        assert [row["call_sid"] for row in await w.rows("select call_sid from call order by id")] == [
            "late",
            "replayed",
        ]


async def test_an_event_of_a_pruned_call_writes_nothing_and_is_not_stored(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.answered("sid1")
        await w.settle()
        w.clock.advance(91 * DAY_S)
        await prune(w)
        left, asked = await buried(w), dict(w.account.requests)
        await w.answered("sid1")  # the same request once more
        await w.event("sid1", "status", Status="completed", RecordingUrl=RECORDING, EventType="terminal")
        await w.missed("sid1")
        await w.event("sid1", "pop", CallFrom=CALLER, From=CALLER, DialWhomNumber="09711581199", EventType="Dial")
        await w.settle()
        await w.after(DAY_S)
        assert await counted(w) == dict.fromkeys(OF_A_CALL, 0)
        assert (await buried(w), dict(w.account.requests)) == (left, asked)
        await w.missed("sid2")
        await w.settle()
        assert len(w.tickets) == 2


async def test_events_of_old_and_new_calls_in_one_commit(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        for number in range(10):
            await w.missed(f"sid{number}")
        await w.settle()
        w.clock.advance(91 * DAY_S)
        await prune(w)
        await asyncio.gather(*(w.missed(f"sid{number}") for number in range(20)))
        await w.settle()
        assert len(w.tickets) == 20
        assert (await counted(w, "call"))["call"] == 10


async def test_a_connection_that_is_new_gets_what_a_backfill_brings_and_the_old_one_does_not(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.missed("sid1")
        await w.settle()
        w.clock.advance(91 * DAY_S)
        await prune(w)
        await w.apply(with_two(w))
        old, new = sorted(w.tenant.connections, key=lambda one: one.name != "support")
        await w.missed("sid1")
        (delivery,) = await w.settle()
        assert (delivery["connection_id"], delivery["state"]) == (new.id, "done")
        assert len(w.tickets) == 2
        # A replay of the call leaves the old connection alone too, also a dry one.
        (shown,) = await w.pipeline.replay(ReplayWish(w.tenant.id, call_sid="sid1"), dry_run=True)
        (queued,) = await w.pipeline.replay(ReplayWish(w.tenant.id, call_sid="sid1", recreate=True))
        assert (shown.connection_id, queued.connection_id) == (new.id, new.id)
        await w.missed("sid1", Again="1")  # a further event of the call that is there
        (delivery,) = await w.settle()
        assert (delivery["connection_id"], len(w.tickets)) == (new.id, 2)
        w.clock.advance(91 * DAY_S)
        await prune(w)
        left_alone = await w.db.read(closed, w.tenant.id, "sid1")
        assert left_alone == {old.id, new.id}


async def test_a_call_that_nothing_was_due_for_stays_so(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.answered("sid1", "answered")
        await w.settle()
        w.clock.advance(91 * DAY_S)
        await prune(w)
        assert await buried(w) == [("sid1", "", "none", None)]
        await w.missed("sid1")
        await w.settle()
        assert w.tickets == []


async def test_a_write_that_nobody_knows_the_outcome_of_counts_as_written(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.missed("sid1")
        await w.missed("sid2")
        await w.settle()
        await execute(w, "update step set state = 'dead', reason = 'unsure', ref_id = null where slot = 'ticket'")
        await execute(w, "update step set state = 'started', reason = null where delivery_id = 2 and slot = 'ticket'")
        await execute(w, "update delivery set state = 'dead', reason = 'unsure'")
        w.clock.advance(91 * DAY_S)
        await prune(w)
        assert await buried(w) == [("sid1", "ticket", "ticket", None), ("sid2", "ticket", "ticket", None)]
        await w.missed("sid1")
        await w.settle()
        assert len(w.tickets) == 2


async def test_a_call_without_a_call_sid_or_a_connection_leaves_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await execute(
            w, "insert into call (tenant_id, call_sid, created_at) values (1, null, :at), (1, 'sid1', :at)",
            at=w.clock.now(),
        )  # fmt: skip
        w.clock.advance(91 * DAY_S)
        await prune(w)
        assert await counted(w, "call", "tombstone") == {"call": 0, "tombstone": 0}


async def test_tombstones_go_after_their_time(tmp_path: Path) -> None:
    assert TOMBSTONE_DAYS == 210
    async with world(tmp_path) as w:
        await w.answered("sid1")
        await w.settle()
        w.clock.advance(91 * DAY_S)
        await prune(w)
        w.clock.advance(209.9 * DAY_S)
        await prune(w)
        assert len(await buried(w)) == 2, await w.rows("select * from delivery")
        w.clock.advance(0.2 * DAY_S)
        await prune(w)
        assert await buried(w) == []


async def test_a_contact_goes_with_the_last_call_of_its_number(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.missed("sid1")
        await w.missed("sid2", OTHER)
        await w.missed("sid3", "anonymous")
        await w.settle()
        w.clock.advance(60 * DAY_S)
        await w.missed("sid4")
        await w.settle()
        w.clock.advance(31 * DAY_S)
        await prune(w)
        assert [row["number"] for row in await w.rows("select number from contact")] == ["918884643606"]
        await execute(w, "update contact set owner = 'somebody'")
        w.clock.advance(60 * DAY_S)
        await prune(w)
        assert await counted(w, "call", "contact") == {"call": 0, "contact": 1}
        await execute(w, "update contact set owner = null")
        await prune(w)
        assert (await counted(w, "contact"))["contact"] == 0
        await w.missed("sid5")
        await w.settle()
        assert len(w.account.contacts) == 3, "the caller was found again, not made again"


async def test_audit_rows_say_what_happened_and_lose_their_details(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        now = w.clock.now()
        await w.db.write(single(trail.record), ("api:1", "call", w.tenant.id, {"number": "+918884643606"}))
        await w.db.write(single(trail.record), ("api:1", "call", None, {"number": "+918884643606"}))
        await execute(w, "update audit set at = :at where who = 'api:1'", at=now)
        w.clock.advance(89 * DAY_S)
        await prune(w)
        w.clock.advance(2 * DAY_S)
        assert len(await w.rows("select 1 from audit where detail like '%8884643606%'")) == 2
        await prune(w)
        rows = await w.rows("select who, what, tenant_id, detail from audit where who = 'api:1' order by id")
        assert [(row["what"], row["tenant_id"], row["detail"] == "{}") for row in rows] == [
            ("call", 1, True),
            ("call", None, False),
        ]


async def test_calls_that_were_placed_and_texts_that_were_sent_are_forgotten(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        for number, days in ((1, 0.0), (2, 60.0)):
            at = w.clock.now() + days * DAY_S
            await execute(
                w,
                "insert into placement (tenant_id, token, agent, agent_number, customer, caller_id, asked, state,"
                " created_at, updated_at) values (1, :key, 'a', '+919711581199', '+918884643606', 'c', 'h', 'placed',"
                " :at, :at)",
                key=f"t{number}", at=at,
            )  # fmt: skip
            await execute(
                w,
                "insert into text_message (tenant_id, sms_sid, custom_field, updated_at) values (1, :key, 'x', :at)",
                key=f"t{number}", at=at,
            )  # fmt: skip
        w.clock.advance(91 * DAY_S)
        await prune(w)
        left = [
            *await w.rows("select token as key from placement"),
            *await w.rows("select sms_sid as key from text_message"),
        ]
        assert [row["key"] for row in left] == ["t2", "t2"]


async def test_what_stops_halfway_goes_on_the_next_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world(tmp_path) as w:
        for number in range(50):
            await w.missed(f"sid{number:02}", f"0888464{number:04d}")
        await w.settle()
        w.clock.advance(91 * DAY_S)
        write, left = w.db.write_patiently, [1]

        async def fail(change: Any, row: Any, *, for_s: float) -> Any:
            if change is pruning and not left:
                raise StoreBusy("The disk is full.")
            if change is pruning:
                left.pop()
            return await write(change, row, for_s=for_s)

        monkeypatch.setattr(w.db, "write_patiently", fail)
        with pytest.raises(StoreBusy):
            await prune(w)
        monkeypatch.undo()
        assert await counted(w, "call", "tombstone") == {"call": 45, "tombstone": 5}
        await prune(w)
        assert await counted(w, "call", "tombstone", "contact") == {"call": 0, "tombstone": 50, "contact": 0}


async def test_an_event_that_comes_between_look_and_deletion_saves_its_call(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.missed("sid1")
        await w.settle()
        w.clock.advance(91 * DAY_S)
        before = w.clock.now() - 90 * DAY_S
        ids, _more = await w.db.read(old_calls, w.tenant.id, before, Place(0.0, 0), 10)
        await w.event("sid1", "voicemail", CallFrom=CALLER, CallType="voicemail")
        assert await w.db.write(pruning, Prune(tuple(ids), before, w.clock.now())) == 0
        (delivery,) = await w.settle()
        assert delivery["state"] == "done"
        assert [ticket["subject"] for ticket in w.tickets] == [f"Voicemail from {CALLER}"]


async def test_other_tenants_are_left_alone(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        file = tenant_file(w.base_url)
        file["tenants"].append({**file["tenants"][0], "sid": "other1m", "hook_token": "hook-of-other"})
        file["tenants"][1]["connections"] = [
            {**file["tenants"][1]["connections"][0], "settings": {
                **file["tenants"][1]["connections"][0]["settings"], "domain": "other.freshdesk.com"}}
        ]  # fmt: skip
        await w.apply(file)
        await w.missed("sid1")
        await w.settle()
        w.clock.advance(91 * DAY_S)
        await Retention(w.db, w.clock).prune(w.directories.current.tenants["other1m"])
        assert (await counted(w, "call"))["call"] == 1


def test_what_hangs_on_a_call_goes_with_it_and_is_found_by_an_index() -> None:
    hanging = [
        (table, column)
        for table in schema.metadata.sorted_tables
        for column in table.columns
        for key in column.foreign_keys
        if key.column.table.name in ("call", "delivery", "event")
    ]
    assert len(hanging) >= 5
    for table, column in hanging:
        (key,) = column.foreign_keys
        assert key.ondelete == "CASCADE", column
        indexes = [one.columns for one in (*table.indexes, *table.constraints) if isinstance(one, _INDEXED)]
        assert any(list(columns)[:1] == [column] for columns in indexes), column
