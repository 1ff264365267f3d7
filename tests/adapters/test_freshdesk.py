"""Freshdesk, adapter against stand-in, over real sockets.

Bodies of refusals are written after the API's documentation (https://developers.freshdesk.com/api/, errors; restated in
docs/reference/freshdesk.md §3.4 and §7); none is a recording.
"""

import asyncio
import logging
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import aiohttp
import pytest
from aiohttp import web
from connector_freshdesk import Freshdesk, FreshdeskSettings
from pydantic import ValidationError
from standins.freshdesk import Account, Limits, standin

from connector.adapter import Agent, Caller, Entry, Home, Ref, stamp
from connector.adapter.http import CrmHttp, Unlimited
from connector.errors import (
    AuthFailed,
    CannotTell,
    ConfigError,
    ConnectorError,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Rejected,
)
from connector.kit import AdapterSuite, Refusal
from connector.kit.faults import Fault, Faults
from connector.kit.wire import serving
from connector.outbound import session
from connector.phone import caller_of

KEY = "fd-key-Qz7"
AVNISH = Agent("81007555518", "Avnish Kumar")
MANISH = Agent("81007555519", "Manish Singh")
WORDS = Entry("Missed call from 09876543210", "Missed call", "<div>Missed Call<br>CallSid : e69d</div>")


def refused(status: int, *errors: dict[str, Any]) -> dict[str, Any]:
    """A refusal's body."""
    return {"description": "Validation failed", "errors": list(errors)}


def wrong(field: str, code: str = "invalid_value") -> dict[str, Any]:
    """One line of it."""
    return {"field": field, "message": "It should be one of these values: '1,2,3,4'", "code": code}


class TestFreshdesk(AdapterSuite):
    adapter = Freshdesk
    settings: ClassVar = {"domain": "acme.freshdesk.com", "api_key": KEY}
    refusals = (
        Refusal(400, refused(400, wrong("responder_id")), Rejected, ("agent",)),
        Refusal(400, refused(400, wrong("user_id")), Rejected, ("agent",)),
        Refusal(400, refused(400, wrong("priority")), Rejected, ("fields.priority",)),
        Refusal(400, refused(400, wrong("cf_product", "missing_field")), Rejected, ("fields.cf_product",)),
        Refusal(400, refused(400, wrong("custom_fields.cf_product")), Rejected, ("fields.cf_product",)),
        Refusal(400, refused(400, wrong("tags", "too_long"), wrong("description")), Rejected, ("tags", "html")),
        Refusal(400, refused(400, wrong("requester_id")), Rejected, ("contact",)),
        Refusal(400, refused(400, wrong("attachments")), Rejected, ("recording",)),
        Refusal(400, {"code": "invalid_json", "message": "Request body has invalid json format"}, Rejected),
        Refusal(401, {"code": "invalid_credentials", "message": "You have to be logged in"}, AuthFailed),
        Refusal(403, {"code": "access_denied", "message": "You are not authorized"}, AuthFailed),
        Refusal(403, {"code": "require_feature", "message": "The feature is not supported"}, Rejected),
        Refusal(405, "", NotFound),
        Refusal(429, {"message": "You have exceeded the limit"}, RateLimited, headers={"Retry-After": "26"}),
    )

    def standin(self) -> web.Application:
        return standin(Account(keys={KEY: "admin"}))


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.at = 1_740_900_000.0  # 2025-03-02, 07:20 UTC

    def __call__(self) -> float:
        return self.at


@dataclass
class Desk:
    """A stand-in, and an adapter connected to it."""

    account: Account
    faults: Faults
    clock: Clock
    crm: Freshdesk
    url: str
    client: aiohttp.ClientSession

    async def contact(self, key: str = "exotel:919876543210") -> Ref:
        """The caller's contact."""
        return await self.crm.create_contact(key, caller(), "Unknown")

    async def ticket(self, words: Entry = WORDS, key: str = "c1:e69d:ticket") -> Ref:
        """A ticket of the caller's."""
        return await self.crm.create_ticket(key, await self.contact(), words)

    def stored(self, ref: Ref) -> dict[str, Any]:
        """A ticket as Freshdesk has it."""
        return self.account.tickets[int(ref.id)]

    def requests(self) -> int:
        """How many API requests came."""
        return self.account.requests.total()

    def fail(self, *faults: Fault, only: str = "") -> None:
        """What goes wrong next."""
        self.faults.script, self.faults.only = deque(faults), only


def caller(number: str | None = "+919876543210") -> Caller:
    """The customer."""
    return caller_of(number, "IN", Freshdesk.find_by, Freshdesk.save_as)


