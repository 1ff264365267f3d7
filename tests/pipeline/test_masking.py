"""A tenant that masks customers' numbers: no words in any CRM hold one, and callers are told apart all the same."""

from pathlib import Path
from typing import Any

import pytest

from connector.adapter import registry
from connector.phone import spellings_of
from tests.pipeline.test_every_adapter import CRMS, done
from tests.pipeline.world import EXOPHONE, World, standin_of, tenant_file, world

#: Alike in their last four digits, as `last_4` leaves them.
CALLERS = ("08884643606", "09777773606")
#: Where the CRM keeps people, and what of a person holds the number by which the caller is found again: its field,
#: and the key that a repeated write is recognised by.
PEOPLE = ("contacts", "users", "leads")
KEPT = frozenset(
    {
        *("phone", "mobile", "mobile_number", "Phone", "hs_searchable_calculated_phone_number"),
        *("external_id", "unique_external_id", "reference_id", "description", "exotel_caller_key"),
    }
)
#: Everything that an adapter writes on request.
OPTIONS: dict[str, dict[str, Any]] = {
    "freshdesk": {"answered": "ticket"},
    "freshsales": {"follow_up": "task"},
    "hubspot": {"records": ["sales", "desk"], "follow_up": "task"},
    "zoho_crm": {"follow_up": "task"},
    "zoho_desk": {"answered": "ticket"},
}


def words(value: Any, place: str = "") -> list[tuple[str, str]]:
    """(name, text) of every text of a structure."""
    if isinstance(value, dict):
        return [found for name, below in value.items() for found in words(below, name)]
    if isinstance(value, (list, tuple)):
        return [found for below in value for found in words(below, place)]
    return [(place, str(value))]


async def every_kind_of_call(w: World, number: int, caller: str) -> None:
    inbound = {"CallFrom": caller, "From": caller, "To": EXOPHONE, "CallTo": EXOPHONE, "Direction": "incoming"}
    await w.missed(f"missed{number}", caller)
    await w.answered(f"answered{number}", caller=caller)
    await w.event(f"voicemail{number}", "voicemail", **inbound, CallType="voicemail")
    await w.event(f"ivr{number}", "ivr", **inbound, digits='"1"', ivr_tag_1="language")
    await w.event(f"ivr{number}", "end", **inbound)
    await w.event(
        f"out{number}", "status", EventType="terminal", Status="completed", From="09711581199", To=caller,
        PhoneNumberSid=EXOPHONE, ConversationDuration=12, Direction="outbound-api",
        **{"Legs[0][Number]": "09711581199", "Legs[1][Number]": caller, "Legs[1][OnCallDuration]": 12},
    )  # fmt: skip


@pytest.mark.parametrize("crm", CRMS)
async def test_no_words_hold_a_customers_number(tmp_path: Path, crm: str) -> None:
    adapter = registry.get(crm)
    async with world(tmp_path, crm, options=OPTIONS.get(crm, {})) as w:
        await w.apply(masking(w, crm))
        for number, caller in enumerate(CALLERS):
            await every_kind_of_call(w, number, caller)
        await w.after(130)
        rows = await done(w)
        assert {row["state"] for row in rows} == {"done"}, rows
        assert not [row["warnings"] for row in rows if "left out" in row["warnings"]], "something was refused"

        held = w.account.dump()
        people = [person for kind in PEOPLE for person in held.get(kind, [])]
        assert len(people) == len(CALLERS), "two callers with the same last digits are two contacts"
        spelt = [form for caller in CALLERS for form in spellings_of(f"+91{caller[1:]}", "IN").values()]
        cores = sorted({form.lstrip("+0") for form in spelt}, key=len)[: len(CALLERS)]
        for name, text in words({kind: rows for kind, rows in held.items() if kind not in PEOPLE}):
            assert not any(core in text for core in cores), (name, text)
        for name, text in words(people):
            if name not in KEPT:
                assert not any(core in text for core in cores), (name, text)
        assert any("…3606" in text for _, text in words(held)), "the last digits are what people go by"
        # The number field of the CRM's contact is whole, in the adapter's own spelling: it is what the next call finds.
        for caller in CALLERS:
            form = spellings_of(f"+91{caller[1:]}", "IN")[adapter.save_as]
            assert any(form == text for name, text in words(people) if name in KEPT), (crm, form)


@pytest.mark.parametrize("crm", CRMS)
async def test_a_caller_whom_the_crm_knows_is_found_again(tmp_path: Path, crm: str) -> None:
    account = standin_of(crm).Account()
    for visit in ("first", "second"):
        (tmp_path / visit).mkdir()  # another store, which knows nobody: the CRM alone can tell
        async with world(tmp_path / visit, crm, account=account) as w:
            await w.apply(masking(w, crm))
            await w.missed(visit, CALLERS[0])
            assert [row["state"] for row in await done(w)] == ["done"]
    assert sum(len(account.dump().get(kind, [])) for kind in PEOPLE) == 1


def masking(w: World, crm: str) -> dict[str, Any]:
    """The tenant of the world, masking numbers."""
    file = tenant_file(w.base_url, crm)
    tenant = file["tenants"][0]
    tenant["mask"] = {"customer_numbers": "last_4"}
    del tenant["connections"]
    return file
