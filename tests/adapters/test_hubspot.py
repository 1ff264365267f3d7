"""HubSpot, adapter against stand-in, over real sockets.

Bodies of refusals are written after HubSpot's documentation and issues in public repositories (restated in
docs/reference/hubspot.md §2, §5 and §13); none is a recording.
"""

import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
import pytest
from aiohttp import web
from connector_hubspot import HubSpot, HubSpotOptions, HubSpotSettings
from connector_hubspot.fields import KEY, KEY_PROPERTY
from connector_hubspot.wire import existing_id, search_for
from pydantic import ValidationError
from standins.hubspot import SCOPES, Account, Limits, standin

from connector.adapter import Agent, Caller, Entry, Home, Quota, Ref
from connector.adapter.http import CrmHttp, Unlimited
from connector.errors import (
    AuthFailed,
    CannotTell,
    CrmError,
    CrmUnavailable,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Rejected,
)
from connector.exotel.model import Call
from connector.kit import AdapterSuite, Refusal
from connector.kit.faults import Fault, Faults
from connector.kit.wire import serving
from connector.outbound import session
from connector.phone import caller_of
from tests.pipeline.world import tenant_file, world

TOKEN = "pat-na1-Qz7x"
LOGIN = {"client_id": "hs-app", "client_secret": "hs-secret-9", "refresh_token": "hs-refresh-9"}
NUMBER = "+919876543210"
AVNISH = Agent("53718705", "Avnish Kumar")
WORDS = Entry("Missed call from 09876543210", "Missed call", "<div>Missed Call<br>CallSid : e69d</div>")
BEGAN = datetime(2026, 10, 1, 13, 45, 30, 120_000, tzinfo=UTC)
CALL = Call(
    call_sid="e69d",
    customer_number=NUMBER,
    exophone="+918047494574",
    outcome="answered",
    status="completed",
    duration_s=67,
    recording_url="https://recordings.exotel.com/exotelrecordings/exotel535/e69d.mp3",
    started_at=BEGAN,
    ended_at=BEGAN + timedelta(seconds=75),
)
MISSED = CALL.model_copy(update={"outcome": "missed", "status": "no-answer", "duration_s": None, "recording_url": None})


def refused(*problems: tuple[str, str], inside: bool = False) -> dict[str, Any]:
    """A refusal of properties, named in `errors`, or `inside` the message only."""
    rows = [{"isValid": False, "message": "was not valid", "error": code, "name": name} for name, code in problems]
    message = f"Property values were not valid: {json.dumps(rows, separators=(',', ':'))}"
    errors = [{"message": "was not valid", "code": code, "context": {"propertyName": [n]}} for n, code in problems]
    body = {"status": "error", "message": message, "correlationId": "c0", "category": "VALIDATION_ERROR"}
    return body if inside else {**body, "errors": errors}


def failure(category: str, message: str = "It failed.", **more: Any) -> dict[str, Any]:
    """Any other refusal."""
    return {"status": "error", "message": message, "correlationId": "c0", "category": category, **more}


def by_login(**values: Any) -> Account:
    """A portal that is entered by login only."""
    secrets = {name: LOGIN[name] for name in ("client_secret", "refresh_token")}
    return Account(**{"tokens": set(), **secrets, **values})


NO_SCOPES = failure("MISSING_SCOPES", errors=[{"message": "x", "context": {"requiredScopes": ["tickets"]}}])
LIMITED = {"status": "error", "errorType": "RATE_LIMIT", "policyName": "SECONDLY", "message": "You have reached it."}


class TestHubSpot(AdapterSuite):
    adapter = HubSpot
    settings: ClassVar = {"access_token": TOKEN}
    refusals = (
        Refusal(400, refused(("hubspot_owner_id", "INVALID_OWNER_ID")), Rejected, ("agent",)),
        Refusal(400, refused(("hubspot_owner_id", "INVALID_OWNER_ID"), inside=True), Rejected, ("agent",)),
        Refusal(400, refused(("hs_ticket_priority", "INVALID_OPTION")), Rejected, ("fields.hs_ticket_priority",)),
        Refusal(400, refused(("cf_x", "PROPERTY_DOESNT_EXIST"), inside=True), Rejected, ("fields.cf_x",)),
        Refusal(
            400, refused(("hs_call_recording_url", "INVALID"), ("content", "INVALID")), Rejected, ("recording", "html")
        ),
        Refusal(400, refused(("hs_call_title", "INVALID"), ("phone", "INVALID")), Rejected, ("subject", "contact")),
        Refusal(
            400,
            failure("VALIDATION_ERROR", "CONTACT=9 is not valid", subCategory="crm.associations.INVALID_OBJECT_IDS"),
            Rejected,
            ("contact",),
        ),
        Refusal(400, failure("VALIDATION_ERROR", "Invalid input JSON on line 1"), Rejected),
        Refusal(400, {}, Rejected),
        Refusal(401, failure("EXPIRED_AUTHENTICATION"), AuthFailed),
        Refusal(403, NO_SCOPES, AuthFailed),
        Refusal(414, "", Rejected),
        Refusal(423, failure("LOCKED"), CrmUnavailable),
        Refusal(477, "", CrmUnavailable, headers={"Retry-After": "3600"}),
        Refusal(429, LIMITED, RateLimited),
        *(Refusal(status, "", OutcomeUnknown) for status in (521, 522, 523, 524, 525, 526)),
    )

    def standin(self) -> web.Application:
        return standin(Account(tokens={TOKEN}, custom={KEY: dict(KEY_PROPERTY)}))


class TestHubSpotByLogin(AdapterSuite):
    adapter = HubSpot
    settings: ClassVar = LOGIN
    refusals = (Refusal(403, NO_SCOPES, AuthFailed),)

    def standin(self) -> web.Application:
        return standin(by_login(custom={KEY: dict(KEY_PROPERTY)}))


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.at = 1_790_862_330.0

    def __call__(self) -> float:
        return self.at


