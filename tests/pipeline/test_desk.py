"""What each call becomes on a help desk: tickets and notes, through the whole pipeline."""

from pathlib import Path

from tests.pipeline.world import CALLER, world


async def test_a_missed_call_becomes_a_ticket(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.missed("sid1")
        (delivery,) = await w.settle()
        assert delivery["state"] == "done", delivery
        (ticket,) = w.tickets
        assert ticket["subject"] == f"Missed call from {CALLER}"
        print(ticket, w.account.requests)


async def test_an_answered_call_becomes_a_ticket_with_a_note(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.answered("sid1")
        (delivery,) = await w.settle()
        assert delivery["state"] == "done", delivery
        (ticket,) = w.tickets
        assert ticket["subject"] == f"Incoming Call from {CALLER} (Created automatically)"
        (note,) = w.notes(ticket)
        print(ticket, note, w.account.requests)
