"""Exotel's own list of calls is gone through, hourly and as a backfill: nothing is missed, nothing is doubled."""

import asyncio
from pathlib import Path

import pytest

from connector.errors import RateLimited
from connector.exotel.api import CallFilter
from connector.pipeline.completeness import sweep
from connector.pipeline.completeness.sweep import EVERY_S, LAG_S, OVERLAP_S
from connector.store.engine.database import single
from connector.store.queries import sweeps
from tests.pipeline.completeness.test_looks import popups, sid
from tests.pipeline.exotel_world import ExotelWorld, exotel_world
from tests.pipeline.world import CALLER, tenant_file

MISSED = f"Missed call from {CALLER}"


async def backfill(x: ExotelWorld, days: float, until_days: float = 0.0) -> int:
    """Wishes a backfill as the command does."""
    now = x.w.clock.now()
    wish = (x.w.tenant.id, "backfill", now - days * 86400, now - until_days * 86400, now)
    return await x.w.db.write(single(sweeps.add_sweep), wish)


async def state(x: ExotelWorld, sweep_id: int) -> tuple[str, int, int]:
    sweep = await x.w.db.read(sweeps.get_sweep, sweep_id)
    return sweep.state, sweep.found, sweep.made


async def test_calls_that_nothing_told_of_are_made_from_their_records(tmp_path: Path) -> None:
    async with exotel_world(tmp_path, options={"answered": "ticket"}) as x:
        x.call(sid(1), ending="missed", ago_s=400)
        x.call(sid(2), ending="voicemail", customer="+919876500001", ago_s=500)
        x.call(sid(3), ending="answered", customer="+919876500002", ago_s=600)
        x.call(sid(4), ending="busy", customer="+919876500003", direction="outbound-api", ago_s=700)
        x.call(sid(5), ending="missed", customer="+919876500004", ago_s=60)
        await x.reconcile()
        assert sorted(ticket["subject"] for ticket in x.w.tickets) == [
            "Incoming Call from 09876500002 (Created automatically)",
            MISSED,
            "Outbound call to 09876500003",
            "Voicemail from 09876500001",
        ], "the call of a minute ago is left to the next hour"
        await x.after(EVERY_S + 60, every_s=300)
        assert len(x.w.tickets) == 5
        statement = await x.statement()
        assert (statement.total.calls, statement.total.written, statement.total.missing) == (5, 5, 0)


async def test_a_request_that_comes_after_its_record_changes_nothing(tmp_path: Path) -> None:
    async with exotel_world(tmp_path) as x:
        x.call(sid(1), ending="missed", ago_s=400)
        await x.reconcile()
        (ticket,) = x.w.tickets
        sent = x.w.account.requests.total()
        await x.w.missed(sid(1))
        await popups(x, sid(1))
        await x.w.settle()
        assert x.w.tickets == [ticket]
        assert x.w.account.requests.total() == sent
        assert len(await x.w.rows("select id from delivery")) == 1


async def test_a_sweep_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    async with exotel_world(tmp_path) as x:
        await x.reconcile()
        first = await x.hourly()
        assert first.done_at == x.w.clock.now() - LAG_S
        await x.after(EVERY_S / 2, every_s=300)
        assert (await x.hourly()).done_at == first.done_at
        await x.after(EVERY_S / 2, every_s=300)
        assert (await x.hourly()).done_at == first.done_at + EVERY_S


async def test_an_outage_of_days_is_caught_up(tmp_path: Path) -> None:
    async with exotel_world(tmp_path) as x:
        await x.reconcile()
        for hour in range(50):
            x.w.clock.advance(3600)
            x.call(sid(hour), f"+9198765000{hour:02d}", ending="missed", ago_s=400)
        await x.reconcile()
        assert len(x.w.tickets) == 50
        assert x.asked() < 8


async def test_a_long_call_that_still_ran_when_its_hour_was_swept_is_found(tmp_path: Path) -> None:
    async with exotel_world(tmp_path, options={"answered": "ticket"}) as x:
        await x.reconcile()
        began = x.w.clock.now() + 60
        x.exotel.add_call({"sid": sid(1), "customer": "+918884643606", "created_at": began, "talk_s": 9000})
        await x.after(9000, every_s=600)
        assert x.w.tickets == []
        await x.after(2 * EVERY_S, every_s=600)
        assert len(x.w.tickets) == 1


async def test_what_ended_about_the_end_of_a_sweep_is_found_by_the_next(tmp_path: Path) -> None:
    async with exotel_world(tmp_path) as x:
        await x.reconcile()
        end = (await x.hourly()).done_at
        for number, second in enumerate((-OVERLAP_S + 30, -60, -1, 0, 1, 60)):
            # It began before the last sweep's end and was not in its list.
            facts = {"created_at": end + second, "ending": "missed", "customer": f"+9198765000{number:02d}"}
            x.exotel.add_call({"sid": sid(number), **facts})
        await x.after(EVERY_S + LAG_S, every_s=600)
        assert len(x.w.tickets) == 6