@asynccontextmanager
async def connected(account: Account, clock: Clock, *, key: str = KEY, timeout_s: float = 5.0) -> AsyncIterator[Desk]:
    """A stand-in of this account with an adapter."""
    faults = Faults(seed=1)
    async with serving(standin(account, faults)) as url, session(frozenset({"127.0.0.1"})) as client:
        http = CrmHttp(client, Unlimited())
        settings = FreshdeskSettings.model_validate({"domain": account.domain, "api_key": key, "base_url": url})
        crm = Freshdesk(settings, http, Home("", ""))
        vars(crm)["timeout_s"] = timeout_s
        http.bind(crm)
        yield Desk(account, faults, clock, crm, url, client)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    clock = Clock()
    async with connected(Account(keys={KEY: "admin"}, clock=clock), clock) as desk:
        yield desk


class TestSettings:
    @pytest.mark.parametrize(
        "entered",
        [
            "acme.freshdesk.com",
            "acme",
            " ACME.Freshdesk.com ",
            "https://acme.freshdesk.com",
            "https://acme.freshdesk.com/a/dashboard/default?x=1",
            "https://someone:secret@acme.freshdesk.com/",
            "acme.freshdesk.com.",
        ],
    )
    def test_domain_as_people_enter_it(self, entered: str) -> None:
        settings = FreshdeskSettings.model_validate({"domain": entered, "api_key": KEY})
        assert settings.domain == "acme.freshdesk.com"

    @pytest.mark.parametrize(
        "entered", ["support.acme.com", "acme.freshdesk.com.evil.example", "a.b.freshdesk.com", ""]
    )
    def test_domains_that_are_none(self, entered: object) -> None:
        with pytest.raises(ValidationError):
            FreshdeskSettings.model_validate({"domain": entered, "api_key": KEY})

    def test_a_host_name_of_ones_own_is_explained(self) -> None:
        with pytest.raises(ValidationError, match="does not answer at a host name of your own"):
            FreshdeskSettings.model_validate({"domain": "https://k:secret@support.acme.com", "api_key": KEY})

    def test_a_pasted_key_is_trimmed(self) -> None:
        settings = FreshdeskSettings.model_validate({"domain": "acme", "api_key": f" {KEY}\n"})
        assert settings.api_key.get_secret_value() == KEY

    def test_an_empty_key_is_none(self) -> None:
        with pytest.raises(ValidationError):
            FreshdeskSettings.model_validate({"domain": "acme", "api_key": " "})


class TestCheck:
    async def test_names_the_account(self, desk: Desk) -> None:
        checked = await desk.crm.check()
        assert (checked.account, checked.missing) == ("acme.freshdesk.com as Avnish Kumar", ())

    async def test_mandatory_fields_are_named(self, desk: Desk) -> None:
        desk.account.custom_fields = [
            field("cf_product", "custom_dropdown", choices=["Router", "Modem"]),
            field("cf_seats", "custom_number"),
            field("cf_vip", "custom_checkbox", required=False),
        ]
        missing = (await desk.crm.check()).missing
        assert len(missing) == 2
        assert "options.fields.cf_product" in missing[0]
        assert "`Router`" in missing[0]
        assert "json:3" in missing[1]

    async def test_wrong_sub_domain(self, desk: Desk) -> None:
        desk.account.exists = False
        with pytest.raises(ConfigError) as error:
            await desk.crm.check()
        assert error.value.field == "domain"

    async def test_wrong_key(self, desk: Desk) -> None:
        desk.account.keys = {"another": "admin"}
        with pytest.raises(AuthFailed):
            await desk.crm.check()

    async def test_key_without_api_access(self, desk: Desk) -> None:
        desk.account.keys = {KEY: "none"}
        with pytest.raises(AuthFailed) as error:
            await desk.crm.check()
        assert "may not use the API" in error.value.message

    async def test_restricted_key_warns_and_writes(self, desk: Desk) -> None:
        desk.account.keys = {KEY: "restricted"}
        missing = (await desk.crm.check()).missing
        assert [("ticket fields" in line, "list agents" in line) for line in missing] == [(True, False), (False, True)]
        assert desk.stored(await desk.ticket())["subject"] == WORDS.subject
        with pytest.raises(AuthFailed):
            await desk.crm.list_agents()

    async def test_agents_of_all_pages(self, desk: Desk) -> None:
        for id_ in range(1, 150):
            desk.account.agents[id_] = {"id": id_, "name": f"A{id_}", "email": f"a{id_}@acme.example", "mobile": ""}
        agents = await desk.crm.list_agents()
        assert len(agents) == 152
        assert agents[0] == Agent("81007555518", "Avnish Kumar", "avnish@acme.example", "+919711581199")


def field(name: str, kind: str, *, required: bool = True, **more: Any) -> dict[str, Any]:
    """A custom field as `GET /ticket_fields` has it."""
    return {"name": name, "label": name[3:].title(), "type": kind, "required_for_agents": required, **more}


