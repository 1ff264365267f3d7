"""Zoho Desk, adapter against stand-in, over real sockets.

Bodies of refusals are written after Zoho's OpenAPI description of its errors (restated in
docs/reference/zoho_desk.md §2.3, §8 and §9); none is a recording.
"""

import asyncio
import sys
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, ClassVar

import aiohttp
import pytest
from aiohttp import web
from connector_zoho_desk import ZohoDesk, ZohoDeskOptions, ZohoDeskSettings
from pydantic import ValidationError
from standins.zoho_desk import SETTINGS, Account, door, standin
from standins.zoho_desk.state import ALL_SCOPES

from connector.adapter import Agent, Answer, Caller, Entry, Home, Ref
from connector.adapter.http import CrmHttp, Unlimited
from connector.errors import (
    AuthFailed,
    CannotTell,
    ConfigError,
    CrmUnavailable,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Rejected,
)
from connector.exotel.model import Call
from connector.kit import AdapterSuite, Refusal
from connector.kit.bench import CALL, RECORDING
from connector.kit.faults import Fault, Faults
from connector.kit.wire import serving
from connector.outbound import session
from connector.phone import caller_of

AVNISH = Agent("4000000008692", "Avnish Gupta")
MANISH = Agent("4000000008693", "Manish Singh")
WORDS = Entry("Missed call from 09876543210", "Missed call\nCallSid : e69d", "<p>Missed call<br>CallSid : e69d</p>")
MISSED = CALL.model_copy(update={"outcome": "missed", "duration_s": None, "recording_url": None, "ended_at": None})


def invalid(*fields: str, kind: str = "invalid") -> dict[str, Any]:
    """A refusal's body, a line per field."""
    errors = [{"fieldName": f"/{field}", "errorType": kind, "errorMessage": "The value is wrong"} for field in fields]
    return {"errorCode": "INVALID_DATA", "message": "The data is invalid", "errors": errors}


def said(code: str, message: str = "No.") -> dict[str, Any]:
    """A refusal's body, a sentence."""
    return {"errorCode": code, "message": message}


class TestZohoDesk(AdapterSuite):
    adapter = ZohoDesk
    settings: ClassVar = SETTINGS
    refusals = (
        Refusal(422, invalid("assigneeId"), Rejected, ("agent",)),
        Refusal(422, invalid("ownerId"), Rejected, ("agent",)),
        Refusal(422, invalid("contactId"), Rejected, ("contact",)),
        Refusal(422, invalid("cf/cf_product", kind="missing"), Rejected, ("fields.cf_product",)),
        Refusal(422, invalid("priority", "description"), Rejected, ("fields.priority", "html")),
        Refusal(422, invalid("content"), Rejected, ("html",)),
        Refusal(422, invalid("subject"), Rejected, ("subject",)),
        Refusal(422, invalid("recordingUrl"), Rejected, ("recording",)),
        Refusal(422, said("UNPROCESSABLE_ENTITY", "Extra parameter 'cf_x' is present."), Rejected, ("fields.cf_x",)),
        Refusal(422, said("UNPROCESSABLE_ENTITY", "The value is wrong."), Rejected),
        Refusal(400, said("EMPTY_PAYLOAD"), Rejected),
        Refusal(401, said("INVALID_OAUTH"), AuthFailed),
        Refusal(403, said("SCOPE_MISMATCH"), AuthFailed),
        Refusal(403, said("OAUTH_ORG_MISMATCH"), AuthFailed),
        Refusal(403, said("FORBIDDEN"), AuthFailed),
        Refusal(403, said("LICENSE_ACCESS_LIMITED"), Rejected),
        Refusal(404, said("URL_NOT_FOUND"), NotFound),
        Refusal(405, said("METHOD_NOT_ALLOWED"), Rejected),
        Refusal(413, said("RESOURCE_SIZE_EXCEEDED"), Rejected),
        Refusal(429, said("THRESHOLD_EXCEEDED"), RateLimited),
        Refusal(429, said("TOO_MANY_REQUESTS"), RateLimited),
    )

    def standin(self) -> web.Application:
        return standin()


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
    crm: ZohoDesk
    url: str
    client: aiohttp.ClientSession

    async def contact(self) -> Ref:
        """The caller's contact."""
        return await self.crm.create_contact("exotel:919876543210", caller(), "Unknown")

    async def ticket(self, words: Entry = WORDS, key: str = "c1:e69d:ticket") -> Ref:
        """A ticket of a new contact's."""
        return await self.crm.create_ticket(key, await self.contact(), words)

    async def log(self, call: Call = CALL, words: Entry = WORDS) -> dict[str, Any]:
        """A call activity as Zoho Desk has it."""
        ref = await self.crm.log_call("c1:e69d:log", await self.contact(), call, words)
        return self.account.calls[ref.id]

    def requests(self) -> int:
        """How many API requests came."""
        return self.account.requests.total()

    def fail(self, *faults: Fault, only: str = "") -> None:
        """What goes wrong next."""
        self.faults.script, self.faults.only = deque(faults), only


def caller(number: str | None = "+919876543210") -> Caller:
    """The customer."""
    return caller_of(number, "IN", ZohoDesk.find_by, ZohoDesk.save_as)


def settings(**values: Any) -> ZohoDeskSettings:
    """Settings of a connection to the stand-in's organisation."""
    return ZohoDeskSettings.model_validate({**SETTINGS, **values})


def idle(**values: Any) -> ZohoDesk:
    """An adapter that makes no request."""
    http: Any = None
    return ZohoDesk(settings(**values), http, Home("", ""))


@asynccontextmanager
async def connected(account: Account, clock: Clock, options: ZohoDeskOptions | None = None) -> AsyncIterator[Desk]:
    """A stand-in of this organisation with an adapter."""
    faults = Faults(seed=1)
    async with serving(standin(account, faults)) as url, session(frozenset({"127.0.0.1"})) as client:
        http = CrmHttp(client, Unlimited())
        crm = ZohoDesk(settings(base_url=url), http, Home("", ""), options)
        http.bind(crm)
        yield Desk(account, faults, clock, crm, url, client)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    clock = Clock()
    async with connected(Account(clock=clock), clock) as desk:
        yield desk


