"""What goes wrong between us and the CRM, and what must never come of it: something lost, something doubled."""

import asyncio
import json
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from connector_freshdesk import Freshdesk
from sqlalchemy import update
from standins.freshdesk import Account

from connector.adapter import Adapter
from connector.errors import LeaseLost
from connector.exotel.parse import parse_request
from connector.kit.faults import Fault
from connector.pipeline.delivery import runner
from connector.pipeline.delivery.journal import Journal
from connector.pipeline.delivery.replay import ReplayWish
from connector.store import schema
from connector.store.queries.deliveries import Claim, StepRow, claim
from connector.store.queries.journal import Finish
from tests.pipeline.world import CALLER, RECORDING, ManualClock, World, tenant_file, world

WRITES = ["POST /api/v2/contacts", "POST /api/v2/tickets$", "POST /api/v2/tickets/[0-9]+/notes"]


def counts(account: Account) -> tuple[int, int, int]:
    """Contacts, tickets, notes."""
    return len(account.contacts), len(account.tickets), len(account.notes)


async def settled_after_all(w: World) -> list[dict[str, Any]]:
    """Lets every wait and retry pass."""
    rows = await w.settle()
    for _ in range(40):
        if all(row["state"] != "pending" for row in rows):
            return rows
        rows = await w.after(20)
    raise AssertionError(f"never done: {rows}")


@pytest.mark.parametrize("only", WRITES)
@pytest.mark.parametrize("fault", ["error_before", "error_after", "rate_limited", "reset_before", "reset_after"])
async def test_each_write_survives_each_fault(tmp_path: Path, only: str, fault: Fault) -> None:
    async with world(tmp_path) as w:
        w.faults.only = only
        w.faults.script.append(fault)
        await w.answered("sid1")
        (delivery,) = await settled_after_all(w)
        assert delivery["state"] == "done", delivery
        assert counts(w.account) == (1, 1, 1)
        assert w.faults.dealt[fault] == 1


@pytest.mark.parametrize("only", WRITES)
async def test_a_write_that_takes_effect_after_we_gave_up(
    tmp_path: Path, only: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Freshdesk, "timeout_s", 0.3)
    async with world(tmp_path) as w:
        w.faults.only, w.faults.slow_s, w.faults.effect_after_s = only, 1.2, 1.0
        w.faults.script.append("late")
        await w.answered("sid1")
        (delivery,) = await w.settle()
        assert delivery["state"] == "pending"
        await asyncio.sleep(1.3)  # the CRM works on, as long as it says it may at most
        (delivery,) = await settled_after_all(w)
        assert delivery["state"] == "done"
        assert counts(w.account) == (1, 1, 1)


async def test_a_repeat_reads_the_call_again_only_where_something_is_new(tmp_path: Path) -> None:
    with mock.patch("connector.pipeline.calls.events.parse_request", wraps=parse_request) as parsed:
        async with world(tmp_path) as w:
            w.faults.only = "POST /api/v2/tickets$"
            w.faults.script += ["error_before"] * 3
            await w.missed("sid1")
            await w.settle()
            await w.after(60)
            assert (w.faults.dealt["error_before"], parsed.call_count) == (2, 1)
            await w.apply(tenant_file(w.base_url, agents=[]))
            await w.after(600)
            assert (w.faults.dealt["error_before"], parsed.call_count) == (3, 2)
            await w.event("sid1", "voicemail", RecordingUrl=RECORDING, From=CALLER)
            (delivery,) = await settled_after_all(w)
            assert delivery["state"] == "done"
            assert parsed.call_count == 4, "both events"
            assert [ticket["subject"] for ticket in w.tickets] == [f"Voicemail from {CALLER}"]


