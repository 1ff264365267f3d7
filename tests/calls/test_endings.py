"""Every ending of a placed call, in every CRM: one record, whose words say who did not come to the phone."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.kit.exotel.account import Ending
from tests.calls.placed import CALLED, Placed, placed
from tests.pipeline.test_every_adapter import CRMS

#: Ending -> outcome of the call, its words.
ENDINGS: dict[Ending, tuple[str, str]] = {
    "answered": ("answered", "Answered"),
    "machine": ("answered", "Answered by a machine"),
    "agent_no_answer": ("missed", "No answer (the agent did not answer)"),
    "agent_busy": ("missed", "Busy (the agent was busy)"),
    "agent_hangup": ("missed", "Cancelled (the agent hung up before the customer answered)"),
    "customer_busy": ("missed", "Busy (the customer was busy)"),
    "customer_no_answer": ("missed", "No answer (the customer did not answer)"),
    "customer_failed": ("missed", "Failed (the customer could not be reached)"),
}
#: What the main record is called; Freshsales' logs have no subject.
SUBJECTS = {
    "freshsales": "Outbound call",
    "freshdesk": "Outbound call to 08884643606",
    "zoho_desk": "Outbound call to 08884643606",
    "freshchat": "Outgoing call",
    "hubspot": "Outgoing call to 08884643606",
    "zoho_crm": "Outgoing call to 08884643606",
}
#: HubSpot's status and disposition.
HUBSPOT: dict[Ending, tuple[str, str | None]] = {
    "answered": ("COMPLETED", "f240bbac-87c9-4f6e-bf70-924b57d47db7"),
    "machine": ("COMPLETED", None),
    "agent_no_answer": ("NO_ANSWER", "73a0d17f-1163-4015-bdd5-ec830791da20"),
    "agent_busy": ("BUSY", "9d9162e7-6cf3-4944-bf63-4dff82258764"),
    "agent_hangup": ("CANCELED", None),
    "customer_busy": ("BUSY", "9d9162e7-6cf3-4944-bf63-4dff82258764"),
    "customer_no_answer": ("NO_ANSWER", "73a0d17f-1163-4015-bdd5-ec830791da20"),
    "customer_failed": ("FAILED", None),
}


def of_kind(p: Placed, kind: str) -> list[dict[str, Any]]:
    """The CRM's records of a kind."""
    found: list[dict[str, Any]] = p.crm.dump()[kind]
    return found


@pytest.mark.parametrize("crm", CRMS)
async def test_every_ending_in_every_crm(tmp_path: Path, crm: str) -> None:
    async with placed(tmp_path, crm, crm_id=None) as p:
        for number, (ending, (outcome, words)) in enumerate(ENDINGS.items(), 1):
            p.exotel.endings.append(ending)
            before = dict(p.crm.counts())
            _, body = await p.place(agent="avnish@acme.example", custom_field="order 7")
            found = await p.done(body["id"])
            call = found["call"]
            assert (call["direction"], call["outcome"]) == ("outbound", outcome), ending
            assert (call["customer_number"], call["exophone"]) == (CALLED, "+918047494574"), ending
            (delivery,) = found["deliveries"]
            assert delivery["warnings"] == [], ending
            added = dict(Counter(p.crm.counts()) - Counter(before))
            assert added == expected(crm, new_caller=number == 1, talked=outcome == "answered"), ending
            (written,) = (text for text in texts(p, crm) if call["call_sid"] in text and SUBJECTS[crm] in text)
            for line in (f"Outcome: {words}", "To: 08884643606", "Agent: Avnish (09711581199)", "CustomField: order 7"):
                assert line in written, (ending, line, written)
        if crm == "hubspot":
            told = [row["properties"] for row in of_kind(p, "calls")]
            assert [(row["hs_call_status"], row.get("hs_call_disposition")) for row in told] == list(HUBSPOT.values())
            assert {row["hs_call_direction"] for row in told} == {"OUTBOUND"}
            assert [row["hs_call_duration"] for row in told if "hs_call_duration" in row] == ["32000", "32000"]
        if crm == "zoho_crm":
            calls = of_kind(p, "calls")
            assert {(row["Call_Type"], row["Outgoing_Call_Status"]) for row in calls} == {("Outbound", "Completed")}
            assert [row["Call_Duration"] for row in calls] == ["00:32", "00:32", *["00:01"] * 6]
            subjects = [row["Subject"] for row in calls]
            assert subjects[:2] == ["Outgoing call to 08884643606"] * 2
            assert subjects[5] == "Outgoing call to 08884643606 - Busy (the customer was busy)"
        if crm == "zoho_desk":
            assert {row["direction"] for row in of_kind(p, "calls")} == {"outbound"}
        if crm == "freshsales":
            assert {row["call_direction"] for row in of_kind(p, "phone_calls")} == {False}


def expected(crm: str, *, new_caller: bool, talked: bool) -> dict[str, int]:
    """What one call adds to a CRM."""
    contact = {"users" if crm == "freshchat" else "contacts": 1} if new_caller else {}
    return (
        contact
        | {
            "freshdesk": {"tickets": 1, **({"notes": 1} if talked else {})},
            "zoho_desk": {"tickets": 1, "calls": 1, **({"comments": 1} if talked else {})},
            "freshsales": {"phone_calls": 1, "notes": 1},
            "zoho_crm": {"calls": 1},
            "hubspot": {"calls": 1},
            # one conversation of agent and customer, while it is open
            "freshchat": {**({"conversations": 1} if new_caller else {}), "messages": 2 if talked else 1},
        }[crm]
    )


def texts(p: Placed, crm: str) -> Iterator[str]:
    """The words of the main records, as plain text."""
    if crm == "freshchat":
        for conversation in of_kind(p, "conversations"):
            yield from (message["message_parts"][0]["text"]["content"] for message in conversation["messages"])
        return
    kind, subject, body = {
        "freshdesk": ("tickets", "subject", "description"),
        "zoho_desk": ("tickets", "subject", "description"),
        "freshsales": ("notes", "description", "description"),
        "zoho_crm": ("calls", "Subject", "Description"),
        "hubspot": ("calls", "hs_call_title", "hs_call_body"),
    }[crm]
    for row in of_kind(p, kind):
        told = row.get("properties", row)
        yield f"{told[subject]} {told[body]}"


async def test_a_call_without_any_callback_is_closed_as_one_that_nobody_took(tmp_path: Path) -> None:
    async with placed(tmp_path) as p:
        p.exotel.sends_callbacks = False
        _, body = await p.place()
        assert (await p.call(body["id"]))["state"] == "placed"
        await p.player.idle()

        async def ticket() -> Any:
            return p.crm.tickets

        p.clock.advance(4 * 3600 + 1)
        await p.until(ticket)
        assert [row["subject"] for row in of_kind(p, "tickets")] == ["Outbound call to 08884643606"]