async def test_an_outage_in_the_middle_of_a_sweep_costs_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with exotel_world(tmp_path, deliver=False) as x:
        for number in range(450):
            x.call(sid(number), ending="missed", ago_s=20_000 - 10 * number)
        page = x.reconciler._sweeper._intake.page
        pages = 0

        async def breaks(*args: object, **more: object) -> int:
            nonlocal pages
            pages += 1
            if pages == 4:  # the long calls come first
                raise RateLimited("The account's quota is used up for now.")
            return await page(*args, **more)  # type: ignore[arg-type]  # whatever it is given

        monkeypatch.setattr(x.reconciler._sweeper._intake, "page", breaks)
        await x.reconciler.reconcile(x.w.tenant)
        assert (await x.hourly()).found == 200
        monkeypatch.setattr(x.reconciler._sweeper._intake, "page", page)
        await x.reconciler.reconcile(x.w.tenant)
        assert len(await x.w.rows("select id from event")) == 450
        assert (await x.hourly()).found <= 200 + 250 + 1, "what was seen is not asked for again"
        assert (await x.hourly()).until_at is None


async def test_a_tenant_without_connections_is_not_asked_for(tmp_path: Path) -> None:
    async with exotel_world(tmp_path) as x:
        x.call(sid(1), ending="missed", ago_s=400)
        file = tenant_file(x.w.base_url, enabled=False)
        await x.w.apply(file)
        await x.reconcile()
        assert x.asked() == 0


async def test_a_connection_gets_the_calls_from_when_it_was_added(tmp_path: Path) -> None:
    async with exotel_world(tmp_path) as x:
        await x.w.rows_changed("update connection set created_at = :at", at=x.w.clock.now() - 1000)
        x.call(sid(1), ending="missed", ago_s=2000)
        x.call(sid(2), "+919876500001", ending="missed", ago_s=500)
        await x.reconcile()
        assert [ticket["subject"] for ticket in x.w.tickets] == ["Missed call from 09876500001"]
        await backfill(x, 1)
        await x.reconciler.backfill(x.w.tenant)
        await x.w.settle()
        assert len(x.w.tickets) == 2


async def test_the_wrong_key_is_said_and_tried_less_and_less(tmp_path: Path) -> None:
    async with exotel_world(tmp_path) as x:
        x.exotel.api_key = "another"
        await x.after(600)
        assert (await x.hourly()).trouble
        assert not x.reconciler.answers(x.w.tenant.id)
        assert 1 < x.exotel.answers[401] < 12
        x.exotel.api_key = "demo_key"
        await x.after(400)
        assert (await x.hourly()).trouble is None
        assert x.reconciler.answers(x.w.tenant.id)


async def test_429_is_obeyed(tmp_path: Path) -> None:
    async with exotel_world(tmp_path, deliver=False) as x:
        x.exotel.limit = 3
        for number in range(900):
            x.call(sid(number), ending="missed", ago_s=20_000 - 10 * number)
        await x.reconciler.reconcile(x.w.tenant)
        for _ in range(20):
            refused = x.exotel.answers[429]
            await x.reconciler.reconcile(x.w.tenant)
            assert x.exotel.answers[429] == refused, "nothing is asked before the minute is over"
            x.w.clock.advance(61)
            await x.reconciler.reconcile(x.w.tenant)
            if (await x.hourly()).done_at >= x.w.clock.now() - EVERY_S:
                break
        assert len(await x.w.rows("select id from event")) == 900
        assert x.exotel.answers[429] <= 6


# --- backfill ---


async def test_a_backfill_writes_what_is_not_here_once(tmp_path: Path) -> None:
    async with exotel_world(tmp_path) as x:
        await x.w.missed(sid(1))
        await x.w.settle()
        x.call(sid(1), ending="missed", ago_s=5)
        for day in range(0, 170, 10):
            x.call(sid(100 + day), f"+919876500{day:03d}", ending="missed", ago_s=day * 86400 + 3600)
        sweep_id = await backfill(x, 180)
        await x.reconciler.backfill(x.w.tenant)
        await x.w.settle()
        assert await state(x, sweep_id) == ("done", 18, 17)
        assert len(x.w.tickets) == 18
        again = await backfill(x, 180)
        await x.reconciler.backfill(x.w.tenant)
        await x.w.settle()
        assert await state(x, again) == ("done", 18, 0)
        assert len(x.w.tickets) == 18
        assert x.asked() < 20


async def test_a_backfill_that_is_killed_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "_MOST_WAITING", 10_000)  # nothing is delivered here
    async with exotel_world(tmp_path, deliver=False) as x:
        for number in range(1500):
            x.call(sid(number), ending="missed", ago_s=3_000_000 - 1000 * number)
        sweep_id = await backfill(x, 90)
        x.faults.latency_s = 0.05
        work = asyncio.create_task(x.reconciler.backfill(x.w.tenant))
        for _ in range(2000):
            if (await state(x, sweep_id))[1] >= 500:
                break
            await asyncio.sleep(0.01)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        asked = x.asked()
        _, found, _ = await state(x, sweep_id)
        kept = {"exotel": x.exotel, "clock": x.w.clock, "account": x.w.account}
    async with exotel_world(tmp_path, deliver=False, **kept) as x:
        await x.reconciler.backfill(x.w.tenant)
        assert (await state(x, sweep_id))[0] == "done"
        assert len(await x.w.rows("select id from event")) == 1500
        # What was read is not read again, but for the page that was under way.
        assert x.asked() - asked <= (1500 - found) / 100 + 5