async def test_nothing_is_repeated_before_the_crm_had_its_time(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.faults.only = "POST /api/v2/tickets$"
        w.faults.script.append("error_before")
        await w.missed("sid1")
        (delivery,) = await w.settle()
        assert (delivery["state"], delivery["reason"], delivery["attempts"]) == ("pending", "retrying", 1)
        await w.after(Freshdesk.settle_s - 1)
        assert w.account.requests["POST /tickets"] == 0  # the fault came before the stand-in counted it
        (delivery,) = await w.after(2)
        assert delivery["state"] == "done"
        assert w.account.requests["POST /tickets"] == 1


async def test_retry_after_is_obeyed_and_costs_no_attempt(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.faults.retry_after_s = 40
        w.faults.script.append("rate_limited")
        await w.missed("sid1")
        (delivery,) = await w.settle()
        assert (delivery["reason"], delivery["attempts"]) == ("quota", 0)
        await w.after(39)
        assert w.tickets == []
        (delivery,) = await w.after(2)
        assert (delivery["state"], len(w.tickets)) == ("done", 1)


async def test_a_crm_that_is_away_is_retried_and_its_circuit_opens(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.faults.odds = {"error_before": 1.0}
        for number in range(12):
            await w.missed(f"sid{number}", f"0888464{number:04d}")
        for _ in range(10):
            await w.after(30)
        asked = sum(w.faults.dealt.values())
        (gate,) = await w.rows("select * from gate")
        assert gate["failures"] >= 5
        assert gate["open_until"] is not None
        await w.after(0.5)
        assert sum(w.faults.dealt.values()) - asked < 12
        w.faults.odds = {}
        rows = await settled_after_all(w)
        assert [row["state"] for row in rows] == ["done"] * 12
        assert counts(w.account) == (12, 12, 0)
        (gate,) = await w.rows("select * from gate")
        assert (gate["failures"], gate["open_until"]) == (0, None)


async def test_after_its_time_of_trying_a_delivery_expires_and_can_be_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert runner.RETRY_FOR_S == 28 * 3600
    monkeypatch.setattr(runner, "RETRY_FOR_S", 600)  # 28 hours are a hundred retries, each with its own reads
    async with world(tmp_path) as w:
        w.faults.odds = {"error_before": 1.0}
        await w.missed("sid1")
        delivery: dict[str, Any] = {}
        for _ in range(50):
            (delivery,) = await w.after(900)
            if delivery["state"] == "dead":
                break
        assert (delivery["state"], delivery["reason"]) == ("dead", "expired")
        w.faults.odds = {}
        await w.after(3600)
        await w.pipeline.replay(ReplayWish(w.tenant.id, call_sid="sid1"))
        (delivery,) = await w.settle()
        assert (delivery["state"], len(w.tickets)) == ("done", 1)


async def test_a_bad_key_pauses_the_account_and_keeps_the_work(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.account.keys = {"another": "admin"}
        await w.missed("sid1")
        (delivery,) = await w.settle()
        assert (delivery["state"], delivery["reason"]) == ("pending", "paused")
        await w.missed("sid2", "09876543210")
        asked = sum(w.account.answers.values())
        await w.after(60)
        assert sum(w.account.answers.values()) == asked
        assert {row["reason"] for row in await w.rows("select reason from delivery")} == {"paused"}
        w.account.keys = None
        await w.pipeline.accounts.resume(w.tenant.connections[0].account)
        rows = await settled_after_all(w)
        assert [row["state"] for row in rows] == ["done", "done"]
        assert len(w.tickets) == 2


async def test_a_new_key_is_tried_as_soon_as_it_is_applied(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.account.keys = {"new-key": "admin"}
        await w.missed("sid1")
        await w.settle()
        file = tenant_file(w.base_url)
        file["tenants"][0]["connections"][0]["settings"]["api_key"] = "new-key"
        await w.apply(file)
        for _ in range(100):
            if w.tickets:
                break
            await asyncio.sleep(0.05)
        assert len(w.tickets) == 1


async def test_a_mandatory_field_makes_a_dead_letter_that_replay_mends(tmp_path: Path) -> None:
    account = Account(
        custom_fields=[
            {"name": "cf_line", "label": "Line", "type": "custom_text", "required_for_agents": True, "default": False}
        ]
    )
    async with world(tmp_path, account=account) as w:
        await w.answered("sid1")
        (delivery,) = await w.settle()
        assert (delivery["state"], delivery["reason"]) == ("dead", "rejected")
        assert "cf_line" in delivery["last_error"]
        assert w.tickets == []
        await w.apply(tenant_file(w.base_url, options={"fields": {"cf_line": "{{ exophone }}"}}))
        (shown,) = await w.pipeline.replay(ReplayWish(w.tenant.id, call_sid="sid1"), dry_run=True)
        assert [change["action"] for change in shown.changes] == ["create", "create"]
        asked = sum(w.account.requests.values())
        await w.settle()
        assert sum(w.account.requests.values()) == asked
        await w.pipeline.replay(ReplayWish(w.tenant.id, call_sid="sid1"))
        (delivery,) = await w.settle()
        assert delivery["state"] == "done"
        assert w.tickets[0]["custom_fields"]["cf_line"].startswith("Support line")


async def test_a_dead_delivery_is_opened_once_by_a_new_event(tmp_path: Path) -> None:
    account = Account(
        custom_fields=[
            {"name": "cf_line", "label": "Line", "type": "custom_text", "required_for_agents": True, "default": False}
        ]
    )
    async with world(tmp_path, account=account) as w:
        await w.missed("sid1")
        await w.settle()
        account.custom_fields.clear()
        await w.after(3600)
        assert w.tickets == []
        await w.event("sid1", "voicemail", CallFrom=CALLER, CallType="voicemail")
        (delivery,) = await w.settle()
        assert (delivery["state"], len(w.tickets)) == ("done", 1)


async def test_a_deleted_ticket_is_gone_until_replay_recreates_it(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.missed("sid1")
        await w.settle()
        w.tickets[0]["deleted"] = True
        w.clock.advance(60)
        await w.event("sid1", "voicemail", CallFrom=CALLER, CallType="voicemail", RecordingUrl="")
        (delivery,) = await w.settle()
        assert delivery["state"] == "done"
        assert "deleted" in delivery["warnings"]
        assert len(w.tickets) == 1
        await w.pipeline.replay(ReplayWish(w.tenant.id, call_sid="sid1"))
        await w.settle()
        assert len(w.tickets) == 1
        await w.pipeline.replay(ReplayWish(w.tenant.id, call_sid="sid1", recreate=True))
        await w.settle()
        assert [t["subject"] for t in w.tickets if not t.get("deleted")] == [f"Voicemail from {CALLER}"]


async def test_a_contact_that_was_deleted_is_found_or_made_anew(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.missed("sid1")
        await w.settle()
        (contact,) = w.account.contacts.values()
        contact["deleted"] = True
        await w.missed("sid2")
        (_first, second) = await settled_after_all(w)
        assert second["state"] == "done", second
        assert counts(w.account) == (1, 2, 0)
        assert not contact.get("deleted"), "the twin in the bin is restored, a second one is not made"


async def test_a_fault_of_ours_is_dead_at_once_with_its_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_args: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(Freshdesk, "create_ticket", broken)
    async with world(tmp_path) as w:
        await w.missed("sid1")
        (delivery,) = await w.settle()
        assert (delivery["state"], delivery["reason"]) == ("dead", "bug")
        assert "ZeroDivisionError" in delivery["last_error"]
    assert any("ZeroDivisionError: ours" in str(record.__dict__.get("traceback")) for record in caplog.records)


async def test_redialling_strangers_are_one_contact_each_although_search_lags(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.account.search_lag_s = 60
        callers = [f"0987654{number:04d}" for number in range(200)]
        await asyncio.gather(*(w.missed(f"{caller}-{n}", caller) for n in range(3) for caller in callers))
        rows = await w.settle(60)
        assert {row["state"] for row in rows} == {"done"}
        assert counts(w.account) == (200, 600, 0)


async def test_a_connection_that_is_dead_does_not_hold_the_others_work(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        file = tenant_file(w.base_url)
        dead = {
            "name": "dead",
            "adapter": "freshdesk",
            "settings": {"domain": "gone.freshdesk.com", "api_key": "k", "base_url": "http://127.0.0.1:9"},
        }
        file["tenants"][0]["connections"].append(dead)
        await w.apply(file)
        for number in range(50):
            await w.missed(f"sid{number}", f"0888464{number:04d}")
        for _ in range(200):
            if len(w.tickets) == 50:
                break
            await asyncio.sleep(0.05)
        assert len(w.tickets) == 50


# --- the process freezes (that it dies is tried with every CRM: test_every_adapter) ---


async def test_frozen_between_started_and_the_bytes_beyond_its_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = Journal.start
    frozen = asyncio.Event()

    async with world(tmp_path) as w:

        async def start_and_freeze(self: Journal, *args: Any) -> Any:
            row = await start(self, *args)
            if not frozen.is_set():
                frozen.set()
                w.clock.advance(70)
                from connector.adapter.http import send_before

                # A frozen process wakes up with its monotonic clock beyond what it may still send.
                send_before.set((send_before.get() or 0) - 70)
            return row

        monkeypatch.setattr(Journal, "start", start_and_freeze)
        await w.missed("sid1")
        for _ in range(100):
            await asyncio.sleep(0.02)
            if frozen.is_set():
                break
        await asyncio.sleep(0.3)
        assert w.tickets == []
        (delivery,) = await settled_after_all(w)
        assert (delivery["state"], len(w.tickets)) == ("done", 1)


async def test_a_lost_claim_writes_nothing(tmp_path: Path) -> None:
    async with world(tmp_path, deliver=False) as w:
        await w.missed("sid1")
        now = w.clock.now()
        wish = Claim(w.tenant.connections[0].id, 1, 10, "first", now, now + 60)
        (work,) = await w.db.write(claim, wish)
        assert await w.db.write(claim, wish) == []
        later = Claim(w.tenant.connections[0].id, 1, 10, "second", now + 61, now + 120)
        (taken,) = await w.db.write(claim, later)
        assert taken.fence == work.fence + 1
        journal = Journal(w.db, work, w.clock, 10)
        journal.set(StepRow("ticket", "ticket", "done", ref_id="1"))
        finish = Finish("done", None, now, 0, 0, None, "[]", 1, json.dumps({}), None)
        with pytest.raises(LeaseLost):
            await journal.finish(finish)
        assert await w.rows("select * from step") == []
        (row,) = await w.rows("select state, owner from delivery")
        assert row == {"state": "pending", "owner": "second"}


async def test_an_event_that_comes_while_an_attempt_runs_is_not_overlooked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path) as w:
        w.faults.latency_s = 0.2
        await w.missed("sid1")
        await asyncio.sleep(0.1)
        await w.event("sid1", "voicemail", CallFrom=CALLER, CallType="voicemail")
        await w.settle()
        assert [ticket["subject"] for ticket in w.tickets] == [f"Voicemail from {CALLER}"]


async def test_a_restored_copy_looks_before_it_writes(tmp_path: Path) -> None:
    clock = ManualClock()
    account = Account(clock=clock.now)
    async with world(tmp_path, account=account, clock=clock, deliver=False) as w:
        await w.missed("sid1")
        connection = w.tenant.connections[0]
        await w.db.write(
            lambda c, rows: [c.execute(update(schema.config).values(restored_at=clock.now() + 1)) for _ in rows], None
        )
    # The original went on after the backup: the ticket is there, the copy does not know it.
    contact = account.add_contact(
        {"name": "Unknown", "mobile": "+918884643606", "unique_external_id": "exotel:918884643606"}, indexed=True
    )
    await _written_by_the_original(account, contact["id"], f"{connection.id}:sid1:ticket")
    async with world(tmp_path, account=account, clock=clock) as w:
        (delivery,) = await settled_after_all(w)
        assert delivery["state"] == "done"
        assert len(account.tickets) == 1


async def _written_by_the_original(account: Account, requester: int, key: str) -> None:
    from connector.adapter import stamp

    account.add_ticket(
        {
            "subject": "Missed call",
            "description": stamp(key),
            "requester_id": requester,
            "source": 3,
            "status": 2,
            "priority": 1,
        }
    )


def test_every_adapter_settles_before_a_restart_counts_on_it() -> None:
    assert Adapter.settle_s < 15


async def test_text_that_no_database_keeps_costs_no_call(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.missed("sid\0\ud800", caller="0888\x004643606\ud83d")
        await w.event("sid2", "missed", CallFrom="0888\0", DialWhomNumber="x\0y", digits="1\0", Direction="incoming")
        rows = await w.settle()
        assert {row["state"] for row in rows} == {"done"}, rows
        assert len(w.tickets) == 2
