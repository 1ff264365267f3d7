"""Zoho CRM, adapter against stand-in, over real sockets.

Bodies of refusals are written after Zoho's OpenAPI description and documentation (restated in
docs/reference/zoho_crm.md §4 and §10); none is a recording.
"""

import asyncio
import sys
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any, ClassVar

import aiohttp
import pytest
from aiohttp import web
from connector_zoho_crm import ZohoCrm, ZohoCrmOptions, ZohoCrmSettings
from pydantic import ValidationError
from standins.zoho_crm import SETTINGS, Account, standin

from connector.adapter import Agent, Caller, Entry, Home, Quota, Ref
from connector.adapter.http import CrmHttp, Unlimited
from connector.errors import (
    AuthFailed,
    CannotTell,
    CrmUnavailable,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Rejected,
)
from connector.exotel.model import Call
from connector.kit import AdapterSuite, Refusal
from connector.kit.bench import CALL
from connector.kit.faults import Fault, Faults
from connector.kit.wire import serving
from connector.outbound import session
from connector.phone import caller_of

TOKEN = SETTINGS["refresh_token"]


def refused(code: str, **details: Any) -> dict[str, Any]:
    """A refusal of a whole request."""
    return {"code": code, "details": details, "message": "not like this", "status": "error"}


def refused_item(code: str, **details: Any) -> dict[str, Any]:
    """A refusal of the one record that was sent."""
    return {"data": [refused(code, **details)]}


class TestZohoCrm(AdapterSuite):
    adapter = ZohoCrm
    settings: ClassVar = SETTINGS
    refusals = (
        Refusal(202, refused_item("INVALID_DATA", api_name="Owner"), Rejected, ("agent",)),
        Refusal(202, refused_item("INVALID_DATA", api_name="Who_Id"), Rejected, ("contact",)),
        Refusal(400, refused_item("INVALID_DATA", api_name="What_Id"), Rejected, ("contact",)),
        Refusal(200, refused_item("INVALID_DATA", api_name="Subject", maximum_length=255), Rejected, ("subject",)),
        Refusal(200, refused_item("INVALID_DATA", api_name="Description"), Rejected, ("html",)),
        Refusal(200, refused_item("INVALID_DATA", api_name="Voice_Recording__s"), Rejected, ("recording",)),
        Refusal(202, refused_item("MANDATORY_NOT_FOUND", api_name="Region"), Rejected, ("fields.Region",)),
        Refusal(202, refused_item("INVALID_DATA", api_name="Call_Result"), Rejected, ("fields.Call_Result",)),
        Refusal(400, refused_item("ID_ALREADY_CONVERTED"), Rejected, ("contact",)),
        Refusal(202, refused_item("INVALID_DATA", api_name="id"), NotFound),
        Refusal(400, refused_item("RECORD_LOCKED"), CrmUnavailable),
        Refusal(202, refused_item("RECORD_IN_BLUEPRINT"), CrmUnavailable),
        Refusal(202, refused_item("INTERNAL_ERROR"), OutcomeUnknown),
        Refusal(404, refused("INVALID_URL_PATTERN"), Rejected),
        Refusal(400, refused("INVALID_MODULE"), Rejected),
        Refusal(401, refused("INVALID_TOKEN"), AuthFailed),
        Refusal(401, refused("OAUTH_SCOPE_MISMATCH"), AuthFailed),
        Refusal(403, refused("NO_PERMISSION"), Rejected),
        Refusal(403, refused_item("PERMISSION_DENIED"), Rejected),
        Refusal(429, refused("TOO_MANY_REQUESTS"), RateLimited),
        Refusal(400, refused("LIMIT_EXCEEDED"), RateLimited),
        Refusal(500, refused("INTERNAL_ERROR"), OutcomeUnknown),
    )

    def standin(self) -> web.Application:
        return standin(Account(refresh_tokens=[TOKEN]))


WORDS = Entry("Incoming call from 09876543210", "Incoming call\nOutcome: Answered", "<p>Incoming call</p>")
MISSED = replace(WORDS, subject="Missed call from {contact} (09876543210)")
MANISH = Agent("4876876000000327002", "Manish Singh")
KEY = "c1:e69d:log"
FIELD = "Exotel_Key"
MISSED_CALL = CALL.model_copy(update={"outcome": "missed", "duration_s": None, "recording_url": None})
OUTGOING = CALL.model_copy(update={"direction": "outbound"})
IST = timezone(timedelta(hours=5, minutes=30))


@dataclass
class Org:
    """A stand-in, and an adapter connected to it."""

    account: Account
    faults: Faults
    crm: ZohoCrm
    url: str
    client: aiohttp.ClientSession

    async def contact(self, **values: Any) -> Ref:
        """The caller's contact, there for long."""
        row = self.account.add("Contacts", {"Last_Name": "Asha Rao", "Phone": "9876543210", **values}, indexed=True)
        return Ref("contact", row["id"])

    async def lead(self) -> Ref:
        """The caller's lead."""
        values = {"Last_Name": "Summaiya Z", "Company": "kflii", "Phone": "9890000575"}
        return Ref("lead", self.account.add("Leads", values, indexed=True)["id"])

    def stored(self, ref: Ref, module: str = "Calls") -> dict[str, Any]:
        """A record as Zoho has it."""
        return self.account.records[module][ref.id]

    def requests(self) -> int:
        """How many API requests came; logins do not count."""
        return self.account.requests.total()

    def fail(self, *faults: Fault, only: str = "") -> None:
        """What goes wrong next."""
        self.faults.script, self.faults.only = deque(faults), only