class TestSettings:
    @pytest.mark.parametrize(
        ("entered", "desk_host", "accounts_host"),
        [
            ("us", "desk.zoho.com", "accounts.zoho.com"),
            ("eu", "desk.zoho.eu", "accounts.zoho.eu"),
            ("in", "desk.zoho.in", "accounts.zoho.in"),
            ("au", "desk.zoho.com.au", "accounts.zoho.com.au"),
            ("jp", "desk.zoho.jp", "accounts.zoho.jp"),
            ("ca", "desk.zohocloud.ca", "accounts.zohocloud.ca"),
            ("sa", "desk.zoho.sa", "accounts.zoho.sa"),
            ("uk", "desk.zoho.uk", "accounts.zoho.uk"),
            ("cn", "desk.zoho.com.cn", "accounts.zoho.com.cn"),
            (" IN ", "desk.zoho.in", "accounts.zoho.in"),
            (".com", "desk.zoho.com", "accounts.zoho.com"),
            ("com.au", "desk.zoho.com.au", "accounts.zoho.com.au"),
            ("https://desk.zoho.eu/agent/acme", "desk.zoho.eu", "accounts.zoho.eu"),
            ("zohocloud.ca", "desk.zohocloud.ca", "accounts.zohocloud.ca"),
        ],
    )
    def test_data_centres(self, entered: str, desk_host: str, accounts_host: str) -> None:
        crm = idle(data_center=entered)
        assert crm.root == f"https://{desk_host}/api/v1/"
        assert crm.account == f"{desk_host}/60001280952"
        assert crm.grant().token_url == f"https://{accounts_host}/oauth/v2/token"

    @pytest.mark.parametrize("entered", ["", "xx", "zoho.in.evil.example", "evil.example", 1])
    def test_data_centres_that_are_none(self, entered: object) -> None:
        with pytest.raises(ValidationError):
            settings(data_center=entered)

    def test_ids_as_yaml_reads_them(self) -> None:
        assert settings(org_id=60001280952).org_id == "60001280952"
        with pytest.raises(ValidationError):
            settings(department_id="Support")

    def test_accounts_url(self) -> None:
        crm = idle(accounts_url="https://accounts.zoho.eu/")
        assert crm.grant().token_url == "https://accounts.zoho.eu/oauth/v2/token"

    @pytest.mark.parametrize(
        "url",
        [
            "https://evil.example",
            "http://accounts.zoho.in",
            "https://accounts.zoho.in.evil.example",
            "https://accounts.zoho.in@evil.example",
            "https://accounts.zoho.in:8443",
            "https://accounts.zoho.in/elsewhere",
            "accounts.zoho.in",
            "",
        ],
    )
    def test_the_secret_goes_to_zoho_only(self, url: str) -> None:
        with pytest.raises(ValidationError, match="accounts_url must be one of"):
            settings(accounts_url=url)

    def test_an_operator_may_lead_it_elsewhere(self) -> None:
        local = {"base_url": "http://127.0.0.1:9000"}
        assert idle(**local).grant().token_url == "http://127.0.0.1:9000/oauth/v2/token"
        elsewhere = idle(**local, accounts_url="http://127.0.0.1:9001")
        assert elsewhere.grant().token_url == "http://127.0.0.1:9001/oauth/v2/token"
        with pytest.raises(ValidationError):
            settings(**local, accounts_url="file:///etc")

    def test_options(self) -> None:
        options = ZohoDeskOptions.model_validate(dict(ZohoDesk.default_options))
        assert (options.answered, options.missed, options.assign) == ("ticket", "open_ticket", "none")
        assert options.associate == ("contact", "ticket")
        assert ZohoDesk.default_words["subject"]["answered"] == "Inbound call from {{ number }}"
        with pytest.raises(ValidationError):
            ZohoDeskOptions.model_validate({"associate": ["deal"]})


class TestLogin:
    async def test_one_token_serves_many_requests(self, desk: Desk) -> None:
        desk.account.token_limit = 1
        await asyncio.gather(*(desk.crm.find_contacts(caller()) for _ in range(5)))
        assert desk.account.answers == {204: 10}

    async def test_a_token_that_ended_early_is_renewed_once(self, desk: Desk) -> None:
        await desk.contact()
        desk.account.forget_tokens()
        ref = await desk.ticket()
        assert desk.account.tickets.keys() == {ref.id}
        assert desk.account.answers[401] == 1

    async def test_a_revoked_login(self, desk: Desk) -> None:
        desk.account.refresh_token = "1000.another"
        with pytest.raises(AuthFailed) as error:
            await desk.crm.check()
        assert "invalid_code" in error.value.message

    async def test_a_wrong_secret(self, desk: Desk) -> None:
        desk.account.client_secret = "another"
        with pytest.raises(AuthFailed) as error:
            await desk.contact()
        assert "invalid_client" in error.value.message

    async def test_too_many_tokens(self, desk: Desk) -> None:
        desk.account.token_limit = 0
        with pytest.raises(RateLimited):
            await desk.contact()
        assert desk.requests() == 0

    async def test_a_scope_that_is_missing_is_no_loop(self, desk: Desk) -> None:
        desk.account.scopes = ALL_SCOPES - {"Desk.tickets.CREATE"}
        contact = await desk.contact()
        with pytest.raises(AuthFailed):
            await desk.crm.create_ticket("k", contact, WORDS)
        assert desk.account.requests["POST /tickets"] == 1


