"""The statement of a day: every call at Exotel is written, not due for a reason, or missing for one."""

import datetime as dt
from pathlib import Path
from typing import Any

from sqlalchemy import BindParameter, Connection, TextClause, bindparam, text

from connector.pipeline.completeness import statement as statements
from connector.pipeline.completeness.statement import percent
from connector.pipeline.upkeep.retention import Retention
from connector.store.queries import sweeps, totals
from tests.pipeline.completeness.test_looks import sid
from tests.pipeline.completeness.test_sweep import backfill
from tests.pipeline.exotel_world import exotel_world
from tests.pipeline.world import CALLER, EXOPHONE, tenant_file


async def test_each_call_is_counted_with_its_reason(tmp_path: Path) -> None:
    async with exotel_world(tmp_path, options={"ignore": ["+919876500001"]}) as x:
        x.call(sid(1), ending="missed", ago_s=900)  # written
        x.call(sid(2), "+919876500001", ending="missed", ago_s=800)  # a number that is never recorded
        x.call(sid(3), "+919876500002", ago_s=700)  # answered: the agent decides
        await x.w.missed("hook-only")
        await x.reconcile()
        x.w.account.custom_fields.append(
            {"name": "cf_x", "label": "X", "type": "custom_text", "required_for_agents": True, "default": False}
        )
        x.call(sid(4), "+919876500003", ending="missed", ago_s=600)  # refused by the CRM
        await x.after(3700, every_s=3700)
        x.w.account.keys = {"another": "admin"}
        x.call(sid(5), "+919876500004", ending="missed", ago_s=600)  # the account is paused
        await x.after(3700, every_s=3700)
        found = await x.statement()
        assert (found.total.calls, found.total.written, found.total.not_due, found.total.missing) == (5, 1, 2, 2)
        assert found.total.not_due_for == {
            "the caller is on the list of numbers that are never recorded": 1,
            "no record is due for such a call by the connection's options": 1,
        }
        assert found.total.missing_for == {
            "the CRM refused it": 1,
            "the connection is paused or disabled": 1,
        }
        assert found.missing_calls == (sid(4), sid(5))
        assert found.unconfirmed == 1
        assert percent(found.total) == 60.0
        assert found.connections["support"].missing_for == found.total.missing_for
        assert found.checked_until == (await x.hourly()).done_at


async def test_connections_have_their_own_lines(tmp_path: Path) -> None:
    async with exotel_world(tmp_path) as x:
        x.call(sid(1), ending="missed", ago_s=900)
        x.call(sid(2), "+919876500001", ending="missed", ago_s=600)
        file = tenant_file(x.w.base_url)
        file["tenants"][0]["connections"].append(
            {
                "name": "second",
                "adapter": "freshdesk",
                "settings": {"domain": "other.freshdesk.com", "api_key": "k", "base_url": x.w.base_url},
                "options": {"exophones": ["08000000000"]},
            }
        )
        await x.w.apply(file)
        added_at = x.w.clock.now() - 750  # between the two calls
        await x.w.rows_changed("update connection set created_at = :at where name = 'second'", at=added_at)
        await x.reconcile()
        found = await x.statement()
        assert found.connections["support"].written == 2
        assert found.connections["second"].not_due_for == {
            "the call was not on one of this connection's ExoPhones": 1,
            "the connection was added after the call": 1,
        }
        assert (found.total.written, found.total.not_due) == (2, 0)


async def test_a_call_that_its_requests_gave_to_one_connection_is_not_due_for_others(tmp_path: Path) -> None:
    second = {
        "name": "second",
        "adapter": "freshdesk",
        "settings": {"domain": "other.freshdesk.com", "api_key": "k", "base_url": "http://127.0.0.1:9"},
    }
    async with exotel_world(tmp_path, connections=[second]) as x:
        first = x.w.tenant.connection("support")
        assert first is not None
        await x.w.event_for(first.id, sid(1), "missed", CallFrom=CALLER, CallTo=EXOPHONE, Direction="incoming")
        x.call(sid(1), ending="missed", ago_s=400)
        await x.reconcile()
        found = await x.statement()
        assert found.connections["second"].missing == 0
        assert list(found.connections["second"].not_due_for) == [statements._NOT_NAMED]
        assert (found.total.written, found.total.calls) == (1, 1)


async def test_the_day_is_the_tenants(tmp_path: Path) -> None:
    async with exotel_world(tmp_path) as x:
        for zone, begin in (("Asia/Kolkata", "18:30"), ("Europe/Berlin", "23:00"), ("UTC", "00:00")):
            file = tenant_file(x.w.base_url)
            file["tenants"][0]["time_zone"] = zone
            await x.w.apply(file)
            first, end = statements.bounds(x.w.tenant, dt.date(2026, 1, 10))
            assert f"{dt.datetime.fromtimestamp(first, dt.UTC):%H:%M}" == begin
            assert end - first == 86400
        berlin = dict(tenant_file(x.w.base_url))
        berlin["tenants"][0]["time_zone"] = "Europe/Berlin"
        await x.w.apply(berlin)
        first, end = statements.bounds(x.w.tenant, dt.date(2026, 3, 29))
        assert end - first == 23 * 3600


async def test_totals_outlive_the_calls(tmp_path: Path) -> None:
    async with exotel_world(tmp_path) as x:
        for number in range(3):
            x.call(sid(number), f"+9198765000{number:02d}", ending="missed", ago_s=3600)
        await x.reconcile()  # the totals are kept before the CRM has them
        await x.after(3700, every_s=3700)
        days = 8
        before = await x.statement()
        assert before.total.written == 3
        x.w.clock.advance(days * 86400)
        file = tenant_file(x.w.base_url)
        file["tenants"][0] |= {"api_url": x.url, "retention": {"days": 7}}
        await x.w.apply(file)
        await Retention(x.w.db, x.w.clock).prune(x.w.tenant)
        assert await x.w.rows("select id from call") == []
        after = await x.statement(days_ago=days)
        assert after.is_kept
        assert (after.total.calls, after.total.written, after.total.missing) == (3, 3, 0)
        assert after.connections["support"].written == 3
        # A backfill over the pruned day writes nothing, and the statement stays.
        tickets = len(x.w.tickets)
        await backfill(x, 10)
        await x.reconciler.backfill(x.w.tenant)
        await x.w.settle()
        assert len(x.w.tickets) == tickets
        assert (await x.statement(days_ago=days)).total == after.total


async def test_the_statements_queries_find_their_rows_by_an_index(tmp_path: Path) -> None:
    async with exotel_world(tmp_path) as x:
        if x.w.db.single_process:
            for statement in (totals._BECAME, totals._UNCONFIRMED, sweeps._SEEN, sweeps._TOMBS, sweeps._WAITING):
                lines = await x.w.db.read(_plan, statement)
                assert not [line for line in lines if line.startswith("SCAN") and "waiting" not in line], lines
                assert any("USING" in line for line in lines), lines


def _plan(sql: Connection, statement: TextClause) -> list[str]:
    values = {name: ["a"] if bind.expanding else 1 for name, bind in statement.compile().binds.items()}
    asked = text(f"explain query plan {statement.text}")
    expanding: list[BindParameter[Any]] = [
        bindparam(name, expanding=True) for name, bind in statement.compile().binds.items() if bind.expanding
    ]
    return [str(row[3]) for row in sql.execute(asked.bindparams(*expanding), values)]