def caller(number: str | None = "+919876543210") -> Caller:
    """The customer."""
    return caller_of(number, "IN", ZohoCrm.find_by, ZohoCrm.save_as)


def settings(**changes: Any) -> ZohoCrmSettings:
    """Settings of a connection."""
    return ZohoCrmSettings.model_validate({**SETTINGS, **changes})


def idle(**changes: Any) -> ZohoCrm:
    """An adapter that is asked about itself."""
    http: Any = None
    return ZohoCrm(settings(**changes), http, Home("", ""))


@asynccontextmanager
async def connected(account: Account | None = None, **options: Any) -> AsyncIterator[Org]:
    """A stand-in of this account with an adapter."""
    account, faults = account or Account(refresh_tokens=[TOKEN]), Faults(seed=1)
    async with serving(standin(account, faults)) as url, session(frozenset({"127.0.0.1"})) as client:
        http = CrmHttp(client, Unlimited())
        crm = ZohoCrm(settings(base_url=url), http, Home("", ""), ZohoCrmOptions.model_validate(options))
        http.bind(crm)
        yield Org(account, faults, crm, url, client)


@pytest.fixture
async def org() -> AsyncIterator[Org]:
    async with connected() as org:
        yield org


class TestSettings:
    @pytest.mark.parametrize(
        ("entered", "known"),
        [
            ("in", "in"),
            (" IN ", "in"),
            (".eu", "eu"),
            ("com", "us"),
            ("com.au", "au"),
            ("zoho.com.cn", "cn"),
            ("https://crm.zoho.in/", "in"),
        ],
    )
    def test_data_centre_as_people_enter_it(self, entered: str, known: str) -> None:
        assert settings(data_center=entered).data_center == known

    @pytest.mark.parametrize("entered", ["", "moon", "zoho.evil.example", 7])
    def test_data_centres_that_are_none(self, entered: object) -> None:
        with pytest.raises(ValidationError):
            settings(data_center=entered)

    @pytest.mark.parametrize(
        ("data_center", "api", "accounts"),
        [
            ("us", "www.zohoapis.com", "accounts.zoho.com"),
            ("au", "www.zohoapis.com.au", "accounts.zoho.com.au"),
            ("ca", "www.zohoapis.ca", "accounts.zohocloud.ca"),
            ("cn", "www.zohoapis.com.cn", "accounts.zoho.com.cn"),
        ],
    )
    def test_addresses(self, data_center: str, api: str, accounts: str) -> None:
        crm = idle(data_center=data_center)
        assert crm.root == f"https://{api}/crm/v8/"
        assert crm.grant().token_url == f"https://{accounts}/oauth/v2/token"

    def test_base_url_moves_the_login_unless_it_has_its_own(self) -> None:
        moved = idle(base_url="http://127.0.0.1:1")
        assert moved.grant().token_url == "http://127.0.0.1:1/oauth/v2/token"
        apart = idle(base_url="http://127.0.0.1:1", accounts_url="http://127.0.0.1:2/")
        assert apart.grant().token_url == "http://127.0.0.1:2/oauth/v2/token"

    def test_an_account_is_its_login(self) -> None:
        assert idle().account == idle(base_url="http://127.0.0.1:1").account
        assert idle().account != idle(refresh_token="1000.another").account

    @pytest.mark.parametrize("follow_up", ["none", "task", "event", "call"])
    def test_follow_ups(self, follow_up: str) -> None:
        assert ZohoCrmOptions.model_validate({"follow_up": follow_up}).follow_up == follow_up

    @pytest.mark.parametrize(
        "options", [{"follow_up": "fax"}, {"key_field": "exotel key"}, {"associate": ["ticket"]}, {"colour": "red"}]
    )
    def test_options_that_are_none(self, options: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            ZohoCrmOptions.model_validate(options)


class TestLogin:
    async def test_a_refused_token_is_renewed_once(self, org: Org) -> None:
        await org.crm.check()
        org.account.log_out()
        contact = await org.contact()
        await org.crm.log_call(KEY, contact, CALL, WORDS)
        assert org.account.answers[401] == 1
        assert org.account.counts()["calls"] == 1

    async def test_a_revoked_login(self, org: Org) -> None:
        org.account.refresh_tokens = []
        with pytest.raises(AuthFailed, match="invalid_code"):
            await org.crm.check()

    async def test_a_missing_scope_is_asked_for_once(self, org: Org) -> None:
        org.account.missing_scopes = ["ZohoCRM.modules.ALL"]
        with pytest.raises(AuthFailed) as error:
            await org.crm.find_contacts(caller())
        assert "OAUTH_SCOPE_MISMATCH" in error.value.message
        assert org.requests() == 1


class TestCheck:
    async def test_names_the_organisation(self, org: Org) -> None:
        checked = await org.crm.check()
        assert (checked.account, checked.missing) == ("Acme Telecom (in)", ())

    async def test_missing_rights_are_named(self, org: Org) -> None:
        org.account.missing_scopes = ["ZohoCRM.users.READ", "ZohoCRM.settings.fields.READ"]
        missing = (await org.crm.check()).missing
        assert [("fields.READ" in words, "users.READ" in words) for words in missing] == [(True, False), (False, True)]
        with pytest.raises(AuthFailed):
            await org.crm.list_agents()

    async def test_a_login_that_may_not_read_its_organisation(self, org: Org) -> None:
        org.account.missing_scopes = ["ZohoCRM.org.READ"]
        with pytest.raises(AuthFailed, match=r"org\.READ"):
            await org.crm.check()

    async def test_mandatory_fields_are_named(self, org: Org) -> None:
        org.account.custom_fields["Calls"] = [
            own("Seats", "integer", system_mandatory=True),
            own("Region", "text", system_mandatory=True, pick_list_values=[{"actual_value": "North"}]),
            own("Free", "text"),
        ]
        missing = (await org.crm.check()).missing
        assert len(missing) == 2
        assert "options.fields.Seats" in missing[0]
        assert "json:3" in missing[0]
        assert "`North`" in missing[1]

    async def test_agents_of_all_pages(self, org: Org) -> None:
        for number in range(250):
            org.account.users[str(number)] = {"id": str(number), "zuid": None, "full_name": f"A{number}", "phone": None}
        agents = await org.crm.list_agents()
        assert len(agents) == 253
        assert agents[0].ids == {"zuid": "739756987"}
        assert (agents[0].id, agents[0].name, agents[0].phone) == (
            "4876876000000327001",
            "Avnish Kumar",
            "+919711581199",
        )
        assert org.account.requests["GET /users"] == 2


def own(name: str, kind: str, **more: Any) -> dict[str, Any]:
    """A custom field as `GET /settings/fields` has it."""
    return {"api_name": name, "field_label": name, "data_type": kind, "custom_field": True, "unique": {}, **more}


class TestFindContacts:
    @pytest.mark.parametrize("stored", ["+919876543210", "09876543210", "919876543210", "9876543210"])
    @pytest.mark.parametrize("where", ["Mobile", "Phone"])
    async def test_one_request_for_all_spellings(self, org: Org, stored: str, where: str) -> None:
        row = org.account.add("Contacts", {"Last_Name": "Asha", where: stored})
        assert [ref.id for ref in await org.crm.find_contacts(caller())] == [row["id"]]
        assert org.requests() == 1

    async def test_whom_a_person_belongs_to(self, org: Org) -> None:
        owner = list(org.account.users)[1]
        assert await org.crm.find_owner(await org.contact(Owner={"id": owner})) == owner
        assert await org.crm.find_owner(await org.lead()) == next(iter(org.account.users))
        assert org.requests() == 2
        with pytest.raises(NotFound):
            await org.crm.find_owner(Ref("contact", "4876876000000999999"))

    async def test_leads_where_there_is_no_contact(self, org: Org) -> None:
        lead = await org.lead()
        (found,) = await org.crm.find_contacts(caller("+919890000575"))
        assert (found.kind, found.id) == ("lead", lead.id)
        assert found.url == f"{org.url}/crm/tab/Leads/{lead.id}"
        assert org.requests() == 2

    async def test_newest_change_first(self) -> None:
        now = [1_790_000_000.0]
        async with connected(Account(clock=lambda: now[0])) as org:
            rows = []
            for name in ("old", "new"):
                rows.append(org.account.add("Contacts", {"Last_Name": name, "Phone": "09876543210"})["id"])
                now[0] += 60
            assert [ref.id for ref in await org.crm.find_contacts(caller())] == rows[::-1]

    async def test_a_longer_number_that_contains_it_is_none(self, org: Org) -> None:
        org.account.add("Contacts", {"Last_Name": "Other", "Phone": "+4419876543210"})
        assert await org.crm.find_contacts(caller()) == []

    @pytest.mark.parametrize("number", [None, "Anonymous"])
    async def test_callers_without_a_number_cost_no_request(self, org: Org, number: str | None) -> None:
        assert await org.crm.find_contacts(caller(number)) == []
        assert org.requests() == 0

    async def test_a_sip_caller_is_found_again(self, org: Org) -> None:
        alice = caller("sip:alice(1),x\\@pbx.example")
        made = await org.crm.create_contact("exotel:sip:alice", alice, "Unknown")
        assert org.stored(made, "Contacts")["Last_Name"] == "sip:alice(1),x\\@pbx.example"
        assert await org.crm.find_contacts(alice) == [made]

    async def test_no_more_terms_than_zoho_takes(self, org: Org) -> None:
        spellings = tuple(f"98765432{place:02d}" for place in range(20))
        assert await org.crm.find_contacts(replace(caller(), spellings=spellings)) == []
        assert set(org.account.answers) == {204}


class TestPeople:
    async def test_what_is_stored(self, org: Org) -> None:
        contact = await org.crm.create_contact("exotel:919876543210", caller(), "Unknown")
        lead = await org.crm.create_lead("exotel:919876543210", caller(), "Unknown")
        stored = org.stored(contact, "Contacts")
        assert (stored["Last_Name"], stored["Phone"], "Company" in stored) == ("Unknown", "+919876543210", False)
        assert (lead.kind, org.stored(lead, "Leads")["Company"]) == ("lead", "Unknown")
        assert contact.url == f"{org.url}/crm/tab/Contacts/{contact.id}"

    async def test_withheld(self, org: Org) -> None:
        made = await org.crm.create_contact("exotel:c1:withheld", caller(None), "Unknown")
        stored = org.stored(made, "Contacts")
        assert (stored["Last_Name"], "Phone" in stored) == ("Unknown", False)

    async def test_a_number_that_must_be_unique_is_the_one_that_has_it(self, org: Org) -> None:
        org.account.custom_fields["Contacts"] = [own("Phone", "text", unique={"case_sensitive": False})]
        first = await org.crm.create_contact("exotel:1", caller(), "Unknown")
        second = await org.crm.create_contact("exotel:2", caller(), "Unknown")
        assert first == second

    async def test_long_and_blank_names(self, org: Org) -> None:
        for name, wanted in (("அ" * 300, 80), (" \n", 11)):
            made = await org.crm.create_contact("exotel:1", caller(), name)
            assert len(org.stored(made, "Contacts")["Last_Name"]) == wanted

    async def test_people_have_no_key(self, org: Org) -> None:
        with pytest.raises(CannotTell):
            await org.crm.find_by_key("contact", "exotel:919876543210", None)


class TestCalls:
    async def test_answered(self, org: Org) -> None:
        contact = await org.contact()
        ref = await org.crm.log_call(KEY, contact, CALL, replace(WORDS, agent=MANISH))
        stored = org.stored(ref)
        assert {name: stored.get(name) for name in ("Call_Type", "Call_Start_Time", "Call_Duration", "Subject")} == {
            "Call_Type": "Inbound",
            "Call_Start_Time": "2025-03-02T10:11:12+05:30",
            "Call_Duration": "00:42",
            "Subject": "Incoming call from 09876543210",
        }
        assert (stored["Who_Id"], stored["Owner"]) == ({"id": contact.id}, {"id": MANISH.id})
        assert stored["Voice_Recording__s"] == CALL.recording_url
        assert stored["Description"] == f"Incoming call\nOutcome: Answered\n[ref {KEY}]"
        assert org.requests() == 1

    async def test_missed_is_named_after_the_lead(self, org: Org) -> None:
        lead = await org.lead()
        words = replace(MISSED, subject="Missed call from {contact} (09890000575)")
        stored = org.stored(await org.crm.log_call(KEY, lead, MISSED_CALL, words))
        assert stored["Subject"] == "Missed call from Summaiya Z (09890000575)"
        assert (stored["Call_Type"], "Call_Duration" in stored) == ("Missed", False)
        assert (stored["What_Id"], stored["$se_module"], "Who_Id" in stored) == ({"id": lead.id}, "Leads", False)
        assert org.requests() == 2

    @pytest.mark.parametrize(
        ("outcome", "kind", "duration"),
        [
            ("answered", "Inbound", "00:42"),
            ("ivr", "Inbound", "00:01"),
            ("missed", "Missed", None),
            ("voicemail", "Missed", None),
            ("abandoned", "Missed", None),
        ],
    )
    async def test_outcomes(self, org: Org, outcome: str, kind: str, duration: str | None) -> None:
        talked = 42 if outcome in ("answered", "voicemail") else None
        call = CALL.model_copy(update={"outcome": outcome, "duration_s": talked})
        stored = org.stored(await org.crm.log_call(KEY, await org.contact(), call, WORDS))
        assert (stored["Call_Type"], stored.get("Call_Duration")) == (kind, duration)

    @pytest.mark.parametrize(("seconds", "written"), [(67, "01:07"), (4505, "75:05"), (None, "00:01"), (0, "00:01")])
    async def test_outgoing(self, org: Org, seconds: int | None, written: str) -> None:
        call = OUTGOING.model_copy(update={"duration_s": seconds})
        stored = org.stored(await org.crm.log_call(KEY, await org.contact(), call, WORDS))
        assert (stored["Call_Type"], stored["Call_Duration"]) == ("Outbound", written)
        assert stored["Outgoing_Call_Status"] == "Completed"

    async def test_fields_are_asked_for_once(self, org: Org) -> None:
        contact = await org.contact()
        for number in range(3):
            await org.crm.log_call(f"{KEY}:{number}", contact, OUTGOING, WORDS)
        assert (org.account.requests["GET /settings/fields"], org.requests()) == (1, 4)

    async def test_outgoing_without_the_right_to_read_fields(self, org: Org) -> None:
        org.account.missing_scopes = ["ZohoCRM.settings.fields.READ"]
        stored = org.stored(await org.crm.log_call(KEY, await org.contact(), OUTGOING, WORDS))
        assert "Outgoing_Call_Status" not in stored

    async def test_times_that_nobody_told(self, org: Org) -> None:
        call = Call(call_sid="x", direction="inbound", outcome="missed", over=True, first_event_at=1_740_900_000.0)
        stored = org.stored(await org.crm.log_call(KEY, await org.contact(), call, WORDS))
        assert stored["Call_Start_Time"] == "2025-03-02T07:20:00+00:00"

    @pytest.mark.parametrize("subject", ["", " \n", "x" * 300, "Verpasst\nvon 089", "தவறிய அழைப்பு 📞"])
    async def test_subjects(self, org: Org, subject: str) -> None:
        ref = await org.crm.log_call(KEY, await org.contact(), CALL, replace(WORDS, subject=subject))
        assert org.stored(ref)["Subject"] == (" ".join(subject.split())[:255] or "Call")

    async def test_hostile_names(self, org: Org) -> None:
        name = "<script>alert(1)</script> {contact} {{ 7*7 }}"
        contact = await org.contact(Last_Name=name)
        ref = await org.crm.log_call(KEY, contact, MISSED_CALL, MISSED)
        assert org.stored(ref)["Subject"] == f"Missed call from {name} (09876543210)"
        for url in (ref.url, f"{org.url}/crm/tab/Contacts/{contact.id}", f"{org.url}/"):
            async with org.client.get(str(url)) as page:
                text = await page.text()
                assert page.status == 200
                assert "&lt;script&gt;" in text
                assert "<script>" not in text

    async def test_fields(self, org: Org) -> None:
        org.account.custom_fields["Calls"] = [own("Seats", "integer"), own("Vip", "boolean"), own("Number", "text")]
        fields = {
            "Call_Purpose": " Prospecting ",
            "Seats": "json:3",
            "Vip": "json: true",
            "Number": "919876543210",
            "Call_Agenda": "",
        }
        stored = org.stored(await org.crm.log_call(KEY, await org.contact(), CALL, replace(WORDS, fields=fields)))
        assert (stored["Call_Purpose"], stored["Seats"], stored["Vip"]) == ("Prospecting", 3, True)
        assert (stored["Number"], "Call_Agenda" in stored) == ("919876543210", False)

    @pytest.mark.parametrize(
        ("fields", "part"),
        [
            ({"Call_Purpose": "Chatting"}, "fields.Call_Purpose"),
            ({"Colour": "red"}, "fields.Colour"),
            ({"Seats": "3"}, "fields.Seats"),
            ({"Seats": "json:three"}, "fields.Seats"),
            ({"Owner": 'json:{"id": "1"}'}, "agent"),
        ],
    )
    async def test_refused_fields_are_named(self, org: Org, fields: dict[str, str], part: str) -> None:
        org.account.custom_fields["Calls"] = [own("Seats", "integer")]
        with pytest.raises(Rejected) as error:
            await org.crm.log_call(KEY, await org.contact(), CALL, replace(WORDS, fields=fields))
        assert error.value.parts == (part,)
        assert org.account.counts()["calls"] == 0

    async def test_a_mandatory_field_is_named(self, org: Org) -> None:
        org.account.custom_fields["Calls"] = [own("Region", "text", system_mandatory=True)]
        with pytest.raises(Rejected, match="MANDATORY_NOT_FOUND") as error:
            await org.crm.log_call(KEY, await org.contact(), CALL, WORDS)
        assert error.value.parts == ("fields.Region",)

    async def test_an_agent_who_is_none(self, org: Org) -> None:
        with pytest.raises(Rejected) as error:
            await org.crm.log_call(KEY, await org.contact(), CALL, replace(WORDS, agent=Agent("12")))
        assert error.value.parts == ("agent",)

    async def test_a_person_who_is_gone(self, org: Org) -> None:
        gone = Ref("contact", "12")
        with pytest.raises(Rejected) as error:
            await org.crm.log_call(KEY, gone, CALL, WORDS)
        assert error.value.parts == ("contact",)
        with pytest.raises(NotFound):
            await org.crm.log_call(KEY, gone, MISSED_CALL, MISSED)


class TestAssociate:
    async def test_the_newest_deal_goes_before_the_company(self) -> None:
        now = [1_790_000_000.0]
        async with connected(Account(clock=lambda: now[0]), associate=["contact", "company", "deal"]) as org:
            company = org.account.add("Accounts", {"Account_Name": "Acme"})
            contact = await org.contact(Account_Name={"id": company["id"]})
            stored = org.stored(await org.crm.log_call("k1", contact, CALL, WORDS))
            assert (stored["What_Id"]["id"], stored["$se_module"]) == (company["id"], "Accounts")
            deals = []
            for name in ("first", "second"):
                now[0] += 60
                deals.append(org.account.add("Deals", {"Deal_Name": name, "Contact_Name": {"id": contact.id}}))
            stored = org.stored(await org.crm.log_call("k2", contact, CALL, WORDS))
            assert (stored["What_Id"]["id"], stored["$se_module"]) == (deals[1]["id"], "Deals")
            assert stored["Who_Id"] == {"id": contact.id}

    async def test_a_contact_without_either_and_a_lead(self) -> None:
        async with connected(associate=["contact", "company", "deal"]) as org:
            for person in (await org.contact(), await org.lead()):
                stored = org.stored(await org.crm.log_call(f"k{person.id}", person, CALL, WORDS))
                assert stored.get("$se_module") in (None, "Leads")


class TestUpdate:
    async def test_late_facts_and_the_key(self, org: Org) -> None:
        contact = await org.contact()
        bare = CALL.model_copy(update={"recording_url": None, "duration_s": None})
        ref = await org.crm.log_call(KEY, contact, bare, replace(WORDS, agent=MANISH))
        now = replace(WORDS, text="Now with a recording", agent=Agent("4876876000000327003"))
        for _ in range(2):
            await org.crm.update_call_log(KEY, ref, CALL, now)
        stored = org.stored(ref)
        assert (stored["Call_Duration"], stored["Voice_Recording__s"]) == ("00:42", CALL.recording_url)
        assert (stored["Owner"], stored["Who_Id"]) == ({"id": MANISH.id}, {"id": contact.id})
        assert stored["Description"].startswith("Now with a recording")
        assert await org.crm.find_by_key("call_log", KEY, contact) == ref

    async def test_the_name_stays_in_the_subject(self, org: Org) -> None:
        for person, name in ((await org.contact(), "Asha Rao"), (await org.lead(), "Summaiya Z")):
            ref = await org.crm.log_call(f"k{person.id}", person, MISSED_CALL, MISSED)
            await org.crm.update_call_log(f"k{person.id}", ref, MISSED_CALL, MISSED)
            assert org.stored(ref)["Subject"] == f"Missed call from {name} (09876543210)"

    async def test_a_missed_call_that_was_answered_after_all(self, org: Org) -> None:
        ref = await org.crm.log_call(KEY, await org.contact(), MISSED_CALL, WORDS)
        await org.crm.update_call_log(KEY, ref, CALL, WORDS)
        stored = org.stored(ref)
        assert (stored["Call_Type"], stored["Call_Duration"]) == ("Missed", "00:42")

    async def test_a_deleted_call_is_not_found(self, org: Org) -> None:
        ref = await org.crm.log_call(KEY, await org.contact(), MISSED_CALL, WORDS)
        org.account.remove("Calls", ref.id)
        for words in (WORDS, MISSED):
            with pytest.raises(NotFound):
                await org.crm.update_call_log(KEY, ref, MISSED_CALL, words)

    async def test_a_locked_call_is_tried_later(self, org: Org) -> None:
        ref = await org.crm.log_call(KEY, await org.contact(), CALL, WORDS)
        org.account.locked = [ref.id]
        with pytest.raises(CrmUnavailable):
            await org.crm.update_call_log(KEY, ref, CALL, WORDS)


class TestFollowUps:
    async def test_task(self, org: Org) -> None:
        contact = await org.contact()
        words = Entry("Call back 09876543210", "Missed call", agent=MANISH)
        ref = await org.crm.create_task("c1:e69d:task", contact, MISSED_CALL, words)
        stored = org.stored(ref, "Tasks")
        assert (stored["Subject"], stored["Status"], stored["Priority"]) == (words.subject, "Not Started", "High")
        assert stored["Due_Date"] == datetime.now(IST).date().isoformat()
        assert (stored["Who_Id"], stored["Owner"]) == ({"id": contact.id}, {"id": MANISH.id})
        assert await org.crm.find_by_key("task", "c1:e69d:task", contact) == ref

    async def test_event(self) -> None:
        async with connected(follow_up="event") as org:
            lead = await org.lead()
            ref = await org.crm.create_task("c1:e69d:task", lead, MISSED_CALL, Entry("Call back", "Missed call"))
            stored = org.stored(ref, "Events")
            begins, ends = (datetime.fromisoformat(stored[name]) for name in ("Start_DateTime", "End_DateTime"))
            assert ends - begins == timedelta(minutes=15)
            assert timedelta() < begins - datetime.now(IST) <= timedelta(hours=1)
            assert (stored["Event_Title"], stored["What_Id"], ref.kind) == ("Call back", {"id": lead.id}, "task")
            assert await org.crm.find_by_key("task", "c1:e69d:task", lead) == ref

    async def test_call(self) -> None:
        async with connected(follow_up="call") as org:
            contact = await org.contact()
            await org.crm.log_call(KEY, contact, MISSED_CALL, WORDS)
            ref = await org.crm.create_task("c1:e69d:task", contact, MISSED_CALL, Entry("Call back", "Missed call"))
            stored = org.stored(ref)
            assert (stored["Call_Type"], stored["Outgoing_Call_Status"]) == ("Outbound", "Scheduled")
            assert "Call_Duration" not in stored
            assert await org.crm.find_by_key("task", "c1:e69d:task", contact) == ref
            assert await org.crm.find_by_key("call_log", "c1:e69d:task", contact) is None


class TestKeys:
    async def test_calls_beyond_a_page_of_the_list(self, org: Org) -> None:
        contact = await org.contact()
        for number in range(250):
            await org.crm.log_call(f"c1:{number}:log", contact, MISSED_CALL, WORDS)
        last = await org.crm.log_call(KEY, contact, MISSED_CALL, WORDS)
        assert await org.crm.find_by_key("call_log", KEY, contact) == last
        assert not any("search" in route for route in org.account.requests)

    async def test_what_is_too_long_to_read_cannot_be_told(self, org: Org) -> None:
        contact = await org.contact()
        org.account.below(contact.id, "Calls").extend({"id": str(number)} for number in range(2001))
        with pytest.raises(CannotTell):
            await org.crm.find_by_key("call_log", KEY, contact)

    @pytest.mark.parametrize("parent", [None, Ref("contact", "12")])
    async def test_without_a_person_to_look_at(self, org: Org, parent: Ref | None) -> None:
        with pytest.raises(CannotTell):
            await org.crm.find_by_key("call_log", KEY, parent)

    @pytest.mark.parametrize("fault", ["error_after", "reset_after"])
    async def test_an_effect_without_an_answer_is_found_although_search_lags(self, fault: Fault) -> None:
        async with connected(Account(search_lag_s=600)) as org:
            contact = await org.contact()
            org.fail(fault, only="POST /crm/v8/Calls")
            with pytest.raises(OutcomeUnknown):
                await org.crm.log_call(KEY, contact, CALL, WORDS)
            assert await org.crm.find_by_key("call_log", KEY, contact)

    async def test_prepare_makes_the_field_once(self) -> None:
        async with connected(key_field=FIELD, follow_up="task") as org:
            before = (await org.crm.check()).missing
            assert [words.partition(" ")[0] for words in before] == ["Contacts", "Leads", "Calls", "Tasks"]
            for _ in range(2):
                await org.crm.prepare()
            assert org.account.requests["POST /settings/fields"] == 4
            assert (await org.crm.check()).missing == ()

    async def test_prepare_without_the_right(self) -> None:
        async with connected(key_field=FIELD) as org:
            org.account.missing_scopes = ["ZohoCRM.settings.fields.CREATE"]
            await org.crm.prepare()
            assert len((await org.crm.check()).missing) == 3

    async def test_prepare_without_a_field_to_make(self, org: Org) -> None:
        await org.crm.prepare()
        assert org.requests() == 0

    async def test_a_unique_field_makes_every_write_repeatable(self) -> None:
        async with connected(Account(search_lag_s=600), key_field=FIELD) as org:
            await org.crm.prepare()
            contacts = [await org.crm.create_contact("exotel:1", caller(), "Unknown") for _ in range(2)]
            leads = [await org.crm.create_lead("exotel:1", caller(), "Unknown") for _ in range(2)]
            logs = [await org.crm.log_call(KEY, contacts[0], CALL, WORDS) for _ in range(2)]
            assert [len(set(refs)) for refs in (contacts, leads, logs)] == [1, 1, 1]
            stored = org.stored(logs[0])
            assert (stored[FIELD], "[ref" in stored["Description"]) == (KEY, False)
            await org.crm.update_call_log(KEY, logs[0], CALL, WORDS)

    async def test_keys_in_a_field_are_searched(self) -> None:
        async with connected(key_field=FIELD, follow_up="event") as org:
            await org.crm.prepare()
            contact = await org.crm.create_contact("exotel:1", caller(), "Unknown")
            task = await org.crm.create_task(KEY, contact, MISSED_CALL, WORDS)
            assert await org.crm.find_by_key("contact", "exotel:1", None) == contact
            assert await org.crm.find_by_key("task", KEY, contact) == task
            assert await org.crm.find_by_key("call_log", KEY, contact) is None

    async def test_another_unique_field_of_calls_is_a_refusal(self, org: Org) -> None:
        org.account.custom_fields["Calls"] = [own("Ours", "text", unique={"case_sensitive": True})]
        contact = await org.contact()
        words = replace(WORDS, fields={"Ours": "same"})
        await org.crm.log_call("k1", contact, CALL, words)
        with pytest.raises(Rejected) as error:
            await org.crm.log_call("k2", contact, CALL, words)
        assert (error.value.parts, error.value.status) == (("fields.Ours",), 409)


class TestQuota:
    def test_what_is_left_is_shared_out(self) -> None:
        told = idle().quota({"X-API-CREDITS-REMAINING": "24000"})
        assert told == {"all": Quota(limit=4000, per_s=3600.0)}

    def test_nothing_left(self) -> None:
        assert idle().quota({"X-API-CREDITS-REMAINING": "0"})["all"].blocked_s == 900.0

    @pytest.mark.parametrize("headers", [{}, {"X-API-CREDITS-REMAINING": ""}, {"X-API-CREDITS-REMAINING": "many"}])
    def test_headers_that_tell_nothing(self, headers: dict[str, str]) -> None:
        assert idle().quota(headers) == {}

    async def test_the_day_is_used_up(self, org: Org) -> None:
        org.account.credits = 3
        contact = await org.contact()
        for number in range(3):
            await org.crm.log_call(f"k{number}", contact, MISSED_CALL, WORDS)
        with pytest.raises(RateLimited) as error:
            await org.crm.log_call(KEY, contact, MISSED_CALL, WORDS)
        assert error.value.retry_after_s == 60
        assert org.account.counts()["calls"] == 3


class TestStandin:
    @pytest.mark.parametrize(
        ("method", "path", "record", "code"),
        [
            ("POST", "Leads", {"Last_Name": "A"}, "MANDATORY_NOT_FOUND"),
            ("POST", "Contacts", {"Last_Name": "A", "Phone": "not a number"}, "INVALID_DATA"),
            ("POST", "Contacts", {"Last_Name": "A", "Colour": "red"}, "INVALID_DATA"),
            ("POST", "Contacts", {"Last_Name": "A" * 81}, "INVALID_DATA"),
            ("POST", "Calls", {"Call_Duration": "00:00"}, "INVALID_DATA"),
            ("POST", "Calls", {"Call_Duration": 42}, "INVALID_DATA"),
            ("POST", "Calls", {"Call_Type": "Incoming"}, "INVALID_DATA"),
            ("POST", "Calls", {"Call_Type": "Missed"}, "INVALID_DATA"),
            ("POST", "Calls", {"Call_Start_Time": "2025-03-02T10:11:12.000+05:30"}, "INVALID_DATA"),
            ("POST", "Calls", {"Call_Start_Time": "2125-03-02T10:11:12+05:30"}, "INVALID_DATA"),
            ("POST", "Calls", {"What_Id": {"id": "1"}}, "DEPENDENT_FIELD_MISSING"),
            ("POST", "Calls", {"Who_Id": {"id": "1"}}, "INVALID_DATA"),
            ("POST", "Calls", {"Who_Id": {"id": 1}}, "INVALID_DATA"),
            ("POST", "Calls", {"Who_Id": {"id": "1"}, "What_Id": {"id": "2"}, "$se_module": "Leads"}, "INVALID_DATA"),
            ("POST", "Tasks", {"Subject": "a", "Due_Date": "2025-03-02T10:11:12+05:30"}, "INVALID_DATA"),
            ("POST", "Events", {"Event_Title": "a"}, "MANDATORY_NOT_FOUND"),
            ("POST", "Fax", {}, "INVALID_MODULE"),
            ("PUT", "Calls/12", {"Subject": "a"}, "INVALID_DATA"),
            ("GET", "Contacts/search", None, "EXPECTED_PARAM_MISSING"),
            ("GET", "Contacts/search?criteria=(Phone:is:1)", None, "INVALID_QUERY"),
            ("GET", "Contacts/search?criteria=(Colour:equals:1)", None, "INVALID_QUERY"),
            ("GET", "Contacts/search?colour=red", None, "INVALID_DATA"),
            (
                "GET",
                f"Contacts/search?criteria=({'or'.join(['(Phone:equals:1)'] * 11)})",
                None,
                "CRITERIA_LIMIT_EXCEEDED",
            ),
            ("GET", "Contacts/12/Calls_History?fields=Subject", None, "INVALID_DATA"),
            ("GET", "users?type=Everybody", None, "INVALID_DATA"),
            ("DELETE", "nothing/at/all", None, "INVALID_URL_PATTERN"),
        ],
    )
    async def test_refusals(self, org: Org, method: str, path: str, record: Any, code: str) -> None:
        call = {"Subject": "a", "Call_Type": "Inbound", "Call_Start_Time": "2025-03-02T10:11:12+05:30"}
        whole = {**call, "Call_Duration": "00:01", **(record or {})} if path == "Calls" else record
        token = org.account.log_in(TOKEN)
        async with org.client.request(
            method,
            f"{org.url}/crm/v8/{path}",
            json={"data": [whole]} if record is not None else None,
            headers={"Authorization": f"Zoho-oauthtoken {token}"},
        ) as answer:
            told = await answer.json()
        assert told.get("data", [told])[0]["code"] == code

    @pytest.mark.parametrize("header", [None, "Bearer 1000.x", "Zoho-oauthtoken 1000.x"])
    async def test_strangers(self, org: Org, header: str | None) -> None:
        headers = {"Authorization": header} if header else {}
        async with org.client.get(f"{org.url}/crm/v8/org", headers=headers) as answer:
            assert (answer.status, (await answer.json())["code"]) == (401, "INVALID_TOKEN")

    async def test_a_login_in_the_address_is_refused(self, org: Org) -> None:
        async with org.client.post(f"{org.url}/oauth/v2/token?refresh_token={TOKEN}") as answer:
            assert "error" in await answer.json()

    async def test_is_driven_from_outside(self, org: Org) -> None:
        async with org.client.put(f"{org.url}/_standin/account", json={"missing_scopes": ["ZohoCRM.org.READ"]}):
            pass
        with pytest.raises(AuthFailed):
            await org.crm.check()
        await org.contact()
        async with org.client.get(f"{org.url}/_standin/dump") as answer:
            assert [row["Full_Name"] for row in (await answer.json())["contacts"]] == ["Asha Rao"]

    async def test_as_its_own_process(self) -> None:
        module = ("-m", "standins.zoho_crm", "--search-lag-s", "1")
        process = await asyncio.create_subprocess_exec(sys.executable, *module, stdout=asyncio.subprocess.PIPE)
        try:
            assert process.stdout
            url = (await process.stdout.readline()).decode().strip()
            async with session(frozenset({"127.0.0.1"})) as client:
                http = CrmHttp(client, Unlimited())
                crm = ZohoCrm(settings(base_url=url), http, Home("", ""))
                http.bind(crm)
                assert (await crm.check()).account == "Acme Telecom (in)"
        finally:
            process.terminate()
            await process.wait()