class TestCheck:
    async def test_names_the_account(self, desk: Desk) -> None:
        checked = await desk.crm.check()
        assert (checked.account, checked.missing) == ("Acme, Support", ())

    @pytest.mark.parametrize(
        ("setting", "value", "known"),
        [("org_id", "1", "60001280952 (Acme)"), ("department_id", "2", "4000000010773 (Sales)")],
    )
    async def test_ids_that_are_not_there(self, desk: Desk, setting: str, value: str, known: str) -> None:
        crm = ZohoDesk(desk.crm.settings.model_copy(update={setting: value}), desk.crm.http, Home("", ""))
        desk.crm.http.bind(crm)
        with pytest.raises(ConfigError) as error:
            await crm.check()
        assert error.value.field == setting
        assert known in error.value.message

    async def test_a_disabled_department(self, desk: Desk) -> None:
        desk.account.departments[0]["isEnabled"] = False
        assert (await desk.crm.check()).missing == ("The department is disabled.",)

    async def test_mandatory_fields_are_named(self, desk: Desk) -> None:
        desk.account.fields = [
            field("subject", custom=False),
            field("priority", custom=False),
            field("cf_product", allowedValues=[{"value": "Router"}, {"value": "Modem"}]),
            field("cf_vip", isMandatory=False),
        ]
        missing = (await desk.crm.check()).missing
        assert len(missing) == 2
        assert "options.fields.priority" in missing[0]
        assert "options.fields.cf_product has to fill it (one of `Router`, `Modem`)" in missing[1]

    @pytest.mark.parametrize("scope", ["Desk.search.READ", "Desk.contacts.READ", "Desk.tickets.READ"])
    async def test_scopes_that_nothing_works_without(self, desk: Desk, scope: str) -> None:
        desk.account.scopes = ALL_SCOPES - {scope}
        with pytest.raises(AuthFailed) as error:
            await desk.crm.check()
        assert scope in error.value.message

    async def test_scopes_that_are_missed(self, desk: Desk) -> None:
        desk.account.scopes = ALL_SCOPES - {"Desk.settings.READ", "Desk.calls.READ"}
        missing = (await desk.crm.check()).missing
        assert [("settings" in line, "Desk.calls" in line) for line in missing] == [(True, False), (False, True)]

    async def test_agents_that_may_not_be_listed(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        needed = door.scopes_of

        def more(method: str, route: str) -> set[str]:
            return {"Desk.agents.READ"} if route == "/agents" else needed(method, route)

        monkeypatch.setattr(door, "scopes_of", more)
        assert "may not list agents" in (await desk.crm.check()).missing[0]
        with pytest.raises(AuthFailed):
            await desk.crm.list_agents()

    async def test_a_plan_without_activities(self, desk: Desk) -> None:
        desk.account.has_calls = False
        assert "Calls cannot be logged" in (await desk.crm.check()).missing[0]
        with pytest.raises(Rejected):
            await desk.log()
        assert (await desk.ticket()).id in desk.account.tickets

    async def test_agents_of_all_pages(self, desk: Desk) -> None:
        for id_ in range(1, 350):
            desk.account.agents[str(id_)] = {"id": str(id_), "zuid": f"9{id_}", "name": f"A{id_}"}
        agents = await desk.crm.list_agents()
        assert len(agents) == 351
        assert agents[0] == Agent("4000000008692", "Avnish Gupta", "avnish@acme.example", ids={"zuid": "60001281001"})


def field(name: str, *, custom: bool = True, **more: Any) -> dict[str, Any]:
    """A field as `GET /organizationFields` has it."""
    return {"apiName": name, "displayLabel": name.title(), "isCustomField": custom, "isMandatory": True, **more}


class TestContacts:
    @pytest.mark.parametrize("stored", ["+919876543210", "09876543210", "919876543210", "9876543210"])
    @pytest.mark.parametrize("where", ["mobile", "phone"])
    async def test_every_spelling(self, desk: Desk, stored: str, where: str) -> None:
        contact = desk.account.add_contact({"lastName": "Asha", where: stored})
        assert [ref.id for ref in await desk.crm.find_contacts(caller())] == [contact["id"]]
        assert desk.requests() == 2

    async def test_newest_first_spam_last_and_no_trash(self, desk: Desk) -> None:
        for name in ("old", "spam", "trash", "new"):
            contact = desk.account.add_contact({"lastName": name, "phone": "09876543210"})
            contact["isSpam"], contact["isTrashed"] = name == "spam", name == "trash"
            desk.clock.at += 60
        found = await desk.crm.find_contacts(caller())
        assert [desk.account.contacts[ref.id]["lastName"] for ref in found] == ["new", "old", "spam"]

    async def test_a_hit_with_another_number_is_none(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        other = desk.account.add_contact({"lastName": "Other", "phone": "+918876543210"})
        monkeypatch.setattr(desk.crm.http, "get", answering({"data": [other], "count": 1}))
        assert await desk.crm.find_contacts(caller()) == []

    @pytest.mark.parametrize("number", [None, "Anonymous", "sip:*@pbx.example", "sip:a,b@pbx.example"])
    async def test_callers_who_are_not_searched(self, desk: Desk, number: str | None) -> None:
        desk.account.add_contact({"lastName": "Asha", "phone": "sip:asha@pbx.example"})
        assert await desk.crm.find_contacts(caller(number)) == []
        assert desk.requests() == 0

    async def test_a_sip_caller_is_found_again(self, desk: Desk) -> None:
        alice = caller("sip:alice@pbx.example")
        made = await desk.crm.create_contact("exotel:sip:alice@pbx.example", alice, "Unknown")
        assert await desk.crm.find_contacts(alice) == [made]

    async def test_what_is_stored(self, desk: Desk) -> None:
        ref = await desk.contact()
        stored = desk.account.contacts[ref.id]
        assert (stored["lastName"], stored["phone"]) == ("Unknown", "+919876543210")
        assert stored["description"] == "[ref exotel:919876543210]"
        assert ref.url == f"{desk.url}/agent/acme/contacts/{ref.id}"

    @pytest.mark.parametrize("number", [None, "Anonymous", f"sip:{'a' * 60}@pbx.example", "sip:<b>@pbx.example"])
    async def test_callers_whose_number_is_no_phone(self, desk: Desk, number: str | None) -> None:
        ref = await desk.crm.create_contact("exotel:c1:x", caller(number), "")
        stored = desk.account.contacts[ref.id]
        assert (stored["lastName"], stored["phone"]) == (caller(number).text, None)

    async def test_a_long_name_is_cut(self, desk: Desk) -> None:
        ref = await desk.crm.create_contact("k", caller(), "அ" * 300 + "\n")
        assert len(desk.account.contacts[ref.id]["lastName"]) == 200

    async def test_a_duplicate_is_taken(self, desk: Desk) -> None:
        desk.account.unique_phone = True
        first = await desk.contact()
        assert await desk.contact() == first
        assert len(desk.account.contacts) == 1

    async def test_a_duplicate_that_search_does_not_show_yet(self, desk: Desk) -> None:
        desk.account.unique_phone, desk.account.search_lag_s = True, 60
        await desk.contact()
        with pytest.raises(Rejected) as error:
            await desk.contact()
        assert (error.value.parts, error.value.status) == (("fields.phone",), 422)

    async def test_search_lags_behind(self, desk: Desk) -> None:
        desk.account.search_lag_s = 120
        made = await desk.contact()
        assert await desk.crm.find_contacts(caller()) == []
        assert await desk.crm.find_by_key("contact", "exotel:919876543210", None) is None
        desk.clock.at += ZohoDesk.findable_after_s
        assert await desk.crm.find_contacts(caller()) == [made]
        assert await desk.crm.find_by_key("contact", "exotel:919876543210", None) == made
        assert await desk.crm.find_by_key("contact", "exotel:91987654321", None) is None


def answering(body: Any) -> Callable[..., Awaitable[Any]]:
    """A read that is answered with `body`."""

    async def get(*_args: Any, **_how: Any) -> Any:
        return body

    return get


class TestTickets:
    async def test_what_is_stored(self, desk: Desk) -> None:
        ref = await desk.ticket(replace(WORDS, agent=MANISH, fields={"phone": "09876543210"}))
        stored = desk.account.tickets[ref.id]
        assert (stored["channel"], stored["status"], stored["departmentId"]) == ("Phone", "Open", "4000000010772")
        assert (stored["assigneeId"], stored["phone"]) == (MANISH.id, "09876543210")
        assert stored["description"].endswith("<p><small>[ref c1:e69d:ticket]</small></p>")
        assert ref.url == f"{desk.url}/agent/acme/tickets/{ref.id}"

    async def test_links_open(self, desk: Desk) -> None:
        words = Entry("<b>Missed</b> call", "<i>text</i>", "<i>words</i><script>alert(1)</script>")
        ref = await desk.ticket(words)
        await desk.crm.add_note("c1:e69d:note", ref, WORDS)
        log = await desk.crm.log_call("k", await desk.contact(), CALL, replace(words, related=(ref,)))
        for url in (ref.url, log.url, (await desk.contact()).url, f"{desk.url}/"):
            async with desk.client.get(url or "") as page:
                text = await page.text()
                assert page.status == 200
                assert "<b>Missed" not in text
                assert "alert" not in text
        async with desk.client.get(f"{desk.url}/agent/acme/tickets/9") as page:
            assert page.status == 404

    async def test_requests_of_a_new_and_a_known_caller(self, desk: Desk) -> None:
        assert not await desk.crm.find_contacts(caller())
        contact = await desk.contact()
        for known in (6, 9):
            ticket = await desk.crm.create_ticket("k1", contact, WORDS)
            await desk.crm.add_note("k2", ticket, WORDS)
            await desk.crm.log_call("k3", contact, CALL, replace(WORDS, related=(ticket,)))
            assert desk.requests() == known

    @pytest.mark.parametrize("subject", ["", " \n", "x" * 1200, "Verpasst\nvon 089", "தவறிய அழைப்பு 📞"])
    async def test_subjects(self, desk: Desk, subject: str) -> None:
        ref = await desk.ticket(replace(WORDS, subject=subject))
        await desk.crm.update_ticket("c1:e69d:ticket", ref, replace(WORDS, subject="Voicemail"), subject)
        assert desk.account.tickets[ref.id]["subject"] == "Voicemail"

    async def test_fields(self, desk: Desk) -> None:
        desk.account.fields = [field("cf_product", allowedValues=[{"value": "Router"}]), field("cf_seats")]
        fields = {
            "priority": " High ",
            "category": "",
            "phone": "Withheld number",
            "secondaryContacts": "4000000000001, 4000000000002",
            "cf_product": "Router",
            "cf_seats": "3",
        }
        stored = desk.account.tickets[(await desk.ticket(replace(WORDS, fields=fields))).id]
        assert (stored["priority"], stored["phone"], "category" in stored) == ("High", None, False)
        assert stored["secondaryContacts"] == ["4000000000001", "4000000000002"]
        assert stored["cf"] == {"cf_product": "Router", "cf_seats": "3"}

    @pytest.mark.parametrize(
        ("fields", "part"),
        [
            ({"priority": "Sometimes"}, "fields.priority"),
            ({"status": "Answered"}, "fields.status"),
            ({"colour": "red"}, "fields.colour"),
            ({"cf_unknown": "x"}, "fields.cf_unknown"),
            ({"cf_product": "Kettle"}, "fields.cf_product"),
            ({"dueDate": "tomorrow"}, "fields.dueDate"),
        ],
    )
    async def test_refused_fields_are_named(self, desk: Desk, fields: dict[str, str], part: str) -> None:
        desk.account.fields = [field("cf_product", isMandatory=False, allowedValues=[{"value": "Router"}])]
        with pytest.raises(Rejected) as error:
            await desk.ticket(replace(WORDS, fields=fields))
        assert error.value.parts == (part,)
        assert desk.account.tickets == {}

    async def test_a_mandatory_field_is_named(self, desk: Desk) -> None:
        desk.account.fields = [field("cf_product")]
        with pytest.raises(Rejected) as error:
            await desk.ticket()
        assert error.value.parts == ("fields.cf_product",)

    async def test_an_agent_and_a_contact_who_are_none(self, desk: Desk) -> None:
        nobody = replace(WORDS, agent=Agent("1"))
        with pytest.raises(Rejected) as error:
            await desk.ticket(nobody)
        assert error.value.parts == ("agent",)
        with pytest.raises(Rejected) as error:
            await desk.log(CALL, nobody)
        assert error.value.parts == ("agent",)
        with pytest.raises(Rejected) as error:
            await desk.crm.create_ticket("k", Ref("contact", "12"), WORDS)
        assert error.value.parts == ("contact",)

    async def test_hostile_words(self, desk: Desk) -> None:
        words = Entry(
            "{{x}} ]]> \u202e", "", "<img src=x onerror=alert(1)><!-- c --><span hidden>h</span>zsu[@user:1]zsu"
        )
        ref = await desk.ticket(words)
        stored = desk.account.tickets[ref.id]
        assert stored["subject"] == words.subject
        assert stored["description"] == "<img>zsu[@user:1]zsu<p><small>[ref c1:e69d:ticket]</small></p>"
        assert await desk.crm.find_by_key("ticket", "c1:e69d:ticket", await only_contact(desk)) == ref


async def only_contact(desk: Desk) -> Ref:
    """The one contact that there is."""
    (found,) = await desk.crm.find_contacts(caller())
    return found


class TestUpdateTicket:
    async def test_people_keep_what_is_theirs(self, desk: Desk) -> None:
        ref = await desk.ticket()
        desk.account.change_ticket(desk.account.tickets[ref.id], {"assigneeId": AVNISH.id, "status": "Closed"})
        now = Entry("Voicemail", "", "<p>now</p>", agent=MANISH, fields={"status": "Open", "priority": "Low"})
        await desk.crm.update_ticket("c1:e69d:ticket", ref, now, WORDS.subject)
        stored = desk.account.tickets[ref.id]
        assert (stored["subject"], stored["status"], stored["assigneeId"]) == ("Voicemail", "Closed", AVNISH.id)
        assert stored["priority"] == "Low"
        assert stored["description"] == "<p>now</p><p><small>[ref c1:e69d:ticket]</small></p>"

    async def test_an_unassigned_ticket_is_given(self, desk: Desk) -> None:
        ref = await desk.ticket()
        await desk.crm.update_ticket("k", ref, replace(WORDS, agent=MANISH), WORDS.subject)
        assert desk.account.tickets[ref.id]["assigneeId"] == MANISH.id

    async def test_a_changed_subject_is_left(self, desk: Desk) -> None:
        ref = await desk.ticket()
        desk.account.tickets[ref.id]["subject"] = "Router broken"
        await desk.crm.update_ticket("k", ref, replace(WORDS, subject="Voicemail"), WORDS.subject)
        assert not desk.account.requests["PATCH /tickets/{id}"]

    async def test_a_trashed_ticket_is_not_found(self, desk: Desk) -> None:
        ref = await desk.ticket()
        note = await desk.crm.add_note("n", ref, WORDS)
        desk.account.tickets[ref.id]["isTrashed"] = True
        writes: list[Awaitable[Any]] = [
            desk.crm.update_ticket("k", ref, WORDS, WORDS.subject),
            desk.crm.add_note("k", ref, WORDS),
            desk.crm.update_note("k", note, WORDS),
            desk.crm.update_note("k", Ref("note", "9/9"), WORDS),
            desk.crm.update_ticket("k", Ref("ticket", "9"), WORDS, WORDS.subject),
            desk.crm.update_call_log("k", Ref("call_log", "9"), CALL, WORDS),
        ]
        for write in writes:
            with pytest.raises(NotFound):
                await write


class TestNotes:
    async def test_what_is_stored(self, desk: Desk) -> None:
        ref = await desk.ticket()
        note = await desk.crm.add_note("c1:e69d:note", ref, WORDS)
        (stored,) = desk.account.comments[ref.id]
        assert (stored["isPublic"], stored["contentType"]) == (False, "html")
        assert (note.id, note.url) == (f"{ref.id}/{stored['id']}", ref.url)
        await desk.crm.add_note("c1:e69d:note:2", ref, replace(WORDS, private=False))
        assert desk.account.comments[ref.id][1]["isPublic"] is True

    async def test_a_late_recording(self, desk: Desk) -> None:
        ref = await desk.ticket()
        note = await desk.crm.add_note("c1:e69d:note", ref, WORDS)
        await desk.crm.update_note("c1:e69d:note", note, replace(WORDS, html=f'<a href="{RECORDING}">here</a>'))
        (stored,) = desk.account.comments[ref.id]
        assert RECORDING in stored["content"]
        assert stored["isPublic"] is False
        assert await desk.crm.find_by_key("note", "c1:e69d:note", ref) == note

    async def test_a_note_that_is_too_long(self, desk: Desk) -> None:
        ref = await desk.ticket()
        with pytest.raises(Rejected) as error:
            await desk.crm.add_note("k", ref, replace(WORDS, html="x" * 32_000))
        assert error.value.parts == ("html",)


class TestCalls:
    async def test_what_is_stored(self, desk: Desk) -> None:
        stored = await desk.log(words=replace(WORDS, agent=AVNISH, related=(Ref("ticket", (await desk.ticket()).id),)))
        assert stored["startTime"] == "2025-03-02T04:41:12.000Z"
        assert (stored["status"], stored["direction"], stored["duration"]) == ("Completed", "inbound", "42")
        assert (stored["ownerId"], stored["recordingUrl"]) == (AVNISH.id, RECORDING)
        assert stored["ticketId"] in desk.account.tickets
        assert stored["description"] == f"{WORDS.text}\n[ref c1:e69d:log]"

    @pytest.mark.parametrize(
        ("outcome", "direction", "status"),
        [
            ("answered", "outbound", "Completed"),
            ("ivr", "inbound", "Completed"),
            ("missed", "inbound", "Missed"),
            ("missed", "outbound", "Missed"),
            ("voicemail", "inbound", "Missed"),
            ("abandoned", "inbound", "Missed"),
        ],
    )
    async def test_statuses(self, desk: Desk, outcome: str, direction: str, status: str) -> None:
        stored = await desk.log(MISSED.model_copy(update={"outcome": outcome, "direction": direction}))
        assert (stored["status"], stored["direction"], stored["duration"]) == (status, direction, "0")
        assert "recordingUrl" not in stored

    @pytest.mark.parametrize("told", ["started_at", "ended_at", "first_event_at"])
    async def test_when_it_began(self, desk: Desk, told: str) -> None:
        at = datetime(2025, 3, 2, 7, 20, 1, 500_000, UTC)
        known = {"started_at": None, "ended_at": None, told: at.timestamp() if told == "first_event_at" else at}
        assert (await desk.log(CALL.model_copy(update=known)))["startTime"] == "2025-03-02T07:20:01.500Z"

    async def test_without_a_ticket(self) -> None:
        clock = Clock()
        async with connected(Account(clock=clock), clock, ZohoDeskOptions(associate=("contact",))) as desk:
            stored = await desk.log(words=replace(WORDS, related=(await desk.ticket(),)))
            assert stored["ticketId"] is None

    async def test_a_late_recording(self, desk: Desk) -> None:
        contact = await desk.contact()
        log = await desk.crm.log_call("c1:e69d:log", contact, MISSED, replace(WORDS, subject="x" * 400))
        await desk.crm.update_call_log("c1:e69d:log", log, CALL, replace(WORDS, subject="Inbound call"))
        stored = desk.account.calls[log.id]
        assert (stored["status"], stored["duration"], stored["recordingUrl"]) == ("Completed", "42", RECORDING)
        assert (stored["subject"], stored["contactId"]) == ("Inbound call", contact.id)
        assert await desk.crm.find_by_key("call_log", "c1:e69d:log", contact) == log


class TestFindByKey:
    async def test_keys_of_others_are_not_ours(self, desk: Desk) -> None:
        ref = await desk.ticket(key="c10:e69d:ticket")
        await desk.crm.add_note("c1:e69d:note:10", ref, WORDS)
        contact = await only_contact(desk)
        assert await desk.crm.find_by_key("ticket", "c1:e69d:ticket", contact) is None
        assert await desk.crm.find_by_key("note", "c1:e69d:note:1", ref) is None

    async def test_tickets_are_read_in_full_newest_first(self, desk: Desk) -> None:
        contact = await desk.contact()
        for n in range(20):
            desk.account.add_ticket({"contactId": contact.id, "subject": "x", "description": f"call {n}"})
        ref = await desk.crm.create_ticket("c1:e69d:ticket", contact, WORDS)
        before = desk.requests()
        assert await desk.crm.find_by_key("ticket", "c1:e69d:ticket", contact) == ref
        assert desk.requests() == before + 2

    async def test_a_list_with_descriptions_is_enough(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        row = {"id": "7", "description": "[ref c1:e69d:ticket]"}
        monkeypatch.setattr(desk.crm.http, "read", answering(Answer(200, {}, {"data": [row]})))
        assert await desk.crm.find_by_key("ticket", "c1:e69d:ticket", Ref("contact", "1")) == Ref("ticket", "7")
        assert desk.requests() == 0

    async def test_a_list_that_counts_from_one(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        rows = [{"id": str(n), "name": f"A{n}"} for n in range(300)]

        async def read(_path: str, query: dict[str, str], **_how: Any) -> Answer:
            start = max(int(query.get("from", "1")) - 1, 0)
            return Answer(200, {}, {"data": rows[start : start + int(query["limit"])]})

        monkeypatch.setattr(desk.crm.http, "read", read)
        assert [agent.id for agent in await desk.crm.list_agents()] == [row["id"] for row in rows]

    async def test_calls_of_other_contacts_are_not_read(self, desk: Desk) -> None:
        contact = await desk.contact()
        for _ in range(150):
            desk.account.add_call({"contactId": "1", "departmentId": SETTINGS["department_id"]})
        assert await desk.crm.find_by_key("call_log", "c1:e69d:log", contact) is None
        assert desk.account.requests["GET /calls/{id}"] == 0
        assert desk.account.requests["GET /calls"] == 2

    async def test_what_is_too_long_to_read_cannot_be_told(self, desk: Desk) -> None:
        ref = await desk.ticket()
        contact = await only_contact(desk)
        for n in range(1000):
            desk.account.add_call({"contactId": "1", "departmentId": SETTINGS["department_id"]})
            desk.account.add_comment(desk.account.tickets[ref.id], {"content": f"comment {n}"})
            desk.account.add_ticket({"contactId": contact.id, "subject": "x", "description": ""})
        for kind, parent in (("call_log", contact), ("note", ref), ("ticket", contact)):
            with pytest.raises(CannotTell):
                await desk.crm.find_by_key(kind, "c1:other", parent)  # type: ignore[arg-type]

    async def test_without_a_parent(self, desk: Desk) -> None:
        with pytest.raises(CannotTell):
            await desk.crm.find_by_key("ticket", "k", None)

    async def test_a_record_that_goes_while_it_is_looked_for(self, desk: Desk) -> None:
        ref = await desk.ticket()
        contact = await only_contact(desk)
        row = desk.account.tickets.pop(ref.id)
        assert row["id"] == ref.id
        assert await desk.crm.find_by_key("ticket", "c1:e69d:ticket", contact) is None


class TestFindOpenTicket:
    async def test_newest_of_the_department_that_is_not_closed(self, desk: Desk) -> None:
        contact = await desk.contact()
        assert await desk.crm.find_open_ticket(contact) is None
        for status, department, trashed in (
            ("Open", "4000000010772", False),
            ("On Hold", "4000000010772", False),
            ("Closed", "4000000010772", False),
            ("Open", "4000000010773", False),
            ("Open", "4000000010772", True),
        ):
            desk.clock.at += 60
            values = {"contactId": contact.id, "subject": status, "status": status, "departmentId": department}
            desk.account.add_ticket(values)["isTrashed"] = trashed
        found = await desk.crm.find_open_ticket(contact)
        assert found
        assert desk.account.tickets[found.id]["subject"] == "On Hold"


class TestFaults:
    @pytest.mark.parametrize("fault", ["error_after", "reset_after", "late"])
    async def test_an_effect_without_an_answer_is_found(self, desk: Desk, fault: Fault) -> None:
        vars(desk.crm)["timeout_s"] = 0.2
        desk.faults.slow_s, desk.faults.effect_after_s = 0.4, 0.1
        ref = await desk.ticket(key="c1:first:ticket")
        contact = await only_contact(desk)
        writes: list[tuple[Any, str, Ref, Callable[[str], Awaitable[Ref]]]] = [
            ("ticket", "c1:e69d:ticket", contact, lambda key: desk.crm.create_ticket(key, contact, WORDS)),
            ("note", "c1:e69d:note", ref, lambda key: desk.crm.add_note(key, ref, WORDS)),
            ("call_log", "c1:e69d:log", contact, lambda key: desk.crm.log_call(key, contact, CALL, WORDS)),
            ("file", "c1:e69d:file", ref, lambda key: desk.crm.attach(key, ref, "r.mp3", b"ID3", "audio/mpeg")),
        ]
        for kind, key, parent, write in writes:
            desk.fail(fault, only="POST /api")
            with pytest.raises(OutcomeUnknown):
                await write(key)
            found = await desk.crm.find_by_key(kind, key, parent)
            assert found is not None, kind
        assert desk.account.counts() == {"contacts": 1, "tickets": 2, "comments": 1, "calls": 1, "files": 1}

    @pytest.mark.parametrize("fault", ["error_before", "reset_before"])
    async def test_no_effect_is_not_found(self, desk: Desk, fault: Fault) -> None:
        contact = await desk.contact()
        desk.fail(fault, only="POST /api")
        with pytest.raises(OutcomeUnknown):
            await desk.crm.log_call("c1:e69d:log", contact, CALL, WORDS)
        assert await desk.crm.find_by_key("call_log", "c1:e69d:log", contact) is None

    async def test_a_read_is_repeated(self, desk: Desk) -> None:
        desk.fail("error_before", only="GET")
        assert await desk.crm.find_contacts(caller()) == []


class TestQuota:
    async def test_spent_credits(self, desk: Desk) -> None:
        desk.account.credits = 2
        await desk.crm.find_contacts(caller())
        with pytest.raises(RateLimited) as error:
            await desk.crm.find_contacts(caller())
        assert error.value.retry_after_s == 3600

    async def test_too_many_at_once(self, desk: Desk) -> None:
        desk.account.at_once, desk.faults.latency_s = 5, 0.0
        await desk.crm.find_contacts(caller())
        desk.account.at_once = 0
        with pytest.raises(RateLimited) as error:
            await desk.contact()
        assert error.value.retry_after_s == 1

    @pytest.mark.parametrize(("code", "wait_s"), [("THRESHOLD_EXCEEDED", 900), ("TOO_MANY_REQUESTS", 2), ("X", None)])
    def test_waits_that_no_header_tells(self, code: str, wait_s: float | None) -> None:
        assert idle().wait_s(said(code)) == wait_s
        assert idle().wait_s("<html>") is None

    @pytest.mark.parametrize(
        ("headers", "blocked_s"),
        [
            ({"X-Rate-Limit-Remaining-v3": "0"}, 900),
            ({"X-Rate-Limit-Remaining-v3": "-3", "Retry-After": "77"}, 77),
            ({"X-Rate-Limit-Remaining-v3": "1"}, None),
            ({"X-Rate-Limit-Remaining-v3": "many"}, None),
            ({}, None),
        ],
    )
    def test_headers(self, headers: dict[str, str], blocked_s: float | None) -> None:
        told = idle().quota(headers)
        assert (told["all"].blocked_s if told else None) == blocked_s

    @pytest.mark.parametrize("body", [None, "text", [], {"errors": "x"}, {"errors": [1]}, {"message": 3}])
    def test_bodies_that_say_nothing(self, body: Any) -> None:
        assert idle().error_words(body) == {}
        assert idle().error_code(body) is None


class TestStandin:
    @pytest.mark.parametrize(
        ("method", "path", "body", "status", "code"),
        [
            ("POST", "contacts", {"phone": "1"}, 422, "INVALID_DATA"),
            ("POST", "contacts", {"lastName": "A", "colour": "red"}, 422, "UNPROCESSABLE_ENTITY"),
            ("POST", "contacts", {"lastName": "A", "phone": "1" * 51}, 422, "INVALID_DATA"),
            ("POST", "contacts", {}, 400, "EMPTY_PAYLOAD"),
            ("POST", "contacts", [1], 400, "BAD_REQUEST"),
            ("POST", "tickets", {"subject": "s", "contactId": "1"}, 422, "INVALID_DATA"),
            ("POST", "tickets", {"subject": "s", "contactId": 1, "departmentId": "1"}, 422, "INVALID_DATA"),
            ("PATCH", "calls/1", {"subject": "s"}, 404, "URL_NOT_FOUND"),
            ("GET", "contacts/search?phone=1&colour=red", None, 422, "UNPROCESSABLE_ENTITY"),
            ("GET", "contacts/search?limit=101", None, 422, "UNPROCESSABLE_ENTITY"),
            ("GET", "contacts/search?from=1000", None, 422, "UNPROCESSABLE_ENTITY"),
            ("GET", f"contacts/search?phone={','.join('1' * 31)}", None, 422, "UNPROCESSABLE_ENTITY"),
            ("GET", "agents?limit=201", None, 422, "UNPROCESSABLE_ENTITY"),
            ("GET", "calls?sortBy=subject", None, 422, "UNPROCESSABLE_ENTITY"),
            ("GET", "organizationFields", None, 422, "UNPROCESSABLE_ENTITY"),
            ("GET", "nothing", None, 404, "URL_NOT_FOUND"),
        ],
    )
    async def test_refusals(self, desk: Desk, method: str, path: str, body: Any, status: int, code: str) -> None:
        async with desk.client.request(
            method, f"{desk.url}/api/v1/{path}", json=body, headers=await authorised(desk)
        ) as answer:
            assert (answer.status, (await answer.json())["errorCode"]) == (status, code)

    async def test_there_is_no_put(self, desk: Desk) -> None:
        ref = await desk.ticket()
        headers = await authorised(desk)
        async with desk.client.put(f"{desk.url}/api/v1/tickets/{ref.id}", json={"subject": "s"}, headers=headers) as no:
            assert no.status == 405

    async def test_ticket_lists(self, desk: Desk) -> None:
        ref = await desk.ticket()
        await desk.log(words=replace(WORDS, related=(ref,)))
        headers = await authorised(desk)
        for path in (f"tickets/{ref.id}/calls", "tickets"):
            async with desk.client.get(f"{desk.url}/api/v1/{path}", headers=headers) as answer:
                (row,) = (await answer.json())["data"]
                assert "description" not in row

    async def test_call_rules(self, desk: Desk) -> None:
        good = {
            "contactId": (await desk.contact()).id,
            "departmentId": SETTINGS["department_id"],
            "subject": "s",
            "startTime": "2025-03-02T04:41:12.000Z",
            "status": "Missed",
            "direction": "inbound",
            "duration": 0,
        }
        wrong: list[dict[str, Any]] = [
            {"status": "missed"},
            {"direction": "Inbound"},
            {"duration": "0"},
            {"startTime": "2025-03-02T04:41:12Z"},
            {"startTime": 1740890472000},
            {"recordingUrl": "javascript:alert(1)"},
            {"subject": "x" * 301},
            {"ownerId": "1"},
            {"ticketId": "1"},
        ]
        for values in ({}, *wrong):
            with_values = {**good, **values}
            async with desk.client.post(
                f"{desk.url}/api/v1/calls", json=with_values, headers=await authorised(desk)
            ) as answer:
                assert answer.status == (422 if values else 200), values

    async def test_the_door(self, desk: Desk) -> None:
        good = await authorised(desk)
        for headers, status, code in (
            (
                {**good, "Authorization": good["Authorization"].replace("Zoho-oauthtoken", "Bearer")},
                401,
                "INVALID_OAUTH",
            ),
            ({**good, "orgId": "1"}, 403, "OAUTH_ORG_MISMATCH"),
            ({"Authorization": good["Authorization"]}, 403, "OAUTH_ORG_MISMATCH"),
        ):
            async with desk.client.get(f"{desk.url}/api/v1/agents", headers=headers) as answer:
                assert (answer.status, (await answer.json())["errorCode"]) == (status, code)
        async with desk.client.post(f"{desk.url}/api/v1/contacts", data=b"{}", headers=good) as answer:
            assert answer.status == 415
        desk.clock.at += 3600
        async with desk.client.get(f"{desk.url}/api/v1/agents", headers=good) as answer:
            assert answer.status == 401

    async def test_the_token_endpoint(self, desk: Desk) -> None:
        form = {
            "grant_type": "refresh_token",
            **{name: SETTINGS[name] for name in ("client_id", "client_secret", "refresh_token")},
        }
        desk.account.token_limit = 2
        for change, error in (
            ({}, None),
            ({"client_id": "x"}, "invalid_client"),
            ({"refresh_token": "x"}, "invalid_code"),
            ({"grant_type": "password"}, "unsupported_grant_type"),
            ({}, None),
            ({}, "Access Denied"),
        ):
            async with desk.client.post(f"{desk.url}/oauth/v2/token", data={**form, **change}) as answer:
                body = await answer.json()
                assert (answer.status, body.get("error")) == (200, error)
                assert ("access_token" in body) == (error is None)
                assert "refresh_token" not in body
        async with desk.client.post(f"{desk.url}/oauth/v2/token?client_id=x", data=form) as answer:
            assert answer.status == 400
        async with desk.client.post(f"{desk.url}/oauth/v2/token", json=form) as answer:
            assert answer.status == 400
        desk.clock.at += 601
        async with desk.client.post(f"{desk.url}/oauth/v2/token", data=form) as answer:
            assert "access_token" in await answer.json()

    async def test_is_driven_from_outside(self, desk: Desk) -> None:
        await desk.log(words=replace(WORDS, related=(await desk.ticket(),)))
        async with desk.client.get(f"{desk.url}/_standin/dump") as answer:
            dump = await answer.json()
        assert [len(dump[kind]) for kind in ("contacts", "tickets", "calls")] == [2, 1, 1]
        async with desk.client.put(f"{desk.url}/_standin/account", json={"credits": 0}) as answer:
            assert answer.status == 200
        with pytest.raises(CrmUnavailable):
            await desk.contact()

    async def test_as_its_own_process(self) -> None:
        module = ("-m", "standins.zoho_desk", "--search-lag-s", "60")
        process = await asyncio.create_subprocess_exec(sys.executable, *module, stdout=asyncio.subprocess.PIPE)
        try:
            assert process.stdout
            url = (await process.stdout.readline()).decode().strip()
            assert url.startswith("http://127.0.0.1:")
            async with session(frozenset({"127.0.0.1"})) as client:
                http = CrmHttp(client, Unlimited())
                crm = ZohoDesk(settings(base_url=url), http, Home("", ""))
                http.bind(crm)
                await crm.create_contact("exotel:919876543210", caller(), "Unknown")
                assert await crm.find_contacts(caller()) == []
        finally:
            process.terminate()
            await process.wait()


async def authorised(desk: Desk) -> dict[str, str]:
    """Headers with an access token."""
    form = {
        "grant_type": "refresh_token",
        **{name: SETTINGS[name] for name in ("client_id", "client_secret", "refresh_token")},
    }
    async with desk.client.post(f"{desk.url}/oauth/v2/token", data=form) as answer:
        token = (await answer.json())["access_token"]
    return {"Authorization": f"Zoho-oauthtoken {token}", "orgId": SETTINGS["org_id"]}
