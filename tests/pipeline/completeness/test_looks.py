"""What calls lack is asked of Exotel in lists, at its times, and never again after the last."""

from pathlib import Path
from typing import Any

from connector.store.queries.looks import LOOKS_S
from tests.pipeline.exotel_world import ExotelWorld, exotel_world
from tests.pipeline.world import AGENT, CALLER, EXOPHONE


async def popups(x: ExotelWorld, sid: str, caller: str = CALLER, *, open_: bool = False) -> None:
    """An agent is rung; nothing tells how it ended."""
    base = {"From": caller, "To": EXOPHONE, "DialWhomNumber": AGENT, "Direction": "incoming"}
    await x.w.event(sid, "pop", EventType="Dial", Status="busy", **base)
    if not open_:
        await x.w.event(sid, "pop", EventType="Terminal", Status="free", **base)


def sid(number: int) -> str:
    return f"c0ffee{number:026d}"


async def test_a_call_whose_end_was_not_told_is_asked_for_after_two_minutes(tmp_path: Path) -> None:
    async with exotel_world(tmp_path, options={"answered": "ticket"}) as x:
        x.call(sid(0), ago_s=5)
        await x.reconcile()  # Exotel answers: the hour before is gone through
        await popups(x, sid(1))
        x.call(sid(1))
        asked = x.asked()
        await x.after(100, every_s=20)
        assert x.asked() == asked
        await x.after(40, every_s=20)
        assert x.asked() == asked + 1
        assert [ticket["subject"] for ticket in x.w.tickets] == [
            f"Incoming Call from {CALLER} (Created automatically)"
        ] * len(x.w.tickets)
        assert await x.looks() == []
        await x.after(4000, every_s=300)
        assert x.asked() == asked + 1 + 2  # the hourly sweep: a page, and the long calls


async def test_without_an_answer_from_exotel_a_quiet_call_is_concluded_all_the_same(tmp_path: Path) -> None:
    async with exotel_world(tmp_path) as x:
        x.faults.odds = {"error_before": 1.0}
        await popups(x, sid(1))
        await x.after(150)
        assert [ticket["subject"] for ticket in x.w.tickets] == [f"Missed call from {CALLER}"]
        hourly = await x.hourly()
        assert hourly.trouble


async def test_an_agent_who_is_still_busy_by_the_popups_does_not_hold_a_call_that_is_over(tmp_path: Path) -> None:
    async with exotel_world(tmp_path) as x:
        await popups(x, sid(1), open_=True)
        x.call(sid(1), ending="missed")
        await x.after(100)
        assert x.w.tickets == []
        await x.after(60)
        assert [ticket["subject"] for ticket in x.w.tickets] == [f"Missed call from {CALLER}"]


async def test_a_record_that_settles_late_is_asked_for_again(tmp_path: Path) -> None:
    async with exotel_world(tmp_path) as x:
        await popups(x, sid(1), open_=True)
        x.call(sid(1), ending="missed", settle_s=600)
        await x.after(400)
        assert x.w.tickets == []
        (look,) = await x.looks()
        assert look["stage"] == 2
        await x.after(600)
        assert [ticket["subject"] for ticket in x.w.tickets] == [f"Missed call from {CALLER}"]
        assert await x.looks() == []


async def test_a_record_that_never_settles_is_asked_for_four_times(tmp_path: Path) -> None:
    async with exotel_world(tmp_path) as x:
        await x.reconcile()
        await popups(x, sid(1), open_=True)
        x.call(sid(1), ending="missed", settle_s=None)
        asked = x.asked()
        await x.after(3500, every_s=50)
        assert x.asked() == asked + 3
        await x.after(200, every_s=50)
        (look,) = await x.looks()
        assert (look["stage"], look["due_at"]) == (len(LOOKS_S), None)
        asked = x.asked()
        await x.after(3 * 3600, every_s=600)
        hourly_requests = 2 * 3
        assert x.asked() - asked <= hourly_requests + 2
        assert len(await x.looks()) == 1