@dataclass
class Portal:
    """A stand-in, and an adapter connected to it."""

    account: Account
    faults: Faults
    clock: Clock
    crm: HubSpot
    url: str
    client: aiohttp.ClientSession

    async def contact(self) -> Ref:
        """The caller's contact."""
        return await self.crm.create_contact("exotel:919876543210", caller(), "Unknown")

    def stored(self, objects: str, ref: Ref) -> dict[str, Any]:
        """A record's properties as HubSpot has them."""
        properties: dict[str, Any] = self.account.objects[objects][ref.id]["properties"]
        return properties

    def tied(self, objects: str, ref: Ref) -> dict[str, list[str]]:
        """What a record is tied to."""
        return {o: list(ids) for (ours, id_, o), ids in self.account.tied.items() if (ours, id_) == (objects, ref.id)}

    def requests(self) -> dict[str, int]:
        """The API requests that came since this was last asked."""
        came = {route.replace(":contacts|companies|deals|tickets|calls|notes|tasks", ""): count
                for route, count in self.account.requests.items()}  # fmt: skip
        self.account.requests.clear()
        return came

    def fail(self, *faults: Fault, only: str = "") -> None:
        """What goes wrong next."""
        self.faults.script, self.faults.only = deque(faults), only


def caller(number: str | None = NUMBER) -> Caller:
    """The customer."""
    return caller_of(number, "IN", HubSpot.find_by, HubSpot.save_as)


@asynccontextmanager
async def connected(
    options: Mapping[str, Any] | None = None, *, prepare: bool = True, **values: Any
) -> AsyncIterator[Portal]:
    """A stand-in with these values and an adapter with these options."""
    clock, faults = Clock(), Faults(seed=1)
    account = Account(clock=clock, **{"tokens": {TOKEN}, **values})
    async with serving(standin(account, faults)) as url, session(frozenset({"127.0.0.1"})) as client:
        http = CrmHttp(client, Unlimited())
        settings = HubSpotSettings.model_validate({"access_token": TOKEN, "base_url": url})
        crm = HubSpot(settings, http, Home("", ""), HubSpotOptions.model_validate(options or {}))
        http.bind(crm)
        if prepare:
            await crm.prepare()
            account.requests.clear()
        yield Portal(account, faults, clock, crm, url, client)


@pytest.fixture
async def portal() -> AsyncIterator[Portal]:
    async with connected() as portal:
        yield portal


class TestSettings:
    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({}, "needs access_token, or client_id, client_secret and refresh_token"),
            ({"access_token": TOKEN, "client_id": "a"}, "not both"),
            ({**LOGIN, "access_token": TOKEN}, "not both"),
            ({"client_id": "a", "refresh_token": "b"}, "client_secret missing"),
            ({"client_id": "a"}, "client_secret and refresh_token missing"),
            ({"access_token": " "}, "at least 1"),
        ],
    )
    def test_exactly_one_way_in(self, given: dict[str, str], words: str) -> None:
        with pytest.raises(ValidationError, match=words) as error:
            HubSpotSettings.model_validate(given)
        assert TOKEN not in str(error.value)

    def test_accounts_are_told_apart_by_login(self) -> None:
        def account(**settings: str) -> str:
            http: Any = None
            return HubSpot(HubSpotSettings.model_validate(settings), http, Home("", "")).account

        names = {account(access_token=TOKEN), account(access_token="pat-2"), account(**LOGIN)}
        assert len(names) == 3
        assert all(name.startswith("api.hubapi.com/") for name in names)

    def test_options(self) -> None:
        options = HubSpotOptions()
        assert (options.records, options.associate, options.follow_up) == (("sales",), ("contact",), "none")


class TestCheck:
    async def test_names_the_portal(self, portal: Portal) -> None:
        checked = await portal.crm.check()
        assert (checked.account, checked.missing) == ("portal 8624729", ())

    async def test_wrong_token(self) -> None:
        async with connected(prepare=False, tokens={"another"}) as portal:
            with pytest.raises(AuthFailed):
                await portal.crm.check()
            with pytest.raises(AuthFailed):
                await portal.crm.prepare()

    async def test_a_token_that_may_not_read_contacts(self) -> None:
        async with connected(scopes=SCOPES - {"crm.objects.contacts.read"}) as portal:
            with pytest.raises(AuthFailed, match="403") as error:
                await portal.crm.check()
            assert "crm.objects.contacts.read" in error.value.message

    async def test_missing_scopes_are_named(self) -> None:
        scopes = frozenset({"crm.objects.contacts.read", "crm.objects.contacts.write"})
        options = {"records": ["sales", "desk"], "associate": ["contact", "company", "deal"]}
        async with connected(options, scopes=scopes) as portal:
            missing = (await portal.crm.check()).missing
        named = ("crm.objects.owners.read", "crm.objects.companies.read", "crm.objects.deals.read", "tickets", KEY)
        assert len(missing) == len(named)
        assert all(name in line for name, line in zip(named, missing, strict=True))

    async def test_only_what_is_used_is_asked_for(self) -> None:
        async with connected(scopes=SCOPES - {"tickets", "crm.objects.deals.read"}) as portal:
            assert (await portal.crm.check()).missing == ()

    async def test_a_key_property_that_is_not_unique(self) -> None:
        async with connected(custom={KEY: {**KEY_PROPERTY, "hasUniqueValue": False}}) as portal:
            missing = (await portal.crm.check()).missing
            assert [KEY in line for line in missing] == [True]
            await portal.contact()
            with pytest.raises(CannotTell):
                await portal.crm.find_by_key("contact", "exotel:919876543210", None)

    async def test_prepare_is_repeatable(self, portal: Portal) -> None:
        await portal.crm.prepare()
        assert portal.account.custom == {KEY: KEY_PROPERTY}

    async def test_owners_of_all_pages(self, portal: Portal) -> None:
        for id_ in map(str, range(1, 250)):
            row = {"id": id_, "userId": int(id_), "email": f"a{id_}@acme.example", "type": "PERSON", "archived": False}
            portal.account.owners[id_] = {**row, "firstName": "", "lastName": None}
        agents = await portal.crm.list_agents()
        assert len(agents) == 251  # a queue is nobody
        assert agents[0] == Agent("53718705", "Avnish Kumar", "avnish@acme.example", ids={"user_id": "9586504"})
        assert agents[-1].name == "a249@acme.example"