async def test_a_backfill_waits_while_the_crm_has_late_work_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "_MOST_WAITING", 150)
    async with exotel_world(tmp_path, deliver=False) as x:
        for number in range(500):
            x.call(sid(number), ending="missed", ago_s=300_000 - 100 * number)
        sweep_id = await backfill(x, 30)
        for _ in range(3):
            await x.reconciler.backfill(x.w.tenant)
            assert await state(x, sweep_id) == ("open", 200, 200)
        assert x.asked() == 2
        await x.w.rows_changed("update delivery set state = 'done', reason = null")
        await x.reconciler.backfill(x.w.tenant)
        assert (await state(x, sweep_id))[1] == 400


async def test_what_retention_has_pruned_is_not_written_again(tmp_path: Path) -> None:
    async with exotel_world(tmp_path) as x:
        x.call(sid(1), ending="missed", ago_s=86400 * 100)
        x.call(sid(2), "+919876500001", ending="missed", ago_s=86400 * 100)
        await x.w.rows_changed(
            "insert into tombstone (tenant_id, call_sid, connection_id, slot, kind, ref_id, made_at)"
            " values (:tenant_id, :call_sid, :connection_id, 'ticket', 'ticket', '1', :at)",
            tenant_id=x.w.tenant.id,
            call_sid=sid(1),
            connection_id=x.w.tenant.connections[0].id,
            at=x.w.clock.now() - 86400 * 10,
        )
        await x.w.rows_changed("update connection set created_at = 0")
        await backfill(x, 150)
        await x.reconciler.backfill(x.w.tenant)
        await x.w.settle()
        assert [ticket["subject"] for ticket in x.w.tickets] == ["Missed call from 09876500001"]


async def test_reconcile_asks_before_backfill_does(tmp_path: Path) -> None:
    """The quota of a minute: backfill stops at half of it, reconcile goes on."""
    async with exotel_world(tmp_path, deliver=False) as x:
        for day in range(1, 170):
            x.call(sid(day), ending="missed", ago_s=day * 86400)
        x.w.pipeline.exotel.gate("exotel535")
        spent = x.w.pipeline.exotel.client(x.w.tenant, "caller")
        for _ in range(101):
            await spent.calls.page(CallFilter(sids=[sid(1)]))
        sweep_id = await backfill(x, 170)
        await x.reconciler.backfill(x.w.tenant)
        assert (await state(x, sweep_id))[:2] == ("open", 0)
        await x.reconciler.reconcile(x.w.tenant)
        assert (await x.hourly()).done_at == x.w.clock.now() - LAG_S


async def test_only_tenants_with_something_to_ask_take_a_turn(tmp_path: Path) -> None:
    async with exotel_world(tmp_path) as x:

        async def has_turns() -> tuple[bool, bool]:
            asked, backfilled = await x.reconciler.to_ask(), await x.reconciler.with_backfill()
            return x.w.tenant.id in asked, x.w.tenant.id in backfilled

        assert await has_turns() == (True, False)  # it never had one
        await x.reconciler.reconcile(x.w.tenant)
        assert await has_turns() == (False, False)

        await x.w.answered(sid(1), RecordingUrl="")
        x.call(sid(1), recorded=True)
        await x.w.settle()
        assert await has_turns() == (False, False)
        x.w.clock.advance(331)
        assert await has_turns() == (True, False)  # a look is due
        await x.reconciler.reconcile(x.w.tenant)
        assert await has_turns() == (False, False)

        x.w.clock.advance(EVERY_S + 1)
        assert await has_turns() == (True, False)  # an hour is over
        await x.reconciler.reconcile(x.w.tenant)
        assert await has_turns() == (False, False)

        now = x.w.clock.now()
        await x.w.db.write(single(sweeps.add_sweep), (x.w.tenant.id, "now", now, now, now))
        assert await has_turns() == (True, False)  # somebody asked
        await x.reconciler.reconcile(x.w.tenant)
        await backfill(x, 30)
        assert await has_turns() == (False, True)


async def test_the_jobs_run_by_themselves_and_carry_out_wishes(tmp_path: Path) -> None:
    async with exotel_world(tmp_path) as x:
        x.call(sid(1), ending="missed", ago_s=60)
        now = x.w.clock.now()
        wish = await x.w.db.write(single(sweeps.add_sweep), (x.w.tenant.id, "now", now, now, now))
        old = await backfill(x, 30)
        async with x.reconciler.running():
            for job in x.reconciler.jobs:
                await job.look()
                await job.idle()
        await x.w.settle()
        assert (await state(x, wish))[0] == "done"
        assert (await state(x, old))[0] == "done"
        assert len(x.w.tickets) == 1
        (lease, _) = await x.w.rows("select name, owner from lease order by name desc")
        assert lease == {"name": "reconcile:exotel535", "owner": None}