async def test_a_call_that_lacks_its_recording_alone_is_first_asked_for_after_five_minutes(tmp_path: Path) -> None:
    async with exotel_world(tmp_path) as x:
        await x.w.answered(sid(1), RecordingUrl="")
        x.call(sid(1), recorded=True)
        await x.w.settle()
        await x.after(310, every_s=31)
        assert x.asked() <= 2
        (look,) = await x.looks()
        assert look["lacks"] == "recording"
        (ticket,) = x.w.tickets
        assert ["Call Recording" in note["body"] for note in x.w.notes(ticket)] == [False]
        await x.after(60)
        assert await x.looks() == []
        assert ["Call Recording" in note["body"] for note in x.w.notes(ticket)] == [True]
        (row,) = await x.w.rows("select summary from call")
        assert "exotelrecordings" in row["summary"]


async def test_an_answered_call_that_is_not_recorded_is_asked_for_once(tmp_path: Path) -> None:
    async with exotel_world(tmp_path) as x:
        await x.w.answered(sid(1), RecordingUrl="")
        x.call(sid(1), recorded=False)
        await x.after(400)
        (look,) = await x.looks()
        assert look["due_at"] is None
        (delivery,) = await x.w.settle()
        assert "never came" not in delivery["warnings"]


async def test_a_voicemails_recording_that_never_comes_is_said_once(tmp_path: Path) -> None:
    async with exotel_world(tmp_path) as x:
        voicemail = {"CallFrom": CALLER, "CallTo": EXOPHONE, "CallType": "voicemail", "Direction": "incoming"}
        await x.w.event(sid(1), "voicemail", **voicemail)
        x.call(sid(1), ending="voicemail", recorded=False)
        await x.after(3500, every_s=100)
        (delivery,) = await x.w.settle()
        assert "never came" not in delivery["warnings"]
        await x.after(300, every_s=100)
        (delivery,) = await x.w.settle()
        assert delivery["warnings"].count("never came") == 1
        assert await x.looks() == []
        await x.after(7200, every_s=600)
        (delivery,) = await x.w.settle()
        assert delivery["warnings"].count("never came") == 1


async def test_calls_are_asked_for_in_lists(tmp_path: Path) -> None:
    async with exotel_world(tmp_path, deliver=True) as x:
        await x.reconcile()
        for number in range(230):
            await popups(x, sid(number), f"0888464{number:04d}")
            x.call(sid(number), f"+91888464{number:04d}", ending="missed")
        asked = x.asked()
        await x.after(125, every_s=125)
        assert x.asked() == asked + 3


async def test_an_id_that_no_list_can_name_does_not_hold_the_others(tmp_path: Path) -> None:
    async with exotel_world(tmp_path) as x:
        for odd in ("a,b", "x;y", "sid with blanks", "short"):
            await popups(x, odd, open_=True)
        await popups(x, sid(1), open_=True)
        x.call(sid(1), ending="missed")
        await x.after(125, every_s=125)
        assert len(x.w.tickets) == 1
        assert {look["call_sid"]: look["due_at"] for look in await x.looks()}["a,b"] is None


async def test_an_hours_outage_of_exotel_is_caught_up(tmp_path: Path) -> None:
    async with exotel_world(tmp_path) as x:
        await x.reconcile()
        x.faults.odds = {"error_before": 1.0}
        for number in range(30):
            await popups(x, sid(number), f"0888464{number:04d}", open_=True)
            x.call(sid(number), f"+91888464{number:04d}", ending="missed")
        x.call(sid(99), "+918884649999", ending="missed")  # nothing tells of it
        before = sum(x.faults.dealt.values())
        await x.after(3600, every_s=30)
        tried = sum(x.faults.dealt.values()) - before
        assert tried < 60, "an account that does not answer is left alone for longer and longer"
        assert x.w.tickets == []
        x.faults.odds = {}
        await x.after(600)
        assert len(x.w.tickets) == 31
        statement = await x.statement()
        assert (statement.total.calls, statement.total.written, statement.total.missing) == (31, 31, 0)


async def test_looks_stay_where_the_store_was_closed(tmp_path: Path) -> None:
    found: dict[str, Any] = {}
    async with exotel_world(tmp_path) as x:
        await popups(x, sid(1), open_=True)
        await x.w.settle()
        await x.after(60)
        found = {"account": x.w.account, "exotel": x.exotel, "clock": x.w.clock}
        x.call(sid(1), ending="missed")
    async with exotel_world(tmp_path, **found) as x:
        await x.after(7200, every_s=7200)
        assert [ticket["subject"] for ticket in x.w.tickets] == [f"Missed call from {CALLER}"]
