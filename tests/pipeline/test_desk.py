"""What each call becomes on a help desk: tickets and notes, through the whole pipeline, in a strict Freshdesk."""

import json
from pathlib import Path
from typing import Any

import pytest

from connector.adapter import Agent
from connector.pipeline.calls.accept import Received
from tests.pipeline.world import AGENT, CALLER, EXOPHONE, PUBLIC_URL, RECORDING, SID, World, world

INPUT = {"CallFrom": CALLER, "From": CALLER, "To": EXOPHONE, "Direction": "incoming", "CallType": "call-attempt"}


async def popup(w: World, sid: str, event_type: str, agent: str = AGENT) -> None:
    state = "free" if event_type == "Terminal" else "busy"
    await w.event(
        sid, "pop", CallFrom=CALLER, From=CALLER, To=EXOPHONE, DialWhomNumber=agent, Status=state, EventType=event_type
    )


async def only_ticket(w: World) -> dict[str, Any]:
    (ticket,) = w.tickets
    return ticket


async def test_missed(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.missed("sid1", StartTime="2023-12-27 12:17:05")
        (delivery,) = await w.settle()
        assert (delivery["state"], delivery["reason"]) == ("done", None)
        ticket = await only_ticket(w)
        assert ticket["subject"] == f"Missed call from {CALLER}"
        assert (ticket["source"], ticket["status"]) == (3, 2)
        body = ticket["description_text"]
        assert f"From: {CALLER}" in body
        assert f"Support line ({EXOPHONE})" in body
        assert "Wed, 27 Dec 2023 12:17:05 IST" in body
        assert "Missed (No answer)" in body
        assert "CallSid : sid1" in body
        assert w.notes(ticket) == []
        (contact,) = w.account.contacts.values()
        assert (contact["name"], contact["mobile"]) == ("Unknown", "+918884643606")
        assert contact["unique_external_id"] == "exotel:918884643606"


async def test_plain_answered_makes_nothing_unless_asked_for(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.answered("sid1", "answered")
        (delivery,) = await w.settle()
        assert delivery["state"] == "done"
        assert w.tickets == []
        assert w.account.requests == {}


async def test_answered_with_the_option_is_a_ticket_given_to_the_agent(tmp_path: Path) -> None:
    async with world(tmp_path, options={"answered": "ticket", "assign": "agent"}) as w:
        await w.answered("sid1", "answered")
        await w.settle()
        ticket = await only_ticket(w)
        assert ticket["responder_id"] == 81007555518
        assert "Agent: Avnish (09711581199)" in ticket["description_text"]


async def test_automated_answered_with_recording_and_duration(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.answered("sid1")
        await w.settle()
        ticket = await only_ticket(w)
        assert ticket["subject"] == f"Incoming Call from {CALLER} (Created automatically)"
        (note,) = w.notes(ticket)
        assert note["private"] is True
        assert f'href="{PUBLIC_URL}/r/' in note["body"]
        assert "Call Recording:" in note["body_text"]
        assert "Call Duration: 00:00:04" in note["body_text"]
        assert sum(w.account.requests.values()) <= 5
        await w.answered("sid2")
        await w.settle()
        assert sum(w.account.requests.values()) <= 5 + 3


async def test_a_late_recording_updates_the_note(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.answered("sid1", RecordingUrl="")
        await w.settle()
        ticket = await only_ticket(w)
        (note,) = w.notes(ticket)
        assert "Call Recording" not in note["body"]
        w.clock.advance(300)
        await w.answered("sid1", CurrentTime="2026-11-21 10:00:00")
        await w.settle()
        (note,) = w.notes(ticket)
        assert f"{PUBLIC_URL}/r/" in note["body"]
        assert len(w.tickets) == 1


async def test_voicemail_after_missed_moves_the_same_ticket_up(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.missed("sid1")
        await w.settle()
        await w.event("sid1", "voicemail", CallFrom=CALLER, To=EXOPHONE, CallType="voicemail", RecordingUrl=RECORDING)
        await w.settle()
        ticket = await only_ticket(w)
        assert ticket["subject"] == f"Voicemail from {CALLER}"
        (note,) = w.notes(ticket)
        assert note["body_text"].startswith("Voicemail:")
        assert f"{PUBLIC_URL}/r/" in note["body"]


async def test_words_are_left_alone_once_a_person_changed_the_subject(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.missed("sid1")
        await w.settle()
        ticket = await only_ticket(w)
        ticket["subject"] = "Refund for Ms Rao"
        await w.event("sid1", "voicemail", CallFrom=CALLER, To=EXOPHONE, CallType="voicemail", RecordingUrl=RECORDING)
        await w.settle()
        assert ticket["subject"] == "Refund for Ms Rao"
        assert len(w.notes(ticket)) == 1


async def test_ivr_and_gather_wait_for_the_end_and_an_overtaken_input(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.event("sid1", "ivr", **INPUT, digits='"2"', CurrentTime="2026-11-21 10:00:01")
        await w.event("sid1", "end", **INPUT, CurrentTime="2026-11-21 10:00:09")
        await w.settle()
        assert w.tickets == []
        w.clock.advance(1)
        await w.event(
            "sid1",
            "gather",
            **INPUT,
            digits='"24567"',
            gather_tag_1="customer_acc_number",
            CurrentTime="2026-11-21 10:00:05",
        )
        await w.settle()
        assert w.tickets == []
        await w.after(5)
        ticket = await only_ticket(w)
        assert ticket["subject"] == f"Incoming IVR/Gather call from {CALLER}"
        text = ticket["description_text"]
        assert "IVR/Gather Digits Captured" in text
        assert text.index('ivr_tag_1: "2"') < text.index('customer_acc_number: "24567"')


async def test_a_caller_who_leaves_the_ivr_gets_a_ticket_when_it_is_quiet(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.event("sid1", "ivr", **INPUT, digits='"1"')
        await w.after(60)
        assert w.tickets == []
        (delivery,) = await w.after(61)
        ticket = await only_ticket(w)
        assert "Caller left in the menu" in ticket["description_text"]
        assert delivery["state"] == "done"
        assert json.loads((await w.rows("select summary from call"))[0]["summary"])["outcome"] == "abandoned"


async def test_ivr_then_answered_keeps_the_ivr_ticket_and_adds_the_note(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.event("sid1", "ivr", **INPUT, digits='"1"', ivr_tag_1="lang_english")
        await w.event("sid1", "end", **INPUT)
        await w.after(4)
        await popup(w, "sid1", "Dial")
        await w.answered("sid1", "answered")
        await w.after(4)
        ticket = await only_ticket(w)
        assert ticket["subject"] == f"Incoming IVR/Gather call from {CALLER}"
        assert 'lang_english: "1"' in ticket["description_text"]
        assert "Outcome: Answered" in ticket["description_text"]
        assert len(w.notes(ticket)) == 1


async def test_popups_alone_are_a_missed_call_once_quiet(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await popup(w, "sid1", "Dial")
        await popup(w, "sid1", "Terminal")
        await w.after(100)
        assert w.tickets == []
        await w.after(25)
        assert (await only_ticket(w))["subject"] == f"Missed call from {CALLER}"


async def test_an_open_agent_keeps_the_call_from_being_quiet_for_four_hours(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await popup(w, "sid1", "Dial")
        (delivery,) = await w.after(3600)
        assert (delivery["state"], delivery["reason"]) == ("pending", "waiting")
        assert w.tickets == []
        await w.after(3 * 3600 + 1)
        assert len(w.tickets) == 1


async def test_outbound_call_however_it_ended(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.event(
            "out1", "status", EventType="terminal", Status="busy", From=AGENT, To=CALLER, PhoneNumberSid=EXOPHONE,
            Direction="outbound-api", **{"Legs[0][Status]": "completed", "Legs[1][Status]": "busy"},
        )  # fmt: skip
        await w.settle()
        ticket = await only_ticket(w)
        assert ticket["subject"] == f"Outbound call to {CALLER}"
        assert "Outcome: Busy" in ticket["description_text"]
        assert f"To: {CALLER}" in ticket["description_text"]


async def test_missed_call_goes_to_the_callers_open_ticket_where_asked(tmp_path: Path) -> None:
    async with world(tmp_path, options={"missed": "open_ticket"}) as w:
        await w.missed("sid1")
        await w.settle()
        first = await only_ticket(w)
        await w.missed("sid2")
        await w.settle()
        assert w.tickets == [first]
        (note,) = w.notes(first)
        assert "CallSid : sid2" in note["body_text"]
        first["status"] = 5
        await w.missed("sid3")
        await w.settle()
        assert len(w.tickets) == 2


async def test_a_linked_ticket_is_adopted_and_gets_the_notes(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.missed("old")
        await w.settle()
        theirs = await only_ticket(w)
        await link(w, "sid1", theirs["id"])
        await w.answered("sid1", "answered")
        await w.settle()
        assert w.tickets == [theirs]
        assert len(w.notes(theirs)) == 1
        rows = await w.rows("select state from step where slot = 'ticket'")
        assert {row["state"] for row in rows} == {"done", "adopted"}


async def test_a_link_after_our_ticket_leaves_a_note_with_the_newest_link(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.missed("old")
        await w.settle()
        theirs = await only_ticket(w)
        await w.answered("sid1", RecordingUrl="", **{"Legs[0][OnCallDuration]": "0"})
        await w.settle()
        ours = w.tickets[1]
        assert w.notes(ours) == []
        await link(w, "sid1", theirs["id"])
        await w.settle()
        (note,) = w.notes(ours)
        assert f"#{theirs['id']}" in note["body_text"]
        await w.answered("sid1", "answered")
        await w.settle()
        assert [f"{PUBLIC_URL}/r/" in note["body"] for note in w.notes(theirs)] == [True]
        assert len(w.notes(ours)) == 1


async def link(w: World, sid: str, ticket: int) -> None:
    connection = w.tenant.connections[0]
    await w.pipeline.accept(
        Received(
            tenant_id=w.tenant.id,
            call_sid=sid,
            kind="link",
            method="POST",
            query="",
            content_type="application/json",
            body=json.dumps({"ticket": str(ticket), "url": f"https://acme.freshdesk.com/a/tickets/{ticket}"}).encode(),
            params=[("ticket", str(ticket))],
            connection_id=connection.id,
            received_at=w.clock.now(),
            source="agent",
        )
    )


async def test_a_foreign_recording_link_is_left_out_and_said_so(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.answered("sid1", RecordingUrl="https://evil.example/exotelrecordings/exotel535/a.mp3")
        (delivery,) = await w.settle()
        (note,) = w.notes(await only_ticket(w))
        assert "evil.example" not in note["body"]
        assert "does not lead to Exotel" in delivery["warnings"]


async def test_recording_none(tmp_path: Path) -> None:
    async with world(tmp_path, options={"recording": "none"}) as w:
        await w.answered("sid1")
        await w.settle()
        (note,) = w.notes(await only_ticket(w))
        assert RECORDING not in note["body"]
        assert "00:00:04" in note["body_text"]


async def test_what_a_caller_controls_is_escaped(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.event("sid1", "ivr", **INPUT, digits='"1"', ivr_tag_1="<script>alert(1)</script>")
        await w.event("sid1", "end", **INPUT)
        await w.after(4)
        (ticket,) = w.tickets
        assert "<script" not in ticket["description"]
        assert "&lt;script&gt;" in ticket["description"]


@pytest.mark.parametrize("rule", ["mask", "drop"])
async def test_digits_are_hidden_before_they_are_stored(tmp_path: Path, rule: str) -> None:
    async with world(tmp_path, options={"digits": {"pin": rule}}) as w:
        await w.event("sid1", "ivr", **INPUT, digits='"4711"', ivr_tag_1="pin")
        await w.event("sid1", "gather", **INPUT, digits='"0815"', gather_tag_1="order")
        await w.event("sid1", "end", **INPUT)
        await w.after(4)
        stored = json.dumps([row["query"] for row in await w.rows("select query from event")])
        text = w.tickets[0]["description_text"]
        assert "4711" not in stored + text
        assert '"0815"' in text
        assert ('"****"' in text) == (rule == "mask")


async def test_withheld_callers_share_one_contact(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        for sid in ("a", "b"):
            await w.event(
                sid, "missed", To=EXOPHONE, Direction="incoming", CallType="incomplete", DialCallStatus="busy"
            )
        await w.settle()
        assert [ticket["subject"] for ticket in w.tickets] == ["Missed call from Withheld number"] * 2
        assert len(w.account.contacts) == 1


async def test_ignored_callers_and_other_exophones_leave_nothing(tmp_path: Path) -> None:
    async with world(tmp_path, options={"ignore": [CALLER], "exophones": [EXOPHONE]}) as w:
        await w.missed("sid1")
        (delivery,) = await w.settle()
        assert (delivery["state"], w.tickets) == ("done", [])
        assert "never recorded" in delivery["warnings"]
        await w.event("sid2", "missed", CallFrom="09876543210", To="08011111111", CallTo="08011111111")
        await w.settle()
        assert w.tickets == []


async def test_templates_and_fields_of_the_tenant(tmp_path: Path) -> None:
    options = {
        "templates": {"subject": {"missed": "Rückruf: {{ number }}"}, "body": "<b>{{ exophone }}</b> {{ call_sid }}"},
        "fields": {"priority": "3", "tags": "phone,{{ direction }}"},
    }
    async with world(tmp_path, options=options) as w:
        await w.missed("sid1")
        await w.settle()
        ticket = await only_ticket(w)
        assert ticket["subject"] == f"Rückruf: {CALLER}"
        assert ticket["description"].startswith(f"<b>Support line ({EXOPHONE})</b> sid1")
        assert (ticket["priority"], ticket["tags"]) == (3, ["phone", "inbound"])


async def test_a_deleted_agent_does_not_cost_the_ticket(tmp_path: Path) -> None:
    agents = [{"crm_id": "999", "name": "Gone", "phone": "+919711581199"}]
    async with world(tmp_path, options={"assign": "agent"}, agents=agents) as w:
        await w.answered("sid1")
        (delivery,) = await w.settle()
        assert delivery["state"] == "done"
        assert (await only_ticket(w))["responder_id"] is None
        assert "without agent" in delivery["warnings"]
        assert w.tenant.connections[0].agents == (Agent("999", "Gone", phone="+919711581199"),)


async def test_two_connections_of_one_account_have_a_ticket_each(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        from tests.pipeline.world import tenant_file

        file = tenant_file(w.base_url)
        second = {**file["tenants"][0]["connections"][0], "name": "billing"}
        file["tenants"][0]["connections"].append(second)
        await w.apply(file)
        await w.missed("sid1")
        await w.settle()
        assert len(w.tickets) == 2
        assert len(w.account.contacts) == 1
        assert w.directories.current.tenants[SID].connections[0].account == w.tenant.connections[1].account