class TestFindContacts:
    @pytest.mark.parametrize("stored", ["+919876543210", "09876543210", "919876543210", "9876543210"])
    @pytest.mark.parametrize("where", ["mobile", "phone"])
    async def test_one_request_for_all_spellings(self, desk: Desk, stored: str, where: str) -> None:
        contact = desk.account.add_contact({"name": "Asha", where: stored})
        found = await desk.crm.find_contacts(caller())
        assert [ref.id for ref in found] == [str(contact["id"])]
        assert desk.requests() == 1

    async def test_active_first_then_newest(self, desk: Desk) -> None:
        names = ["old", "active", "new"]
        for name in names:
            desk.account.add_contact({"name": name, "mobile": "09876543210", "active": name == "active"})
            desk.clock.at += 60
        found = await desk.crm.find_contacts(caller())
        assert [desk.account.contacts[int(ref.id)]["name"] for ref in found] == ["active", "new", "old"]

    async def test_a_hit_with_another_number_is_none(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        other = desk.account.add_contact({"name": "Other", "mobile": "+918876543210"})
        monkeypatch.setattr(desk.account, "contacts_with", lambda *_a, **_k: [other])
        assert await desk.crm.find_contacts(caller()) == []

    @pytest.mark.parametrize("number", [None, "Anonymous"])
    async def test_callers_without_a_number_cost_no_request(self, desk: Desk, number: str | None) -> None:
        assert await desk.crm.find_contacts(caller(number)) == []
        assert desk.requests() == 0

    async def test_a_sip_caller_is_found_again(self, desk: Desk) -> None:
        alice = caller("sip:alice@pbx.example")
        made = await desk.crm.create_contact("exotel:sip:alice@pbx.example", alice, "Unknown")
        assert await desk.crm.find_contacts(alice) == [made]

    async def test_quotes_and_length(self, desk: Desk) -> None:
        spellings = ("9' OR mobile:'1", '9"', *(f"+{n}{'9' * 30}" for n in range(20)))
        assert await desk.crm.find_contacts(replace(caller(), spellings=spellings)) == []
        assert desk.account.answers == {200: 1}

    async def test_search_lags_behind(self, desk: Desk) -> None:
        desk.account.search_lag_s = 60
        made = await desk.contact()
        assert await desk.crm.find_contacts(caller()) == []
        desk.clock.at += 61
        assert [ref.id for ref in await desk.crm.find_contacts(caller())] == [made.id]


class TestCreateContact:
    async def test_what_is_stored(self, desk: Desk) -> None:
        ref = await desk.contact()
        stored = desk.account.contacts[int(ref.id)]
        assert (stored["name"], stored["mobile"], stored["phone"]) == ("Unknown", "+919876543210", None)
        assert stored["unique_external_id"] == "exotel:919876543210"
        assert ref.url == f"{desk.url}/a/contacts/{ref.id}"

    @pytest.mark.parametrize(
        ("number", "text"), [(None, "Withheld number"), ("sip:alice@pbx.example", "sip:alice@pbx.example")]
    )
    async def test_a_caller_without_a_number(self, desk: Desk, number: str | None, text: str) -> None:
        ref = await desk.crm.create_contact("exotel:c1:withheld", caller(number), text)
        again = await desk.crm.create_contact("exotel:c1:withheld", caller(number), text)
        stored = desk.account.contacts[int(ref.id)]
        assert (stored["name"], stored["mobile"], stored["phone"]) == (text, None, text)
        assert again.id == ref.id

    async def test_a_duplicate_is_adopted(self, desk: Desk) -> None:
        made = [await desk.contact() for _ in range(3)]
        assert len({ref.id for ref in made}) == len(desk.account.contacts) == 1

    async def test_a_deleted_duplicate_is_restored(self, desk: Desk) -> None:
        ref = await desk.contact()
        desk.account.contacts[int(ref.id)]["deleted"] = True
        assert (await desk.contact()).id == ref.id
        await desk.ticket()
        assert "deleted" not in desk.account.contacts[int(ref.id)]

    async def test_a_duplicate_that_became_an_agent_is_a_requester(self, desk: Desk) -> None:
        ref = await desk.contact()
        desk.account.agents[int(ref.id)] = {"id": int(ref.id), "name": "Now an agent", "email": "", "mobile": ""}
        again = await desk.contact()
        assert (again.id, again.url) == (ref.id, None)
        assert (await desk.ticket()).id == "1"

    async def test_a_duplicate_that_is_not_named(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(desk.account, "twin", lambda *_a: ("email", None))
        with pytest.raises(Rejected) as error:
            await desk.contact()
        assert (error.value.status, list(error.value.words)) == (409, ["contact"])

    async def test_a_long_name_is_cut(self, desk: Desk) -> None:
        ref = await desk.crm.create_contact("k", caller(), "அ" * 300 + "\n")
        assert len(desk.account.contacts[int(ref.id)]["name"]) == 255


class TestTickets:
    async def test_what_is_stored(self, desk: Desk) -> None:
        ref = await desk.ticket(replace(WORDS, agent=MANISH))
        stored = desk.stored(ref)
        assert (stored["source"], stored["status"], stored["priority"]) == (3, 2, 1)
        assert stored["responder_id"] == 81007555519
        assert stored["description_text"].endswith("[ref c1:e69d:ticket]")
        assert ref.url == f"{desk.url}/a/tickets/{ref.id}"

    async def test_the_link_opens(self, desk: Desk) -> None:
        ref = await desk.ticket(Entry("<b>Missed</b> call", "", "<i>words</i><script>alert(1)</script>"))
        await desk.crm.add_note("c1:e69d:note", ref, WORDS)
        assert ref.url
        for url in (ref.url, (await desk.contact()).url or "", f"{desk.url}/"):
            async with desk.client.get(url) as page:
                text = await page.text()
                assert page.status == 200
                assert "&lt;b&gt;Missed&lt;/b&gt; call" in text
                assert "alert" not in text

    async def test_requests_of_a_new_and_a_known_caller(self, desk: Desk) -> None:
        assert not await desk.crm.find_contacts(caller())
        contact = await desk.contact()
        first = await desk.crm.create_ticket("k1", contact, WORDS)
        await desk.crm.add_note("k2", first, WORDS)
        assert desk.requests() == 4
        second = await desk.crm.create_ticket("k3", contact, WORDS)
        await desk.crm.add_note("k4", second, WORDS)
        assert desk.requests() == 6

    @pytest.mark.parametrize("subject", ["", " \n", "x" * 300, "Verpasst\nvon 089", "தவறிய அழைப்பு 📞"])
    async def test_subjects(self, desk: Desk, subject: str) -> None:
        ref = await desk.ticket(replace(WORDS, subject=subject))
        await desk.crm.update_ticket("c1:e69d:ticket", ref, replace(WORDS, subject="Voicemail"), subject)
        assert desk.stored(ref)["subject"] == "Voicemail"

    async def test_fields(self, desk: Desk) -> None:
        desk.account.custom_fields = [
            field("cf_product", "custom_dropdown", choices=["Router"]),
            field("cf_number", "custom_text"),
            field("cf_seats", "custom_number"),
            field("cf_load", "custom_decimal"),
            field("cf_vip", "custom_checkbox"),
            field("cf_day", "custom_date"),
            field("cf_topics", "custom_multi_select_dropdown"),
        ]
        fields = {
            "priority": "3",
            "group_id": " 77 ",
            "type": "Incident",
            "tags": "exotel, missed call ,",
            "product_id": "",
            "cf_product": "Router",
            "cf_number": "919876543210",
            "cf_seats": "json:3",
            "cf_load": "json: -2.5",
            "cf_vip": "json:true",
            "cf_day": "2025-03-02",
            "cf_topics": 'json:["sim", "bill, due"]',
        }
        stored = desk.stored(await desk.ticket(replace(WORDS, fields=fields)))
        assert (stored["priority"], stored["group_id"], stored["type"]) == (3, 77, "Incident")
        assert stored["tags"] == ["exotel", "missed call"]
        assert stored["custom_fields"] == {
            "cf_product": "Router",
            "cf_number": "919876543210",
            "cf_seats": 3,
            "cf_load": -2.5,
            "cf_vip": True,
            "cf_day": "2025-03-02",
            "cf_topics": ["sim", "bill, due"],
        }

    @pytest.mark.parametrize(
        ("fields", "part"),
        [
            ({"priority": "high"}, "fields.priority"),
            ({"priority": "9"}, "fields.priority"),
            ({"group_id": "1"}, "fields.group_id"),
            ({"colour": "red"}, "fields.colour"),
            ({"cf_unknown": "x"}, "fields.cf_unknown"),
            ({"cf_seats": "3"}, "fields.cf_seats"),
            ({"cf_seats": "json:three"}, "fields.cf_seats"),
            ({"cf_product": "Kettle"}, "fields.cf_product"),
            ({"tags": "x" * 33}, "tags"),
        ],
    )
    async def test_refused_fields_are_named(self, desk: Desk, fields: dict[str, str], part: str) -> None:
        desk.account.custom_fields = [
            field("cf_product", "custom_dropdown", required=False, choices=["Router"]),
            field("cf_seats", "custom_number", required=False),
        ]
        with pytest.raises(Rejected) as error:
            await desk.ticket(replace(WORDS, fields=fields))
        assert error.value.parts == (part,)
        assert desk.account.tickets == {}

    async def test_mandatory_field_is_named(self, desk: Desk) -> None:
        desk.account.custom_fields = [field("cf_product", "custom_text")]
        with pytest.raises(Rejected) as error:
            await desk.ticket()
        assert error.value.parts == ("fields.cf_product",)

    @pytest.mark.parametrize("id_", ["1", "avnish"])
    async def test_an_agent_who_is_none(self, desk: Desk, id_: str) -> None:
        ref = await desk.ticket()
        for write in (desk.ticket(replace(WORDS, agent=Agent(id_))), desk.crm.add_note("k", ref, entry_of(id_))):
            with pytest.raises(Rejected) as error:
                await write
            assert error.value.parts == ("agent",)

    async def test_a_contact_that_is_gone(self, desk: Desk) -> None:
        with pytest.raises(Rejected) as error:
            await desk.crm.create_ticket("k", Ref("contact", "12"), WORDS)
        assert error.value.parts == ("contact",)


def entry_of(agent: str) -> Entry:
    """Words by this agent."""
    return replace(WORDS, agent=Agent(agent))


class TestUpdateTicket:
    async def test_people_keep_what_is_theirs(self, desk: Desk) -> None:
        ref = await desk.ticket(replace(WORDS, agent=AVNISH, fields={"tags": "exotel", "status": "3"}))
        desk.account.change_ticket(
            desk.stored(ref), {"responder_id": 81007555520, "status": 4, "tags": ["exotel", "vip"]}
        )
        now = Entry("Voicemail", "", "<p>now</p>", agent=MANISH, fields={"tags": "voicemail,vip", "status": "2"})
        await desk.crm.update_ticket("c1:e69d:ticket", ref, now, WORDS.subject)
        stored = desk.stored(ref)
        assert (stored["subject"], stored["status"], stored["responder_id"]) == ("Voicemail", 4, 81007555520)
        assert stored["tags"] == ["exotel", "vip", "voicemail"]
        assert stored["description"].startswith("<p>now</p>")
        assert "[ref c1:e69d:ticket]" in stored["description"]

    async def test_an_unassigned_ticket_is_given(self, desk: Desk) -> None:
        ref = await desk.ticket()
        await desk.crm.update_ticket("k", ref, replace(WORDS, agent=MANISH), WORDS.subject)
        assert desk.stored(ref)["responder_id"] == 81007555519

    async def test_a_changed_subject_is_left(self, desk: Desk) -> None:
        ref = await desk.ticket()
        desk.account.change_ticket(desk.stored(ref), {"subject": "Router broken"})
        await desk.crm.update_ticket("k", ref, replace(WORDS, subject="Voicemail"), WORDS.subject)
        assert desk.stored(ref)["subject"] == "Router broken"
        assert not desk.account.requests["PUT /tickets/{id}"]

    async def test_a_deleted_ticket_is_not_found(self, desk: Desk) -> None:
        ref = await desk.ticket()
        note = await desk.crm.add_note("n", ref, WORDS)
        desk.stored(ref)["deleted"] = True
        for write in (
            desk.crm.update_ticket("k", ref, WORDS, WORDS.subject),
            desk.crm.add_note("k", ref, WORDS),
            desk.crm.attach("k", ref, "a.mp3", b"x", "audio/mpeg"),
            desk.crm.update_ticket("k", Ref("ticket", "99"), WORDS, WORDS.subject),
            desk.crm.update_note("k", Ref("note", "99"), WORDS),
        ):
            with pytest.raises(NotFound):
                await write
        await desk.crm.update_note("n", note, WORDS)


class TestNotes:
    async def test_what_is_stored(self, desk: Desk) -> None:
        ref = await desk.ticket()
        note = await desk.crm.add_note("c1:e69d:note", ref, replace(WORDS, agent=MANISH, private=False))
        stored = desk.account.notes[int(note.id)]
        assert (stored["user_id"], stored["private"], note.url) == (81007555519, False, ref.url)

    async def test_update_replaces_and_keeps_the_key(self, desk: Desk) -> None:
        ref = await desk.ticket()
        note = await desk.crm.add_note("c1:e69d:note", ref, WORDS)
        await desk.crm.update_note("c1:e69d:note", note, replace(WORDS, html="<b>Call Duration:</b> 00:00:04"))
        stored = desk.account.notes[int(note.id)]
        assert stored["body"].startswith("<b>Call Duration:</b>")
        assert await desk.crm.find_by_key("note", "c1:e69d:note", ref) == note

    async def test_a_file(self, desk: Desk) -> None:
        ref = await desk.ticket()
        made = await desk.crm.attach("c1:e69d:file", ref, "anruf ✓.mp3", b"x" * 1000, "audio/mpeg")
        stored = desk.account.notes[int(made.id)]
        assert stored["attachments"] == [{"name": "anruf ✓.mp3", "content_type": "audio/mpeg", "size": 1000}]
        assert stored["private"] is True
        assert await desk.crm.find_by_key("file", "c1:e69d:file", ref) == made

    async def test_a_file_that_is_too_large(self, desk: Desk) -> None:
        ref = await desk.ticket()
        with pytest.raises(Rejected) as error:
            await desk.crm.attach("k", ref, "a.mp3", b"x" * (20 * 1024 * 1024 + 1), "audio/mpeg")
        assert error.value.parts == ("recording",)


class TestFindByKey:
    async def test_tickets_older_than_a_month_and_beyond_a_page(self, desk: Desk) -> None:
        contact = await desk.contact()
        first = await desk.crm.create_ticket("c1:first:ticket", contact, WORDS)
        desk.clock.at += 40 * 86400
        for n in range(120):
            desk.account.add_ticket({"requester_id": int(contact.id), "subject": "x", "description": f"call {n}"})
        assert await desk.crm.find_by_key("ticket", "c1:first:ticket", contact) == first
        assert await desk.crm.find_by_key("ticket", "c1:other:ticket", contact) is None
        assert not any("search" in route for route in desk.account.requests)

    async def test_keys_of_others_are_not_ours(self, desk: Desk) -> None:
        ref = await desk.ticket(key="c10:e69d:ticket")
        await desk.crm.add_note("c1:e69d:note:10", ref, WORDS)
        contact = await desk.contact()
        assert await desk.crm.find_by_key("ticket", "c1:e69d:ticket", contact) is None
        assert await desk.crm.find_by_key("note", "c1:e69d:note:1", ref) is None

    async def test_what_is_too_long_to_read_cannot_be_told(self, desk: Desk) -> None:
        ref = await desk.ticket()
        desk.account.conversations[int(ref.id)] += [{"id": n, "body": "x"} for n in range(1001)]
        with pytest.raises(CannotTell):
            await desk.crm.find_by_key("note", "c1:e69d:note", ref)

    async def test_without_a_parent(self, desk: Desk) -> None:
        with pytest.raises(CannotTell):
            await desk.crm.find_by_key("ticket", "k", None)

    async def test_contacts(self, desk: Desk) -> None:
        desk.account.search_lag_s = 600
        assert await desk.crm.find_by_key("contact", "exotel:919876543210", None) is None
        ref = await desk.contact()
        assert await desk.crm.find_by_key("contact", "exotel:919876543210", None) == ref

    async def test_contacts_where_the_filter_is_ignored(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        ref = await desk.contact()
        http: Any = desk.crm.http
        read = http.get
        monkeypatch.setattr(http, "get", lambda path, _query, **how: read(path, {}, **how))
        assert await desk.crm.find_by_key("contact", "exotel:919876543210", None) == ref
        with pytest.raises(CannotTell):
            await desk.crm.find_by_key("contact", "exotel:911111111111", None)

    async def test_the_key_survives_the_cleaning(self, desk: Desk) -> None:
        html = "<!-- c1:x:y --><span style='display:none'>gone</span><p onclick='x()'>kept</p><a href='https://a.example'>b</a>"
        ref = await desk.ticket(replace(WORDS, html=html))
        stored = desk.stored(ref)["description"]
        link = '<a href="https://a.example" target="_blank" rel="noreferrer">b</a>'
        assert stored == f"<p>kept</p>{link}{stamp('c1:e69d:ticket')}"
        assert await desk.crm.find_by_key("ticket", "c1:e69d:ticket", await desk.contact()) == ref


class TestFindOpenTicket:
    async def test_newest_that_is_not_done(self, desk: Desk) -> None:
        contact = await desk.contact()
        assert await desk.crm.find_open_ticket(contact) is None
        for status in (2, 6, 4, 5):
            desk.clock.at += 60
            desk.account.add_ticket({"requester_id": int(contact.id), "status": status, "subject": str(status)})
        found = await desk.crm.find_open_ticket(contact)
        assert found
        assert desk.stored(found)["subject"] == "6"

    async def test_old_tickets_count_and_others_do_not(self, desk: Desk) -> None:
        old = await desk.ticket()
        desk.clock.at += 90 * 86400
        desk.account.add_ticket({"requester_id": 81007555518, "subject": "of somebody else"})
        found = await desk.crm.find_open_ticket(await desk.contact())
        assert found == old


class TestFaults:
    @pytest.mark.parametrize("fault", ["error_after", "reset_after", "late"])
    async def test_an_effect_without_an_answer_is_found(self, fault: Fault) -> None:
        clock = Clock()
        account = Account(keys={KEY: "admin"}, clock=clock, search_lag_s=600)
        async with connected(account, clock, timeout_s=0.2) as desk:
            desk.faults.slow_s, desk.faults.effect_after_s = 0.4, 0.1
            contact = await desk.contact()
            desk.fail(fault, only="POST")
            with pytest.raises(OutcomeUnknown):
                await desk.crm.create_ticket("c1:e69d:ticket", contact, WORDS)
            found = await desk.crm.find_by_key("ticket", "c1:e69d:ticket", contact)
            assert (found and found.id, len(account.tickets)) == ("1", 1)

    @pytest.mark.parametrize("fault", ["error_before", "reset_before", "slow"])
    async def test_no_effect_is_not_found(self, fault: Fault) -> None:
        clock = Clock()
        async with connected(Account(keys={KEY: "admin"}, clock=clock), clock, timeout_s=0.2) as desk:
            desk.faults.slow_s = 0.3
            contact = await desk.contact()
            desk.fail(fault, only="POST")
            with pytest.raises(OutcomeUnknown):
                await desk.crm.create_ticket("c1:e69d:ticket", contact, WORDS)
            assert await desk.crm.find_by_key("ticket", "c1:e69d:ticket", contact) is None

    async def test_a_contact_made_without_an_answer(self, desk: Desk) -> None:
        desk.fail("reset_after", only="POST")
        with pytest.raises(OutcomeUnknown):
            await desk.contact()
        ref = await desk.contact()
        assert list(map(str, desk.account.contacts)) == [ref.id]

    async def test_the_late_effect_comes_after_we_gave_up(self) -> None:
        clock = Clock()
        async with connected(Account(keys={KEY: "admin"}, clock=clock), clock, timeout_s=0.1) as desk:
            desk.faults.slow_s = desk.faults.effect_after_s = 0.3
            contact = await desk.contact()
            desk.fail("late", only="POST")
            with pytest.raises(OutcomeUnknown):
                await desk.crm.create_ticket("k", contact, WORDS)
            assert not desk.account.tickets
            await asyncio.sleep(0.4)
            assert await desk.crm.find_by_key("ticket", "k", contact)

    async def test_429(self, desk: Desk) -> None:
        desk.faults.retry_after_s = 9
        desk.fail("rate_limited")
        with pytest.raises(RateLimited) as error:
            await desk.contact()
        assert error.value.retry_after_s == 9


class TestQuota:
    async def test_sub_limits_of_the_standin(self, desk: Desk) -> None:
        desk.account.limits = Limits()
        contact = await desk.contact()
        for _ in range(20):
            await desk.crm.find_open_ticket(contact)
        with pytest.raises(RateLimited) as error:
            await desk.crm.find_open_ticket(contact)
        assert error.value.retry_after_s == 60 - desk.clock.at % 60
        await desk.ticket()
        desk.clock.at += 60
        await desk.crm.find_open_ticket(contact)

    def quota(self, **headers: str) -> dict[str, tuple[int | None, int | None, float | None]]:
        http: Any = None
        crm = Freshdesk(FreshdeskSettings.model_validate({"domain": "acme", "api_key": KEY}), http, Home("", ""))
        told = crm.quota({name.replace("_", "-"): value for name, value in headers.items()})
        return {bucket: (quota.remaining, quota.limit, quota.per_s) for bucket, quota in told.items()}

    @pytest.mark.parametrize(
        ("total", "writes", "lists"), [(200, 80, 20), (400, 160, 100), (700, 280, 200), (50, 50, 50)]
    )
    def test_plans(self, total: int, writes: int, lists: int) -> None:
        told = self.quota(X_RateLimit_Total=str(total), X_RateLimit_Remaining="41.0")
        assert told == {
            "all": (41, total, 60),
            "ticket_create": (None, writes, 60),
            "ticket_update": (None, writes, 60),
            "list": (None, lists, 60),
            "contact_list": (None, lists, 60),
        }

    def test_older_plans_count_by_the_hour(self) -> None:
        assert self.quota(X_RateLimit_Total="3000", X_RateLimit_Remaining="7") == {"all": (7, 3000, 3600)}

    @pytest.mark.parametrize("value", ["", "many", "-1"])
    def test_headers_that_tell_nothing(self, value: str) -> None:
        assert self.quota(X_RateLimit_Total=value, X_RateLimit_Remaining=value) == {}
        assert self.quota(X_RateLimit_Remaining="5") == {"all": (5, None, None)}
        assert self.quota() == {}


class TestSecrets:
    async def test_nothing_shows_the_key_or_the_number(self, desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        desk.account.keys = {}
        shown = [repr(desk.crm.settings), str(desk.crm.settings.model_dump())]
        writes: list[Callable[[], Any]] = [desk.contact, lambda: desk.crm.find_contacts(caller()), desk.crm.check]
        for write in writes:
            with pytest.raises(ConnectorError) as error:
                await write()
            shown += [str(error.value), repr(error.value), error.value.message, repr(error.value.__cause__)]
        shown += [record.getMessage() for record in caplog.records if record.name != "aiohttp.access"]
        assert not any(KEY in text or "9876543210" in text for text in shown)


class TestStandin:
    @pytest.mark.parametrize(
        ("method", "path", "body", "status", "code"),
        [
            ("POST", "contacts", {"name": "No number", "unique_external_id": "x"}, 400, "missing_field"),
            ("POST", "contacts", {"mobile": "1"}, 400, "missing_field"),
            ("POST", "contacts", {"name": "A", "mobile": "1", "colour": "red"}, 400, "invalid_field"),
            ("POST", "contacts", {"name": "A", "email": "avnish@acme.example"}, 409, "duplicate_value"),
            ("POST", "tickets", {"subject": "s", "description": "d", "requester_id": "1"}, 400, "datatype_mismatch"),
            ("POST", "tickets", {"subject": "s" * 256, "description": "d", "requester_id": 1}, 400, "too_long"),
            ("POST", "tickets", {"subject": "s", "requester_id": 81007555518}, 400, "missing_field"),
            ("POST", "tickets", [], 400, "invalid_json"),
            ("PUT", "contacts/9", {}, 404, None),
            ("GET", "tickets?per_page=101", None, 400, "invalid_value"),
            ("GET", "tickets?colour=red", None, 400, "invalid_field"),
            ("GET", "contacts?customer_id=1", None, 400, "invalid_field"),
            ("GET", "search/contacts?query=phone:'1'", None, 400, "invalid_value"),
            ("GET", "search/contacts?query=%22name:'x'%22", None, 400, "invalid_value"),
            ("GET", "nothing", None, 404, None),
            ("PATCH", "tickets", {}, 405, None),
        ],
    )
    async def test_refusals(self, desk: Desk, method: str, path: str, body: Any, status: int, code: str | None) -> None:
        headers = desk.crm.headers()
        async with desk.client.request(method, f"{desk.url}/api/v2/{path}", json=body, headers=headers) as answer:
            text = await answer.read()
            assert answer.status == status
            if code is None:
                assert text == b""
            else:
                told = await answer.json()
                assert told.get("code", told.get("errors", [{}])[0].get("code")) == code

    async def test_content_type(self, desk: Desk) -> None:
        async with desk.client.post(f"{desk.url}/api/v2/contacts", data=b"{}", headers=desk.crm.headers()) as answer:
            assert answer.status == 415

    async def test_is_driven_from_outside(self, desk: Desk) -> None:
        async def ask(method: str, path: str, body: Any = None) -> Any:
            async with desk.client.request(method, f"{desk.url}/_standin/{path}", json=body) as answer:
                return await answer.json()

        await ask("POST", "contacts", {"name": "Asha", "mobile": "09876543210"})
        await ask("PUT", "account", {"search_lag_s": 60, "limits": {"all": 1}})
        assert len(await desk.crm.find_contacts(caller())) == 1
        with pytest.raises(RateLimited):
            await desk.crm.find_contacts(caller())
        await ask("PUT", "account", {"limits": None})
        await ask("PUT", "faults", {"script": ["error_after"], "only": "POST /api/v2/tickets$"})
        with pytest.raises(OutcomeUnknown):
            await desk.ticket()
        await ask("PUT", "tickets/1", {"subject": "By a person", "deleted": True})
        dump, state = await ask("GET", "dump"), await ask("GET", "state")
        assert [ticket["subject"] for ticket in dump["tickets"]] == ["By a person"]
        assert state["records"] == {"contacts": 2, "tickets": 1, "deleted_tickets": 1, "notes": 0}
        assert state["requests"]["GET /search/contacts"] == 2
        assert "no such fault" in (await ask("PUT", "faults", {"script": ["flood"]}))["error"]
        assert "no such setting" in (await ask("PUT", "faults", {"colour": 1}))["error"]
        assert "cannot be changed" in (await ask("PUT", "account", {"colour": 1}))["error"]

    async def test_contacts_come_and_go(self, desk: Desk) -> None:
        async def ask(method: str, path: str, body: Any = None) -> tuple[int, Any]:
            url, headers = f"{desk.url}/api/v2/contacts{path}", desk.crm.headers()
            async with desk.client.request(method, url, json=body, headers=headers) as answer:
                return answer.status, await answer.json() if answer.content_length else None

        ref = await desk.contact()
        status, contact = await ask("PUT", f"/{ref.id}", {"name": "Asha", "email": "asha@acme.example"})
        assert (status, contact["name"]) == (200, "Asha")
        assert (await ask("PUT", f"/{ref.id}", {"email": "avnish@acme.example"}))[0] == 409
        assert (await ask("GET", "?mobile=%2B919876543210"))[1] == [contact]
        assert (await ask("DELETE", f"/{ref.id}"))[0] == 204
        assert (await ask("GET", "?mobile=%2B919876543210"))[1] == []
        assert len((await ask("GET", "?state=deleted"))[1]) == 1
        assert (await ask("PUT", f"/{ref.id}", {"name": "B"}))[0] == 405
        assert (await ask("PUT", f"/{ref.id}/restore"))[0] == 204
        assert (await ask("PUT", f"/{ref.id}/restore"))[0] == 404

    async def test_as_its_own_process(self) -> None:
        module = ("-m", "standins.freshdesk", "--key", f"{KEY}:restricted", "--rate-limits", "--domain", "a.b")
        process = await asyncio.create_subprocess_exec(sys.executable, *module, stdout=asyncio.subprocess.PIPE)
        try:
            assert process.stdout
            url = (await process.stdout.readline()).decode().strip()
            assert url.startswith("http://127.0.0.1:")
            async with session(frozenset({"127.0.0.1"})) as client:
                http = CrmHttp(client, Unlimited())
                settings = FreshdeskSettings.model_validate({"domain": "acme", "api_key": KEY, "base_url": url})
                http.bind(Freshdesk(settings, http, Home("", "")))
                assert (await http.read("agents/me")).headers["X-RateLimit-Total"] == "200"
                with pytest.raises(AuthFailed):
                    await http.read("agents")
        finally:
            process.terminate()
            await process.wait()