class TestContacts:
    @pytest.mark.parametrize("stored", [NUMBER, "09876543210", "919876543210", "9876543210", "+91 98765-43210"])
    @pytest.mark.parametrize("where", ["phone", "mobilephone"])
    async def test_one_search_for_all_spellings(self, portal: Portal, stored: str, where: str) -> None:
        row = portal.account.add("contacts", {"lastname": "Asha", where: stored})
        found = await portal.crm.find_contacts(caller())
        assert [ref.id for ref in found] == [row["id"]]
        assert portal.requests() == {"POST /v3/objects/{objects}/search": 1}

    async def test_newest_first(self, portal: Portal) -> None:
        made = []
        for name in ("old", "new", "changed"):
            made.append(portal.account.add("contacts", {"lastname": name, "phone": NUMBER}))
            portal.clock.at += 60
        portal.account.write("contacts", made[0], {"lastname": "changed"})
        found = await portal.crm.find_contacts(caller())
        assert [ref.id for ref in found] == [made[place]["id"] for place in (0, 2, 1)]

    async def test_a_namesake_of_another_country_is_none(self, portal: Portal) -> None:
        portal.account.add("contacts", {"lastname": "Other", "phone": "+1 9876543210"})
        assert await portal.crm.find_contacts(caller("+919876543210")) == []
        assert portal.account.answers == {200: 1, 201: 1}

    async def test_a_number_abroad_is_found_however_it_is_written(self, portal: Portal) -> None:
        row = portal.account.add("contacts", {"lastname": "Wei", "phone": "+65 9123 4567"})
        assert [ref.id for ref in await portal.crm.find_contacts(caller("+6591234567"))] == [row["id"]]

    @pytest.mark.parametrize("number", [None, "Anonymous"])
    async def test_callers_without_a_number_cost_no_request(self, portal: Portal, number: str | None) -> None:
        assert await portal.crm.find_contacts(caller(number)) == []
        assert portal.requests() == {}

    async def test_a_sip_caller_is_found_again(self, portal: Portal) -> None:
        alice = caller("sip:Alice@pbx.example")
        made = await portal.crm.create_contact("exotel:sip:Alice@pbx.example", alice, "Unknown")
        assert await portal.crm.find_contacts(alice) == [made]
        assert await portal.crm.find_by_key("contact", "exotel:sip:Alice@pbx.example", None) == made

    def test_a_search_stays_within_its_limits(self) -> None:
        body = search_for(replace(caller(), spellings=tuple(f"+{n}{'9' * 14}" for n in range(4))))
        assert len(json.dumps(body)) < 3000
        assert len(body["filterGroups"]) == 4

    async def test_the_index_lags_and_the_key_does_not(self, portal: Portal) -> None:
        portal.account.search_lag_s = 30
        made = await portal.contact()
        assert await portal.crm.find_contacts(caller()) == []
        assert await portal.crm.find_by_key("contact", "exotel:919876543210", None) == made
        portal.clock.at += 31
        assert await portal.crm.find_contacts(caller()) == [made]

    async def test_what_is_stored(self, portal: Portal) -> None:
        ref = await portal.contact()
        stored = portal.stored("contacts", ref)
        assert (stored["firstname"], stored["lastname"], stored["phone"]) == ("Unknown", "09876543210", NUMBER)
        assert stored[KEY] == "exotel:919876543210"
        assert ref.url == f"{portal.url}/contacts/8624729/record/0-1/{ref.id}"

    async def test_a_withheld_number_is_no_number(self, portal: Portal) -> None:
        ref = await portal.crm.create_contact("exotel:c1:withheld", caller(None), "Withheld number")
        stored = portal.stored("contacts", ref)
        assert (stored.get("firstname"), stored["lastname"], stored.get("phone")) == (None, "Withheld number", None)

    async def test_a_repeated_create_adopts_and_changes_nothing(self, portal: Portal) -> None:
        first = await portal.contact()
        portal.account.write("contacts", portal.account.objects["contacts"][first.id], {"firstname": "Asha"})
        assert (await portal.contact()).id == first.id
        assert len(portal.account.objects["contacts"]) == 1
        assert portal.stored("contacts", first)["firstname"] == "Asha"

    @pytest.mark.parametrize(
        ("message", "id_"),
        [("Contact already exists. Existing ID: 6001", "6001"), ("Cannot set x. 77 already has that value.", "77")],
    )
    def test_conflicts_name_the_other_record(self, message: str, id_: str) -> None:
        assert existing_id(failure("CONFLICT", message)) == id_

    async def test_a_conflict_that_names_nobody(self, portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
        first = await portal.contact()
        monkeypatch.setattr("connector_hubspot.adapter.existing_id", lambda _body: None)
        assert (await portal.contact()).id == first.id
        monkeypatch.setattr(portal.account, "twin", lambda _properties: ("email", "1"))
        with pytest.raises(Rejected) as error:
            await portal.crm.create_contact("exotel:other", caller(), "Unknown")
        assert error.value.status == 409

    async def test_without_the_right_to_make_the_property(self) -> None:
        async with connected(scopes=SCOPES - {"crm.schemas.contacts.write"}) as portal:
            ref = await portal.contact()
            assert KEY not in portal.stored("contacts", ref)
            with pytest.raises(CannotTell):
                await portal.crm.find_by_key("contact", "exotel:919876543210", None)
            assert await portal.crm.find_contacts(caller()) == [ref]


class TestCalls:
    async def test_what_is_stored(self, portal: Portal) -> None:
        contact = await portal.contact()
        ref = await portal.crm.log_call("c1:e69d:log", contact, CALL, replace(WORDS, agent=AVNISH))
        stored = portal.stored("calls", ref)
        assert {name: value for name, value in stored.items() if not name.endswith("date")} == {
            "hs_object_id": ref.id,
            "hs_timestamp": "2026-10-01T13:45:30.120Z",
            "hs_call_direction": "INBOUND",
            "hs_call_status": "COMPLETED",
            "hs_call_disposition": "f240bbac-87c9-4f6e-bf70-924b57d47db7",
            "hs_call_duration": "67000",
            "hs_call_from_number": NUMBER,
            "hs_call_to_number": "+918047494574",
            "hs_call_recording_url": CALL.recording_url,
            "hs_call_title": "Missed call from 09876543210",
            "hs_call_body": f"{WORDS.html}<p><small>[ref c1:e69d:log]</small></p>",
            "hubspot_owner_id": "53718705",
        }
        assert portal.tied("calls", ref) == {"contacts": [contact.id]}
        assert ref.url == f"{portal.url}/contacts/8624729/record/0-48/{ref.id}"

    @pytest.mark.parametrize(
        ("told", "status", "disposition"),
        [
            ({"outcome": "answered"}, "COMPLETED", "f240bbac-87c9-4f6e-bf70-924b57d47db7"),
            ({"outcome": "missed", "status": "busy"}, "NO_ANSWER", "73a0d17f-1163-4015-bdd5-ec830791da20"),
            ({"outcome": "abandoned"}, "NO_ANSWER", "73a0d17f-1163-4015-bdd5-ec830791da20"),
            ({"outcome": "voicemail"}, "NO_ANSWER", "b2cf5968-551e-4856-9783-52b3da59a7d0"),
            ({"outcome": "ivr"}, "COMPLETED", None),
            (
                {"outcome": "missed", "status": "no-answer", "direction": "outbound"},
                "NO_ANSWER",
                "73a0d17f-1163-4015-bdd5-ec830791da20",
            ),
            (
                {"outcome": "missed", "status": "busy", "direction": "outbound"},
                "BUSY",
                "9d9162e7-6cf3-4944-bf63-4dff82258764",
            ),
            ({"outcome": "missed", "status": "failed", "direction": "outbound"}, "FAILED", None),
            ({"outcome": "missed", "status": "canceled", "direction": "outbound"}, "CANCELED", None),
        ],
    )
    async def test_outcomes(self, portal: Portal, told: dict[str, Any], status: str, disposition: str | None) -> None:
        ref = await portal.crm.log_call("k", await portal.contact(), CALL.model_copy(update=told), WORDS)
        stored = portal.stored("calls", ref)
        assert (stored["hs_call_status"], stored.get("hs_call_disposition")) == (status, disposition)
        numbers = (stored["hs_call_from_number"], stored["hs_call_to_number"])
        outbound = told.get("direction") == "outbound"
        assert numbers == (("+918047494574", NUMBER) if outbound else (NUMBER, "+918047494574"))
        assert stored["hs_call_direction"] == ("OUTBOUND" if outbound else "INBOUND")

    @pytest.mark.parametrize(
        ("told", "at"),
        [
            ({"started_at": None}, "2026-10-01T13:45:38.120Z"),
            ({"started_at": None, "ended_at": None, "first_event_at": 1_790_862_330.5}, "2026-10-01T13:45:30.500Z"),
        ],
    )
    async def test_times_that_are_not_told(self, portal: Portal, told: dict[str, Any], at: str) -> None:
        ref = await portal.crm.log_call("k", await portal.contact(), CALL.model_copy(update=told), WORDS)
        assert portal.stored("calls", ref)["hs_timestamp"] == at

    async def test_nothing_is_made_up(self, portal: Portal) -> None:
        call = MISSED.model_copy(update={"customer_number": None, "exophone": None})
        stored = portal.stored("calls", await portal.crm.log_call("k", await portal.contact(), call, Entry()))
        assert not {"hs_call_duration", "hs_call_recording_url", "hs_call_from_number", "hs_call_to_number"} & {*stored}

    async def test_a_link_that_no_player_takes_stays_in_the_words(self, portal: Portal) -> None:
        call = CALL.model_copy(update={"recording_url": "http://gateway.example/e69d.mp3"})
        ref = await portal.crm.log_call("k", await portal.contact(), call, WORDS)
        assert "hs_call_recording_url" not in portal.stored("calls", ref)

    async def test_a_recording_that_comes_late(self, portal: Portal) -> None:
        contact = await portal.contact()
        early = CALL.model_copy(update={"recording_url": None, "duration_s": None})
        ref = await portal.crm.log_call("c1:e69d:log", contact, early, WORDS)
        portal.requests()
        await portal.crm.update_call_log("c1:e69d:log", ref, CALL, replace(WORDS, html="<p>with a link</p>"))
        assert portal.requests() == {"PATCH /v3/objects/{objects}/{id}": 1}
        stored = portal.stored("calls", ref)
        assert (stored["hs_call_duration"], stored["hs_call_recording_url"]) == ("67000", CALL.recording_url)
        assert stored["hs_call_body"].startswith("<p>with a link</p>")
        assert portal.tied("calls", ref) == {"contacts": [contact.id]}
        assert await portal.crm.find_by_key("call_log", "c1:e69d:log", contact) == ref

    async def test_fields_win_and_the_key_stays(self, portal: Portal) -> None:
        fields = {"hs_call_disposition": "17b47fee-58de-441e-a44c-c6300d46f273", "hs_activity_type": " ", KEY: ""}
        fields |= {"hs_call_body": "gone", "hs_call_title": "By the tenant"}
        ref = await portal.crm.log_call("k", await portal.contact(), CALL, replace(WORDS, fields=fields))
        stored = portal.stored("calls", ref)
        assert stored["hs_call_disposition"] == "17b47fee-58de-441e-a44c-c6300d46f273"
        assert stored["hs_call_title"] == "By the tenant"
        assert "[ref k]" in stored["hs_call_body"]

    @pytest.mark.parametrize(
        ("entry", "part"),
        [
            (replace(WORDS, agent=Agent("999")), "agent"),
            (replace(WORDS, fields={"cf_x": "y"}), "fields.cf_x"),
            (replace(WORDS, fields={"hs_call_direction": "SIDEWAYS"}), "fields.hs_call_direction"),
            (replace(WORDS, html="x" * 70_000), "html"),
        ],
    )
    async def test_refused_parts_are_named(self, portal: Portal, entry: Entry, part: str) -> None:
        with pytest.raises(Rejected) as error:
            await portal.crm.log_call("k", await portal.contact(), CALL, entry)
        assert error.value.parts == (part,)
        assert not portal.account.objects["calls"]

    async def test_a_contact_that_is_gone(self, portal: Portal) -> None:
        contact = await portal.contact()
        portal.account.archive("contacts", contact.id)
        with pytest.raises(Rejected) as error:
            await portal.crm.log_call("k", contact, CALL, WORDS)
        assert error.value.parts == ("contact",)

    async def test_a_log_that_is_gone(self, portal: Portal) -> None:
        ref = await portal.crm.log_call("k", await portal.contact(), CALL, WORDS)
        portal.account.archive("calls", ref.id)
        with pytest.raises(NotFound):
            await portal.crm.update_call_log("k", ref, CALL, WORDS)

    async def test_requests_of_a_new_and_a_known_caller(self, portal: Portal) -> None:
        for number, count in ((NUMBER, 4), ("+919876500001", 3)):  # the key's property is asked for once an hour
            assert not await portal.crm.find_contacts(caller(number))
            contact = await portal.crm.create_contact(f"exotel:{number[1:]}", caller(number), "Unknown")
            await portal.crm.log_call("k1", contact, CALL, WORDS)
            assert sum(portal.requests().values()) == count
        await portal.crm.find_contacts(caller())
        await portal.crm.log_call("k2", contact, CALL, WORDS)
        assert sum(portal.requests().values()) == 2


class TestAssociate:
    OPTIONS: ClassVar = {"associate": ["contact", "company", "deal", "ticket"], "records": ["sales", "desk"]}

    async def test_company_deals_and_ticket(self) -> None:
        async with connected(self.OPTIONS) as portal:
            contact = await portal.contact()
            companies = [portal.account.add("companies", {"name": name})["id"] for name in ("Branch", "Primary")]
            for company, kind in zip(companies, (279, 1), strict=True):
                portal.account.tie("contacts", contact.id, "companies", company, kind)
            deals = [portal.account.add("deals", {"dealname": "x", "hs_is_closed": "false"})["id"] for _ in range(7)]
            portal.account.write("deals", portal.account.objects["deals"][deals[-1]], {"hs_is_closed": "true"})
            for deal in deals:
                portal.account.tie("contacts", contact.id, "deals", deal, 4)
            ticket = await portal.crm.create_ticket("c1:e69d:ticket", contact, WORDS)
            portal.requests()
            entry = replace(WORDS, related=(ticket, Ref("note", "1")))
            ref = await portal.crm.log_call("c1:e69d:log", contact, CALL, entry)
            assert portal.tied("calls", ref) == {
                "contacts": [contact.id],
                "companies": companies[1:],
                "deals": deals[5:0:-1],
                "tickets": [ticket.id],
            }
            assert sum(portal.requests().values()) == 3

    async def test_a_contact_without_any(self) -> None:
        async with connected(self.OPTIONS) as portal:
            contact = await portal.contact()
            ref = await portal.crm.log_call("k", contact, CALL, WORDS)
            assert portal.tied("calls", ref) == {"contacts": [contact.id]}

    async def test_a_ticket_only_where_it_is_asked_for(self, portal: Portal) -> None:
        contact = await portal.contact()
        ticket = await portal.crm.create_ticket("k1", contact, WORDS)
        ref = await portal.crm.log_call("k2", contact, CALL, replace(WORDS, related=(ticket,)))
        assert portal.tied("calls", ref) == {"contacts": [contact.id]}


class TestTasks:
    async def test_what_is_stored(self, portal: Portal) -> None:
        contact = await portal.contact()
        words = replace(WORDS, subject="Call back\n09876543210", agent=AVNISH)
        ref = await portal.crm.create_task("c1:e69d:task", contact, MISSED, words)
        stored = portal.stored("tasks", ref)
        assert stored["hs_timestamp"] == "2026-10-01T13:46:45.120Z"
        assert (stored["hs_task_subject"], stored["hs_task_type"]) == ("Call back 09876543210", "CALL")
        assert (stored["hs_task_status"], stored["hubspot_owner_id"]) == ("NOT_STARTED", "53718705")
        assert "[ref c1:e69d:task]" in stored["hs_task_body"]
        assert portal.tied("tasks", ref) == {"contacts": [contact.id]}

    async def test_whom_a_contact_belongs_to(self, portal: Portal) -> None:
        row = portal.account.add("contacts", {"lastname": "Asha", "hubspot_owner_id": "51730228"})
        assert await portal.crm.find_owner(Ref("contact", row["id"])) == "51730228"
        assert portal.requests() == {"GET /v3/objects/{objects}/{id}": 1}
        assert await portal.crm.find_owner(Ref("contact", portal.account.add("contacts", {})["id"])) is None
        with pytest.raises(NotFound):
            await portal.crm.find_owner(Ref("contact", "999999"))

    @pytest.mark.parametrize(("archived", "owner"), [(False, "51730228"), (True, None)])
    async def test_without_an_agent_it_is_the_contact_owners(
        self, portal: Portal, archived: bool, owner: str | None
    ) -> None:
        contact = await portal.contact()
        portal.account.write(
            "contacts", portal.account.objects["contacts"][contact.id], {"hubspot_owner_id": "51730228"}
        )
        portal.account.owners["51730228"]["archived"] = archived
        ref = await portal.crm.create_task("k", contact, MISSED, WORDS)
        assert portal.stored("tasks", ref).get("hubspot_owner_id") == owner

    async def test_nobody_owns_a_stranger(self, portal: Portal) -> None:
        contact = await portal.contact()
        portal.requests()
        ref = await portal.crm.create_task("k", contact, MISSED, WORDS)
        assert "hubspot_owner_id" not in portal.stored("tasks", ref)
        assert sum(portal.requests().values()) == 2


class TestTickets:
    async def test_what_is_stored(self, portal: Portal) -> None:
        contact = await portal.contact()
        fields = {"hs_ticket_priority": "HIGH"}
        ref = await portal.crm.create_ticket("c1:e69d:ticket", contact, replace(WORDS, agent=AVNISH, fields=fields))
        stored = portal.stored("tickets", ref)
        assert (stored["subject"], stored["content"]) == (WORDS.subject, "Missed call\n\n[ref c1:e69d:ticket]")
        assert (stored["hs_pipeline"], stored["hs_pipeline_stage"], stored["source_type"]) == ("0", "1", "PHONE")
        assert (stored["hs_ticket_priority"], stored["hubspot_owner_id"]) == ("HIGH", "53718705")
        assert portal.tied("tickets", ref) == {"contacts": [contact.id]}

    async def test_it_begins_where_the_portal_says(self) -> None:
        def pipeline(id_: str, order: int, *stages: tuple[str, str]) -> dict[str, Any]:
            rows = [
                {"id": stage, "label": stage, "displayOrder": place, "metadata": {"ticketState": state}}
                for place, (stage, state) in enumerate(stages)
            ]
            return {"id": id_, "label": id_, "displayOrder": order, "stages": rows[::-1]}

        pipelines = [
            pipeline("b2b", 2, ("b-new", "OPEN")),
            pipeline("calls", 1, ("c-old", "CLOSED"), ("c-new", "OPEN"), ("c-wait", "OPEN")),
            pipeline("archive", 0, ("a-done", "CLOSED")),
        ]
        async with connected(pipelines=pipelines) as portal:
            contact = await portal.contact()
            asked: tuple[dict[str, str], ...] = (
                {},
                {"hs_pipeline": "b2b"},
                {"hs_pipeline": "calls", "hs_pipeline_stage": "c-wait"},
            )
            came = []
            for fields in asked:
                ref = await portal.crm.create_ticket("k", contact, replace(WORDS, fields=fields))
                stored = portal.stored("tickets", ref)
                came.append((stored["hs_pipeline"], stored["hs_pipeline_stage"]))
            assert came == [("calls", "c-new"), ("b2b", "b-new"), ("calls", "c-wait")]
            assert portal.requests()["GET /v3/pipelines/tickets"] == 1
            with pytest.raises(Rejected) as error:
                await portal.crm.create_ticket("k", contact, replace(WORDS, fields={"hs_pipeline_stage": "no"}))
            assert error.value.parts == ("fields.hs_pipeline",)

    async def test_people_keep_what_is_theirs(self, portal: Portal) -> None:
        ref = await portal.crm.create_ticket("k", await portal.contact(), replace(WORDS, agent=AVNISH))
        row = portal.account.objects["tickets"][ref.id]
        portal.account.write("tickets", row, {"hubspot_owner_id": "51730228", "hs_pipeline_stage": "3"})
        now = Entry(
            "Voicemail", "now", "", agent=AVNISH, fields={"hs_pipeline_stage": "1", "hs_ticket_priority": "LOW"}
        )
        await portal.crm.update_ticket("k", ref, now, WORDS.subject)
        stored = portal.stored("tickets", ref)
        assert (stored["subject"], stored["content"], stored["hs_ticket_priority"]) == (
            "Voicemail",
            "now\n\n[ref k]",
            "LOW",
        )
        assert (stored["hubspot_owner_id"], stored["hs_pipeline_stage"]) == ("51730228", "3")

    async def test_a_changed_subject_is_left(self, portal: Portal) -> None:
        ref = await portal.crm.create_ticket("k", await portal.contact(), WORDS)
        portal.account.write("tickets", portal.account.objects["tickets"][ref.id], {"subject": "Router broken"})
        await portal.crm.update_ticket("k", ref, replace(WORDS, subject="Voicemail"), WORDS.subject)
        assert portal.stored("tickets", ref)["subject"] == "Router broken"

    async def test_a_deleted_ticket_is_not_found(self, portal: Portal) -> None:
        ref = await portal.crm.create_ticket("k", await portal.contact(), WORDS)
        portal.account.archive("tickets", ref.id)
        with pytest.raises(NotFound):
            await portal.crm.update_ticket("k", ref, WORDS, WORDS.subject)
        with pytest.raises(Rejected):
            await portal.crm.add_note("n", ref, WORDS)

    async def test_the_newest_open_one(self, portal: Portal) -> None:
        contact = await portal.contact()
        assert await portal.crm.find_open_ticket(contact) is None
        made = []
        for stage in ("1", "3", "4"):
            portal.clock.at += 60
            fields = {"hs_pipeline": "0", "hs_pipeline_stage": stage}
            made.append(await portal.crm.create_ticket("k", contact, replace(WORDS, fields=fields)))
        assert await portal.crm.find_open_ticket(contact) == made[1]

    async def test_notes(self, portal: Portal) -> None:
        ref = await portal.crm.create_ticket("k", await portal.contact(), WORDS)
        entry = replace(WORDS, agent=AVNISH, fields={"hs_ticket_priority": "LOW"})
        note = await portal.crm.add_note("c1:e69d:note", ref, entry)
        stored = portal.stored("notes", note)
        assert (stored["hubspot_owner_id"], portal.tied("notes", note)) == ("53718705", {"tickets": [ref.id]})
        await portal.crm.update_note("c1:e69d:note", note, replace(WORDS, html="<b>Call Duration:</b> 00:00:04"))
        assert stored["hs_note_body"].startswith("<b>Call Duration:</b>")
        assert await portal.crm.find_by_key("note", "c1:e69d:note", ref) == note

    @pytest.mark.parametrize("subject", ["", " \n", "Verpasst\nvon 089", "தவறிய அழைப்பு 📞"])
    async def test_subjects(self, portal: Portal, subject: str) -> None:
        ref = await portal.crm.create_ticket("k", await portal.contact(), replace(WORDS, subject=subject))
        await portal.crm.update_ticket("k", ref, replace(WORDS, subject="Voicemail"), subject)
        assert portal.stored("tickets", ref)["subject"] == "Voicemail"

    async def test_a_portal_whose_pipelines_cannot_be_read(
        self, portal: Portal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("connector_hubspot.adapter._PIPELINES", "crm/v3/pipelines/none")
        ref = await portal.crm.create_ticket("k", await portal.contact(), WORDS)
        stored = portal.stored("tickets", ref)
        assert (stored["hs_pipeline"], stored["hs_pipeline_stage"]) == ("0", "1")


class TestFindByKey:
    async def test_beyond_a_page_and_among_deleted_ones(self, portal: Portal) -> None:
        contact = await portal.contact()
        for place in range(150):
            row = portal.account.add("calls", {"hs_call_body": f"call {place}"})
            portal.account.tie("contacts", contact.id, "calls", row["id"], 193)
        portal.account.objects["calls"].pop(row["id"])
        made = await portal.crm.log_call("c1:e69d:log", contact, CALL, WORDS)
        assert await portal.crm.find_by_key("call_log", "c1:e69d:log", contact) == made
        assert await portal.crm.find_by_key("call_log", "c1:e69d:lo", contact) is None
        assert not portal.account.requests["POST /v3/objects/{objects}/search"]

    async def test_what_is_too_long_to_read_cannot_be_told(self, portal: Portal) -> None:
        contact = await portal.contact()
        for place in range(2001):
            portal.account.tied["contacts", contact.id, "calls"][str(place)] = 193
        with pytest.raises(CannotTell):
            await portal.crm.find_by_key("call_log", "c1:e69d:log", contact)

    async def test_without_a_parent(self, portal: Portal) -> None:
        with pytest.raises(CannotTell):
            await portal.crm.find_by_key("task", "k", None)

    async def test_the_key_survives_the_cleaning(self, portal: Portal) -> None:
        contact = await portal.contact()
        html = "<!-- k --><p onclick='x()'>kept</p><script>alert(1)</script>"
        ref = await portal.crm.log_call("c1:e69d:log", contact, CALL, replace(WORDS, html=html))
        assert portal.stored("calls", ref)["hs_call_body"] == "<p>kept</p><p><small>[ref c1:e69d:log]</small></p>"
        assert await portal.crm.find_by_key("call_log", "c1:e69d:log", contact) == ref


class TestFaults:
    @pytest.mark.parametrize("fault", ["error_after", "reset_after", "late"])
    async def test_an_effect_without_an_answer_is_found(self, fault: Fault) -> None:
        async with connected(search_lag_s=600) as portal:
            portal.faults.slow_s, portal.faults.effect_after_s = 1.2, 0.1
            contact = await portal.contact()
            vars(portal.crm)["timeout_s"] = 0.6
            portal.fail(fault, only="POST .*calls$")
            with pytest.raises(OutcomeUnknown):
                await portal.crm.log_call("c1:e69d:log", contact, CALL, WORDS)
            vars(portal.crm)["timeout_s"] = 5.0
            found = await portal.crm.find_by_key("call_log", "c1:e69d:log", contact)
            assert (found is not None, len(portal.account.objects["calls"])) == (True, 1)

    async def test_a_contact_made_without_an_answer(self, portal: Portal) -> None:
        await portal.crm.find_by_key("contact", "exotel:919876543210", None)
        portal.fail("reset_after", only="POST")
        with pytest.raises(OutcomeUnknown):
            await portal.contact()
        assert [(await portal.contact()).id] == list(portal.account.objects["contacts"])


class TestLimits:
    @pytest.mark.parametrize(
        ("limits", "times", "wait_s"),
        [(Limits(search=5), 5, 1.0), (Limits(daily=3), 3, 900.0)],
    )
    async def test_searches(self, portal: Portal, limits: Limits, times: int, wait_s: float) -> None:
        portal.account.limits = limits
        for _ in range(times):
            await portal.crm.find_contacts(caller())
        with pytest.raises(RateLimited) as error:
            await portal.crm.find_contacts(caller())
        assert error.value.retry_after_s == wait_s

    async def test_bursts(self, portal: Portal) -> None:
        portal.account.limits = Limits(burst=2)
        contact = await portal.contact()
        with pytest.raises(RateLimited) as error:
            await portal.crm.log_call("k", contact, CALL, WORDS)
        assert error.value.retry_after_s == 10
        portal.clock.at += 10
        await portal.crm.log_call("k", contact, CALL, WORDS)

    @pytest.mark.parametrize(
        ("headers", "quota"),
        [
            (("190", "41", "10000"), {"all": Quota(41, 190, 10.0)}),
            (("", "41", ""), {"all": Quota(41, None, None)}),
            (("", "", ""), {}),
            (("many", "-1", "0"), {}),
        ],
    )
    def test_headers(self, headers: tuple[str, str, str], quota: dict[str, Quota]) -> None:
        http: Any = None
        crm = HubSpot(HubSpotSettings.model_validate({"access_token": TOKEN}), http, Home("", ""))
        names = ("Max", "Remaining", "Interval-Milliseconds")
        told = {f"X-HubSpot-RateLimit-{name}": value for name, value in zip(names, headers, strict=True)}
        assert crm.quota(told) == quota


class TestNewToken:
    async def test_a_new_login_is_the_same_account(self, tmp_path: Path) -> None:
        async with world(tmp_path, "hubspot", deliver=False) as w:
            before = w.tenant.connections[0].account
            for settings in ({"access_token": "pat-na1-rotated"}, {"access_token": None, **LOGIN}):
                file = tenant_file(w.base_url, "hubspot", agents=[])
                file["tenants"][0]["connections"][0]["settings"] = {**settings, "base_url": w.base_url}
                await w.apply(file)
                assert w.tenant.connections[0].account == before


class TestLogin:
    @asynccontextmanager
    async def _by_login(self, **changed: str) -> AsyncIterator[tuple[Account, HubSpot]]:
        account = by_login(clock=Clock())
        async with serving(standin(account)) as url, session(frozenset({"127.0.0.1"})) as client:
            http = CrmHttp(client, Unlimited())
            settings = HubSpotSettings.model_validate({**LOGIN, **changed, "base_url": url})
            crm = HubSpot(settings, http, Home("", ""))
            http.bind(crm)
            yield account, crm

    async def test_a_token_that_ran_out_is_renewed(self) -> None:
        async with self._by_login() as (account, crm):
            await crm.list_agents()
            account.issued.end()
            await crm.list_agents()
            assert account.answers == {200: 2, 401: 1}

    @pytest.mark.parametrize("name", ["client_id", "client_secret", "refresh_token"])
    async def test_a_wrong_login(self, name: str) -> None:
        async with self._by_login(**{name: "wrong-one"}) as (_, crm):
            with pytest.raises(AuthFailed) as error:
                await crm.check()
            assert "wrong-one" not in str(error.value)


class TestStandin:
    async def test_the_links_open(self, portal: Portal) -> None:
        contact = await portal.contact()
        hostile = Entry("<b>Missed</b> call", "<i>plain</i>", "<i>words</i><script>alert(1)</script>", agent=AVNISH)
        refs = [
            contact,
            await portal.crm.log_call("k1", contact, CALL, hostile),
            await portal.crm.create_task("k2", contact, MISSED, hostile),
            await portal.crm.create_ticket("k3", contact, hostile),
        ]
        for url in (f"{portal.url}/", *(ref.url or "" for ref in refs)):
            async with portal.client.get(url) as page:
                text = await page.text()
                assert page.status == 200
                assert "&lt;b&gt;Missed&lt;/b&gt; call" in text
                assert "alert" not in text
        async with portal.client.get(f"{portal.url}/contacts/8624729/record/0-1/9") as page:
            assert page.status == 404

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("contacts", {"properties": {"phone": "1"}}),
            ("contacts", {"properties": {"lastname": 1}}),
            ("contacts", {"properties": {"lastname": "x"}, "unknown": 1}),
            ("calls", {"properties": {}}),
            ("calls", {"properties": {"hs_timestamp": "yesterday"}}),
            ("calls", {"properties": {"hs_timestamp": "1790862330000", "hs_call_status": "MISSED"}}),
            ("calls", {"properties": {"hs_timestamp": "1790862330000", "hs_call_duration": "6.7"}}),
            ("calls", {"properties": {"hs_timestamp": "1790862330000", "hs_call_recording_url": "http://x.example"}}),
            ("calls", {"properties": {"hs_timestamp": "1790862330000"}, "associations": [{"to": {"id": "1"}}]}),
            ("tickets", {"properties": {"subject": "x"}}),
            ("tickets", {"properties": {"subject": "x", "hs_pipeline_stage": "99"}}),
            ("contacts/search", {"filterGroups": [{"filters": []}] * 6}),
            ("contacts/search", {"limit": 201}),
            ("contacts/search", {"sorts": ["-createdate"]}),
            ("contacts/search", {"query": "x" * 3000}),
            ("calls/batch/read", {"inputs": [{"id": "1"}]}),
            ("calls/batch/read", {"inputs": [{"id": 1}], "properties": [], "propertiesWithHistory": []}),
        ],
    )
    async def test_it_is_strict(self, portal: Portal, path: str, body: dict[str, Any]) -> None:
        url, headers = f"{portal.url}/crm/v3/objects/{path}", {"Authorization": f"Bearer {TOKEN}"}
        async with portal.client.post(url, json=body, headers=headers) as answer:
            told = await answer.json()
            assert (answer.status, told["category"]) == (400, "VALIDATION_ERROR")

    async def test_control(self, portal: Portal) -> None:
        await portal.contact()
        values = {"limits": {"burst": 1}, "scopes": ["tickets"], "search_lag_s": 3}
        async with portal.client.put(f"{portal.url}/_standin/account", json=values) as answer:
            assert answer.status == 200
        assert (portal.account.limits, portal.account.scopes) == (Limits(burst=1), frozenset({"tickets"}))
        async with portal.client.get(f"{portal.url}/_standin/state") as answer:
            assert (await answer.json())["records"]["contacts"] == 1
        async with portal.client.get(f"{portal.url}/_standin/dump") as answer:
            assert len((await answer.json())["contacts"]) == 1


class TestSecrets:
    async def test_nothing_shows_the_token_or_the_number(
        self, portal: Portal, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        portal.account.tokens = set()
        shown = [repr(portal.crm.settings), str(portal.crm.settings.model_dump()), portal.crm.account]
        for run in (portal.crm.check, portal.contact, lambda: portal.crm.find_contacts(caller())):
            with pytest.raises(CrmError) as error:
                await run()
            shown += [str(error.value), repr(error.value), error.value.message]
        shown += [record.getMessage() for record in caplog.records if record.name != "aiohttp.access"]
        assert not any(TOKEN in text or NUMBER[3:] in text for text in shown)
