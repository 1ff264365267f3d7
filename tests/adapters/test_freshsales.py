"""Freshsales, adapter against stand-in, over real sockets.

Bodies of refusals are those that public integrations met (restated in docs/reference/freshsales.md §4.2,
§9 and §10); none is a recording.
"""

import asyncio
import sys
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, ClassVar

import aiohttp
import pytest
from aiohttp import web
from connector_freshsales import Freshsales, FreshsalesOptions, FreshsalesSettings
from connector_freshsales.logs import Timeline
from pydantic import ValidationError
from standins.freshsales import SETTINGS, Account, standin

from connector.adapter import Adapter, Agent, Caller, Entry, Home, Kind, Ref, stamp, stamped
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
from connector.kit import AdapterSuite, Refusal
from connector.kit.bench import CALL
from connector.kit.faults import Fault, Faults
from connector.kit.wire import serving
from connector.outbound import session
from connector.phone import caller_of

KEY = "fs-key-Qz7"
LOG = "c1:e69d:log"
AVNISH = Agent("70000042679", "Avnish Kumar")
WORDS = Entry("Incoming call from 09876543210", "Incoming call\nCallSid : e69d", "<p><b>Incoming call</b></p>")
LATE = replace(WORDS, html='<p>Call Recording: <a href="https://r.example/1.mp3">https://r.example/1.mp3</a></p>')
DAILY_LIMIT = "UCR contact fetch failure :: response_code :: 429"


def refused(status: int, *messages: str, **more: Any) -> dict[str, Any]:
    """A refusal's body."""
    return {"errors": {"code": status, "message": list(messages), **more}}


class TestFreshsales(AdapterSuite):
    adapter = Freshsales
    settings: ClassVar = {"domain": "acme.myfreshworks.com", "api_key": KEY}
    refusals = (
        Refusal(400, refused(400, "Owner must exist"), Rejected, ("agent",)),
        Refusal(400, refused(400, "user_id is invalid"), Rejected, ("agent",)),
        Refusal(400, refused(400, "cf_product can't be blank"), Rejected, ("fields.cf_product",)),
        Refusal(400, refused(400, "outcome_id is invalid", "Title is too long"), Rejected, ("fields.outcome_id",)),
        Refusal(400, {"errors": [{"message": "Description is too long"}]}, Rejected, ("html",)),
        Refusal(400, refused(400, DAILY_LIMIT), RateLimited),
        Refusal(401, {"login": "failed", "message": "Invalid credentials"}, AuthFailed),
        Refusal(403, refused(403, "You are not authorised to perform this operation."), AuthFailed),
        Refusal(404, refused(404, "Not Found"), NotFound),
        Refusal(429, "", RateLimited),
    )

    def standin(self) -> web.Application:
        # two connections may make a contact of the same number here, as in accounts that allow it
        return standin(Account(keys={KEY: "admin"}, unique_mobile=False))

    async def read_back(self, adapter: Adapter[Any], ref: Ref) -> str | None:
        return None


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.at = 1_740_900_000.0  # 2025-03-02, 07:20 UTC

    def __call__(self) -> float:
        return self.at


@dataclass
class Crm:
    """A stand-in, and an adapter connected to it."""

    account: Account
    faults: Faults
    adapter: Freshsales
    url: str
    client: aiohttp.ClientSession

    async def contact(self, key: str = "exotel:919876543210", number: str | None = "+919876543210") -> Ref:
        """The caller's contact."""
        return await self.adapter.create_contact(key, caller(number), "Unknown")

    async def log(self, words: Entry = WORDS, key: str = LOG, **call: Any) -> Ref:
        """A call log on the caller's contact."""
        return await self.adapter.log_call(key, await self.contact(), CALL.model_copy(update=call), words)

    def only(self, kind: str) -> dict[str, Any]:
        """The only record of its kind."""
        (record,) = self.account.records[kind].values()
        return record

    def fail(self, *faults: Fault, only: str = "") -> None:
        """What goes wrong next."""
        self.faults.script, self.faults.only = deque(faults), only


def caller(number: str | None = "+919876543210") -> Caller:
    """The customer."""
    return caller_of(number, "IN", Freshsales.find_by, Freshsales.save_as)


@asynccontextmanager
async def connected(account: Account, timeout_s: float = 5.0, **options: Any) -> AsyncIterator[Crm]:
    """A stand-in of this account with an adapter."""
    faults = Faults(seed=1)
    async with serving(standin(account, faults)) as url, session(frozenset({"127.0.0.1"})) as client:
        http = CrmHttp(client, Unlimited())
        settings = FreshsalesSettings.model_validate({"domain": account.domain, "api_key": KEY, "base_url": url})
        adapter = Freshsales(settings, http, Home("", ""), FreshsalesOptions.model_validate(options))
        vars(adapter)["timeout_s"] = timeout_s
        http.bind(adapter)
        yield Crm(account, faults, adapter, url, client)


@pytest.fixture
async def crm() -> AsyncIterator[Crm]:
    async with connected(Account(keys={KEY: "admin"})) as crm:
        yield crm


@pytest.fixture
async def classic() -> AsyncIterator[Crm]:
    async with connected(Account(domain="acme.freshsales.io", keys={KEY: "admin"})) as crm:
        yield crm


class TestSettings:
    @pytest.mark.parametrize(
        "entered",
        [
            "acme.myfreshworks.com",
            "acme",
            " ACME.MyFreshworks.com ",
            "https://acme.myfreshworks.com",
            "https://acme.myfreshworks.com/crm/sales/contacts/1?x=1",
            "someone:secret@acme.myfreshworks.com.",
        ],
    )
    def test_domain_as_people_enter_it(self, entered: str) -> None:
        settings = FreshsalesSettings.model_validate({"domain": entered, "api_key": KEY})
        assert settings.domain == "acme.myfreshworks.com"

    @pytest.mark.parametrize("entered", ["crm.acme.com", "acme.myfreshworks.com.evil.example", "a.b.freshsales.io", ""])
    def test_domains_that_are_none(self, entered: str) -> None:
        with pytest.raises(ValidationError):
            FreshsalesSettings.model_validate({"domain": entered, "api_key": KEY})

    def test_both_generations(self) -> None:
        http: Any = None
        roots = [
            Freshsales(FreshsalesSettings.model_validate({"domain": domain, "api_key": KEY}), http, Home("", "")).root
            for domain in ("acme", "https://acme.freshsales.io/leads")
        ]
        assert roots == ["https://acme.myfreshworks.com/crm/sales/api/", "https://acme.freshsales.io/api/"]

    def test_options(self) -> None:
        options = FreshsalesOptions()
        assert (options.call_log_format, options.log_as, options.follow_up) == ("multipart", "phone_call", "none")
        for wrong in ({"log_as": "ticket"}, {"call_log_format": "xml"}, {"follow_up": "event"}):
            with pytest.raises(ValidationError):
                FreshsalesOptions.model_validate(wrong)


class TestCheck:
    async def test_names_the_account(self, crm: Crm, classic: Crm) -> None:
        checked = await crm.adapter.check()
        assert (checked.account, checked.missing) == ("acme.myfreshworks.com (Freshsales Suite)", ())
        assert (await classic.adapter.check()).account == "acme.freshsales.io (Freshsales Classic)"

    async def test_wrong_alias_and_wrong_key(self, crm: Crm) -> None:
        crm.account.keys = {"another": "admin"}
        with pytest.raises(AuthFailed):
            await crm.adapter.check()
        crm.account.exists = False
        with pytest.raises(ConfigError) as error:
            await crm.adapter.check()
        assert error.value.field == "domain"

    async def test_a_key_without_rights(self, crm: Crm) -> None:
        crm.account.keys = {KEY: "none"}
        with pytest.raises(AuthFailed, match="may not read the contacts"):
            await crm.adapter.check()

    async def test_a_restricted_key_warns_and_writes(self, crm: Crm) -> None:
        crm.account.keys = {KEY: "restricted"}
        missing = (await crm.adapter.check()).missing
        assert [("list users" in line, "mandatory" in line) for line in missing] == [(True, False), (False, True)]
        await crm.log()
        with pytest.raises(AuthFailed):
            await crm.adapter.list_agents()

    async def test_mandatory_fields(self) -> None:
        account = Account(
            contact_fields=[
                {"name": "email", "label": "E-mail", "required": True},
                {"name": "cf_vip", "required": False},
            ],
            activity_fields=[{"name": "cf_topic", "label": "Topic", "required": True}],
        )
        async with connected(account, log_as="sales_activity", associate=["contact", "deal"]) as crm:
            missing = (await crm.adapter.check()).missing
            assert len(missing) == 3
            assert "E-mail" in missing[0]
            assert "unknown_caller" in missing[0]
            assert "options.fields.cf_topic" in missing[1]
            assert "options.associate" in missing[2]
            with pytest.raises(Rejected) as error:
                await crm.contact()
            assert error.value.parts == ("contact",)

    async def test_no_type_phone(self) -> None:
        async with connected(Account(activity_types=[]), log_as="sales_activity") as crm:
            with pytest.raises(ConfigError, match="no sales activity type Phone"):
                await crm.adapter.check()

    async def test_agents(self, crm: Crm) -> None:
        crm.account.owners[7] = {"id": 7, "display_name": "Left", "email": "l@acme.example", "is_active": False}
        crm.account.owners[70000043413]["work_number"] = "080-4711"
        assert await crm.adapter.list_agents() == [
            Agent("70000042679", "Avnish Kumar", "avnish@acme.example", "9711581199"),
            Agent("70000043413", "Manish Singh", "manish@acme.example", "080-4711"),
        ]


class TestFindContacts:
    @pytest.mark.parametrize(
        ("stored", "requests"), [("9876543210", 1), ("+919876543210", 2), ("919876543210", 2), ("09876543210", 2)]
    )
    async def test_every_spelling(self, crm: Crm, stored: str, requests: int) -> None:
        made = crm.account.add("contact", {"last_name": "Asha", "mobile_number": stored})
        found = await crm.adapter.find_contacts(caller())
        assert found == [Ref("contact", str(made["id"]), f"{crm.url}/crm/sales/contacts/{made['id']}")]
        assert crm.account.requests.total() == requests

    async def test_the_newest_of_several(self, crm: Crm) -> None:
        clock = Clock()
        crm.account.clock = clock
        first, second = (crm.account.add("contact", {"mobile_number": "9876543210"}) for _ in range(2))
        clock.at += 60
        crm.account.write("contact", first, {"job_title": "CEO"})
        assert [ref.id for ref in await crm.adapter.find_contacts(caller())] == [str(first["id"]), str(second["id"])]

    async def test_nothing_is_asked_of_a_withheld_number(self, crm: Crm) -> None:
        assert await crm.adapter.find_contacts(caller(None)) == []
        assert not crm.account.requests

    async def test_a_filter_that_is_passed_over_finds_no_stranger(
        self, crm: Crm, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        http: Any = crm.adapter.http

        async def all_of_them(*_args: Any) -> Any:
            return {"contacts": [{"id": "1", "mobile_number": "9000000000"}, {"id": "2", "mobile_number": None}]}

        monkeypatch.setattr(http, "ask", all_of_them)
        assert await crm.adapter.find_contacts(caller()) == []

    async def test_classic_knows_leads(self, classic: Crm) -> None:
        lead = classic.account.add("lead", {"last_name": "Asha", "mobile_number": "+919876543210"})
        (found,) = await classic.adapter.find_contacts(caller())
        assert found == Ref("lead", str(lead["id"]), f"{classic.url}/leads/{lead['id']}")
        log = await classic.adapter.log_call(LOG, found, CALL, WORDS)
        assert log.id.endswith(f"/lead/{lead['id']}")
        await classic.adapter.update_call_log(LOG, log, CALL, LATE)
        assert classic.only("note")["targetable_type"] == "Lead"
        assert await classic.adapter.find_by_key("call_log", LOG, found) == log
        contact = await classic.contact()
        assert contact.url == f"{classic.url}/contacts/{contact.id}"
        assert [ref.kind for ref in await classic.adapter.find_contacts(caller())] == ["contact"]


class TestFindOwner:
    @pytest.mark.parametrize("kind", ["contact", "lead"])
    async def test_whom_a_person_belongs_to(self, classic: Crm, kind: Kind) -> None:
        values = {"last_name": "Asha", "mobile_number": "9876543210"}
        owned = classic.account.add(kind, {**values, "owner_id": 70000043413})
        assert await classic.adapter.find_owner(Ref(kind, str(owned["id"]))) == "70000043413"
        assert await classic.adapter.find_owner(Ref(kind, str(classic.account.add(kind, values)["id"]))) is None
        with pytest.raises(NotFound):
            await classic.adapter.find_owner(Ref(kind, "999999"))


class TestCreateContact:
    async def test_ten_digits(self, crm: Crm) -> None:
        await crm.contact()
        contact = crm.only("contact")
        written = [contact[name] for name in ("first_name", "last_name", "mobile_number", "external_id")]
        assert written == ["Unknown", "9876543210", "9876543210", "exotel:919876543210"]
        assert "email" not in contact

    @pytest.mark.parametrize(("number", "mobile"), [(None, None), ("sip:alice@acme.example", None), ("+6591234567", 1)])
    async def test_what_is_no_number_of_ours(self, crm: Crm, number: str | None, mobile: object) -> None:
        made = await crm.contact("exotel:x", number)
        assert crm.only("contact").get("mobile_number") == (number if mobile else None)
        assert crm.only("contact")["last_name"] == (number or "Withheld number")
        assert await crm.contact("exotel:x", number) == made

    @pytest.mark.parametrize("language", ["en", "es"])
    async def test_a_duplicate_in_any_language(self, language: Any) -> None:
        async with connected(Account(language=language)) as crm:
            old = crm.account.add("contact", {"last_name": "Asha", "mobile_number": "9876543210"})
            assert (await crm.contact()).id == str(old["id"])
            assert len(crm.account.records["contact"]) == 1

    async def test_a_duplicate_that_is_not_shown_yet(self) -> None:
        clock = Clock()
        async with connected(Account(clock=clock, search_lag_s=30)) as crm:
            first = await crm.contact()
            with pytest.raises(CrmUnavailable) as error:
                await crm.contact()
            assert error.value.retry_after_s == 60
            clock.at += 31
            assert await crm.contact() == first

    async def test_a_hidden_429(self, crm: Crm) -> None:
        crm.account.hidden_429s = 1
        with pytest.raises(RateLimited) as error:
            await crm.contact()
        assert error.value.retry_after_s == 60
        assert crm.account.requests.total() == 1
        await crm.contact()

    async def test_a_lookup_that_passes_over_the_field_tells_nothing(
        self, crm: Crm, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        http: Any = crm.adapter.http

        async def others(*_args: Any) -> Any:
            return {"contacts": {"contacts": [{"id": 1, "external_id": "exotel:other"}]}}

        monkeypatch.setattr(http, "get", others)
        with pytest.raises(CannotTell):
            await crm.adapter.find_by_key("contact", "exotel:919876543210", None)


class TestLogCall:
    @pytest.mark.parametrize("direction", ["inbound", "outbound"])
    async def test_a_call_log(self, crm: Crm, direction: str) -> None:
        log = await crm.log(replace(WORDS, agent=AVNISH), direction=direction)
        call, contact = crm.only("phone_call"), crm.only("contact")
        assert call["call_direction"] is (direction == "inbound")
        assert call["targetable"] == {"id": contact["id"], "type": "contact"}
        assert call["user_id"] == 70000042679
        assert crm.only("note")["description"] == WORDS.html + stamp(LOG)
        assert log.id == f"{call['id']}/{call['note_id']}/contact/{contact['id']}"
        assert log.url == f"{crm.url}/crm/sales/contacts/{contact['id']}"

    async def test_a_late_recording(self, crm: Crm) -> None:
        log = await crm.log()
        before = crm.account.requests.total()
        await crm.adapter.update_call_log(LOG, log, CALL, LATE)
        await crm.adapter.update_call_log(LOG, log, CALL, LATE)
        note = crm.only("note")
        assert "https://r.example/1.mp3</a>" in note["description"]
        assert stamped(LOG, note["description"])
        assert (note["targetable_type"], note["targetable_id"]) == ("Contact", crm.only("contact")["id"])
        assert crm.account.requests.total() == before + 2

    async def test_a_note_that_was_deleted(self, crm: Crm) -> None:
        log = await crm.log()
        url = f"{crm.adapter.root}notes/{crm.only('note')['id']}"
        async with crm.client.delete(url, headers=crm.adapter.headers()) as answer:
            assert answer.status == 200
        with pytest.raises(NotFound):
            await crm.adapter.update_call_log(LOG, log, CALL, LATE)

    @pytest.mark.parametrize(("reads", "sends"), [("json", "multipart"), ("multipart", "json")])
    async def test_the_other_format_is_told(self, reads: Any, sends: str) -> None:
        async with connected(Account(call_log_format=reads), call_log_format=sends) as crm:
            with pytest.raises(Rejected, match=f"options.call_log_format: {reads}") as error:
                await crm.log()
            assert error.value.parts == ()
            assert crm.account.requests["POST /phone_calls"] == 1
        async with connected(Account(call_log_format=reads), call_log_format=reads) as crm:
            await crm.log(replace(WORDS, agent=AVNISH))
            assert crm.only("phone_call")["user_id"] == 70000042679

    async def test_fields(self, crm: Crm) -> None:
        await crm.log(replace(WORDS, fields={"source": "exotel", "number": "08047494574", "empty": " "}))
        call = crm.only("phone_call")
        assert (call["source"], call["number"]) == ("exotel", "08047494574")
        with pytest.raises(Rejected) as error:
            await crm.log(replace(WORDS, fields={"outcome_id": "busy"}))
        assert error.value.parts == ("fields.outcome_id",)

    async def test_an_agent_who_left(self, crm: Crm) -> None:
        for agent in (Agent("1"), Agent("not a number")):
            with pytest.raises(Rejected) as error:
                await crm.log(replace(WORDS, agent=agent))
            assert error.value.parts == ("agent",)

    async def test_hostile_texts(self, crm: Crm) -> None:
        html = '<p onclick="x()">a\r\n--b\udc80</p><script>x()</script><a href="javascript:x()">c</a>'
        await crm.log(replace(WORDS, html=html))
        description = crm.only("note")["description"]
        assert not any(word in description for word in ("script", "onclick"))
        assert stamped(LOG, description)

    async def test_two_requests_for_a_known_caller_and_four_for_a_new_one(self, crm: Crm) -> None:
        assert await crm.adapter.find_contacts(caller()) == []
        await crm.log()
        assert crm.account.requests.total() == 4
        crm.account.requests.clear()
        (contact,) = await crm.adapter.find_contacts(caller())
        await crm.adapter.log_call("c1:other:log", contact, CALL, WORDS)
        assert crm.account.requests.total() == 2


class TestOtherKindsOfLog:
    async def test_a_note(self) -> None:
        async with connected(Account(), log_as="note") as crm:
            log = await crm.log(replace(WORDS, agent=AVNISH))
            assert log.id == f"note/{crm.only('note')['id']}/contact/{crm.only('contact')['id']}"
            await crm.adapter.update_call_log(LOG, log, CALL, LATE)
            assert "Call Recording" in crm.only("note")["description"]
            assert await crm.adapter.find_by_key("call_log", LOG, await crm.contact()) == log
            with pytest.raises(Rejected) as error:
                await crm.log(replace(WORDS, fields={"source": "exotel"}))
            assert error.value.parts == ("fields.source",)

    async def test_a_sales_activity(self) -> None:
        async with connected(Account(), log_as="sales_activity") as crm:
            fields = {"cf_topic": "Billing", "sales_activity_outcome_id": "7010"}
            log = await crm.log(replace(WORDS, agent=AVNISH, fields=fields))
            activity = crm.only("sales_activity")
            assert (activity["owner_id"], activity["sales_activity_type_id"]) == (70000042679, 7001)
            assert (activity["start_date"], activity["end_date"]) == (
                "2025-03-02T10:11:12+05:30",
                "2025-03-02T10:12:04+05:30",
            )
            assert (activity["title"], activity["custom_field"]) == (WORDS.subject, {"cf_topic": "Billing"})
            assert activity["sales_activity_outcome_id"] == 7010
            assert stamped(LOG, activity["notes"])
            await crm.adapter.update_call_log(LOG, log, CALL, replace(LATE, agent=AVNISH, text="with a recording"))
            assert activity["notes"] == f"with a recording\n[ref {LOG}]"
            assert await crm.adapter.find_by_key("call_log", LOG, await crm.contact()) == log
            crm.account.requests.clear()
            await crm.adapter.log_call("c1:2:log", await crm.contact(), CALL, replace(WORDS, agent=AVNISH))
            assert crm.account.requests["GET /selector/sales_activity_types"] == 0

    async def test_nobody_answered(self) -> None:
        async with connected(Account(), log_as="sales_activity") as crm:
            contact = await crm.contact()
            missed = CALL.model_copy(update={"started_at": None, "ended_at": None})
            with pytest.raises(Rejected, match="owner"):
                await crm.adapter.log_call(LOG, contact, missed, WORDS)
            crm.account.write("contact", crm.only("contact"), {"owner_id": 70000043413})
            await crm.adapter.log_call(LOG, contact, missed, WORDS)
            assert crm.only("sales_activity")["owner_id"] == 70000043413
            assert "start_date" not in crm.only("sales_activity")
            words = replace(WORDS, fields={"owner_id": "70000042679", "sales_activity_type_id": "7000"})
            crm.account.requests.clear()
            await crm.adapter.log_call("c1:2:log", contact, missed, words)
            assert crm.account.requests.total() == 1


class TestTasks:
    async def test_a_task(self, crm: Crm) -> None:
        contact = await crm.contact()
        crm.account.write("contact", crm.only("contact"), {"owner_id": 70000043413})
        ref = await crm.adapter.create_task("c1:e69d:task", contact, CALL, WORDS)
        task = crm.only("task")
        assert (ref.id, ref.url) == (str(task["id"]), contact.url)
        assert task["due_date"] == "2025-03-03T10:12:04+05:30"
        assert (task["owner_id"], task["targetable_type"]) == (70000043413, "Contact")
        assert await crm.adapter.find_by_key("task", "c1:e69d:task", contact) == ref

    async def test_without_times_and_with_an_agent(self, crm: Crm) -> None:
        contact = await crm.contact()
        crm.account.requests.clear()
        call = CALL.model_copy(update={"started_at": None, "ended_at": None, "last_event_at": 1_740_900_000.0})
        await crm.adapter.create_task("k", contact, call, Entry(agent=AVNISH))
        due = datetime.fromisoformat(crm.only("task")["due_date"])
        assert due == datetime.fromtimestamp(1_740_900_000 + 86400, UTC)
        assert crm.only("task")["title"] == "Call back"
        assert crm.account.requests.total() == 1

    async def test_more_than_are_read(self, crm: Crm) -> None:
        contact = await crm.contact()
        for n in range(501):
            crm.account.add("task", {"title": str(n)})
        with pytest.raises(CannotTell):
            await crm.adapter.find_by_key("task", "k", contact)


class TestFindByKey:
    async def test_on_a_later_page(self, crm: Crm) -> None:
        log = await crm.log()
        contact = await crm.contact()
        for n in range(60):
            await crm.adapter.log_call(f"c1:{n}:log", contact, CALL, WORDS)
        assert await crm.adapter.find_by_key("call_log", LOG, contact) == log
        assert await crm.adapter.find_by_key("call_log", "c1:e69d:lo", contact) is None

    async def test_without_words_nothing_is_concluded(self, crm: Crm) -> None:
        contact = await crm.contact()
        crm.account.tells_words = False
        assert await crm.adapter.find_by_key("call_log", LOG, contact) is None
        await crm.adapter.log_call(LOG, contact, CALL, WORDS)
        with pytest.raises(CannotTell):
            await crm.adapter.find_by_key("call_log", LOG, contact)

    async def test_where_words_may_stand(self) -> None:
        of = Ref("contact", "1")
        note = {"id": 7, "html_content": f"x {stamp(LOG)}"}
        item = {"id": "a", "actionable_type": "note", "actionable_id": 7}
        for body in ({"activities": [{**item, "user_activity": note}]}, {"activities": [item], "notes": [note]}):
            timeline = Timeline(body)
            found = timeline.log_with(LOG, of)
            assert (str(found), timeline.is_untold, timeline.has_next) == ("note/7/contact/1", False, False)
        assert Timeline({"activities": [item, {**item, "actionable_type": "Deal"}]}).is_untold
        assert not Timeline({"activities": [{**item, "actionable_type": "Deal"}]}).is_untold

    async def test_more_than_is_read_or_nothing_to_read(self, crm: Crm) -> None:
        contact = await crm.contact()
        deal = {"id": "1", "actionable_type": "Deal", "actionable_id": 1}
        crm.account.timelines["contact", int(contact.id)] += [deal] * 126
        for of in (contact, Ref("contact", "9"), None):
            with pytest.raises(CannotTell):
                await crm.adapter.find_by_key("call_log", LOG, of)

    @pytest.mark.parametrize("fault", ["error_after", "reset_after", "late"])
    async def test_an_effect_without_an_answer_is_found(self, fault: Fault) -> None:
        async with connected(Account(), timeout_s=0.2) as crm:
            crm.faults.slow_s, crm.faults.effect_after_s = 0.4, 0.1
            contact = await crm.contact()
            crm.fail(fault, only="phone_calls")
            with pytest.raises(OutcomeUnknown):
                await crm.adapter.log_call(LOG, contact, CALL, WORDS)
            found = await crm.adapter.find_by_key("call_log", LOG, contact)
            assert found is not None
            await crm.adapter.update_call_log(LOG, found, CALL, LATE)
            assert "Call Recording" in crm.only("note")["description"]

    async def test_a_contact_made_without_an_answer(self, crm: Crm) -> None:
        crm.fail("reset_after", only="POST")
        with pytest.raises(OutcomeUnknown):
            await crm.contact()
        ref = await crm.contact()
        assert ref.id == str(crm.only("contact")["id"])
        assert await crm.adapter.find_by_key("contact", "exotel:919876543210", None) == ref


class TestLimits:
    async def test_an_hour(self) -> None:
        clock = Clock()
        async with connected(Account(clock=clock, limit=2)) as crm:
            await crm.adapter.list_agents()
            await crm.adapter.list_agents()
            with pytest.raises(RateLimited) as error:
                await crm.adapter.list_agents()
            assert error.value.retry_after_s == 60
            clock.at += 3600
            await crm.adapter.list_agents()

    @pytest.mark.parametrize(
        ("headers", "told"),
        [
            ({}, None),
            ({"X-RateLimit-Remaining": "7"}, (7, None, None)),
            ({"X-RateLimit-Total": "5000", "X-RateLimit-Remaining": "7"}, (7, 5000, 3600.0)),
            ({"X-RateLimit-Limit": "400", "X-RateLimit-Remaining": "x"}, (None, 400, 60.0)),
        ],
    )
    def test_headers(self, headers: dict[str, str], told: object) -> None:
        http: Any = None
        quota = Freshsales(FreshsalesSettings.model_validate(SETTINGS), http, Home("", "")).quota(headers).get("all")
        assert (quota and (quota.remaining, quota.limit, quota.per_s)) == told


class TestErrorBodies:
    @pytest.mark.parametrize(
        ("body", "words", "code"),
        [
            (refused(400, "MobileNumber is not unique"), {"contact": "MobileNumber is not unique"}, None),
            (refused(400, "Contact is not unique", error_code=3002), {"contact": "Contact is not unique"}, "3002"),
            ({"errors": {"message": "one", "code": 400}, "error_code": 7}, {"": "one"}, "7"),
            ({"errors": ["one", {"message": ["two"]}]}, {"": "one; two"}, None),
            ({"message": "plain"}, {"": "plain"}, None),
            ("<html>", {}, None),
            (None, {}, None),
        ],
    )
    def test_shapes(self, body: Any, words: dict[str, str], code: str | None) -> None:
        http: Any = None
        adapter = Freshsales(FreshsalesSettings.model_validate(SETTINGS), http, Home("", ""))
        assert (adapter.error_words(body), adapter.error_code(body)) == (words, code)


class TestStandin:
    @pytest.mark.parametrize(
        ("method", "path", "body", "status"),
        [
            ("POST", "contacts", {"last_name": "no root"}, 400),
            ("POST", "contacts", {"contact": {"last_name": "A", "email": ""}}, 400),
            ("POST", "contacts", {"contact": {"last_name": "A", "custom_fields": {}}}, 400),
            ("POST", "contacts", {"contact": {"last_name": "A", "owner_id": "70000042679"}}, 400),
            ("POST", "phone_calls", {"phone_call": {"call_direction": "incoming"}}, 400),
            ("POST", "notes", {"note": {"description": "x", "targetable_type": "contact", "targetable_id": 1}}, 400),
            ("POST", "notes", {"note": {"description": "x", "targetable_type": "Contact", "targetable_id": 1}}, 404),
            ("POST", "notes", {"note": {"description": "x", "targetable_type": "Lead", "targetable_id": 1}}, 400),
            ("POST", "tasks", {"task": {"title": "x", "targetable_type": "Contact", "targetable_id": 1}}, 400),
            ("POST", "sales_activities", {"sales_activity": {"title": "x"}}, 400),
            ("POST", "filtered_search/contact", {"filter_rule": []}, 400),
            ("GET", "lookup?q=1&f=phone&entities=contact", None, 400),
            ("GET", "lookup?q=1&f=mobile_number&entities=contact,lead", None, 400),
            ("GET", "tasks?filter=all", None, 400),
            ("GET", "contacts/1", None, 404),
            ("GET", "nothing", None, 404),
        ],
    )
    async def test_refusals(self, crm: Crm, method: str, path: str, body: Any, status: int) -> None:
        url, headers = f"{crm.adapter.root}{path}", crm.adapter.headers()
        async with crm.client.request(method, url, json=body, headers=headers) as answer:
            assert answer.status == status
            assert (await answer.json())["errors"]["code"] == status

    async def test_content_type_and_bad_json(self, crm: Crm) -> None:
        for how in ({"data": {"a": "b"}}, {"data": b"{", "headers": {"Content-Type": "application/json"}}):
            headers = {**crm.adapter.headers(), **how.pop("headers", {})}  # type: ignore[dict-item]
            async with crm.client.post(f"{crm.adapter.root}notes", headers=headers, **how) as answer:
                assert answer.status == 400

    async def test_links_open(self, crm: Crm, classic: Crm) -> None:
        for each in (crm, classic):
            log = await each.log(replace(LATE, agent=AVNISH))
            contact = await each.contact()
            await each.adapter.create_task("k", contact, CALL, replace(WORDS, text="<b>call</b>"))
            assert log.url
            async with each.client.get(log.url) as answer:
                page = await answer.text()
            assert "https://r.example/1.mp3</a>" in page
            assert "Avnish Kumar" in page
            assert "&lt;b&gt;call" in page
            async with each.client.get(f"{each.url}/") as answer:
                assert "9876543210" in await answer.text()
            async with each.client.get(log.url.replace(contact.id, "9")) as answer:
                assert answer.status == 404

    async def test_is_driven_from_outside(self, crm: Crm) -> None:
        async with crm.client.put(f"{crm.url}/_standin/account", json={"language": "es"}) as answer:
            assert answer.status == 200
        await crm.log()
        async with crm.client.get(f"{crm.url}/_standin/state") as answer:
            assert (await answer.json())["records"] == {"contacts": 1, "phone_calls": 1, "notes": 1}
        async with crm.client.get(f"{crm.url}/_standin/dump") as answer:
            assert len((await answer.json())["contacts"]) == 1

    async def test_a_sales_activity_is_read(self) -> None:
        account = Account(activity_fields=[{"name": "cf_topic", "label": "Topic", "required": True}])
        async with connected(account, log_as="sales_activity") as crm:
            with pytest.raises(Rejected) as error:
                await crm.log(replace(WORDS, agent=AVNISH))
            assert error.value.parts == ("fields.cf_topic",)
            await crm.log(replace(WORDS, agent=AVNISH, fields={"cf_topic": "Billing"}))
            found = await crm.adapter.http.get(f"sales_activities/{crm.only('sales_activity')['id']}")
            assert found["sales_activity"]["title"] == WORDS.subject

    async def test_as_its_own_process(self) -> None:
        module = ("-m", "standins.freshsales")
        process = await asyncio.create_subprocess_exec(sys.executable, *module, stdout=asyncio.subprocess.PIPE)
        try:
            assert process.stdout
            url = (await process.stdout.readline()).decode().strip()
            async with session(frozenset({"127.0.0.1"})) as client:
                http = CrmHttp(client, Unlimited())
                adapter = Freshsales(
                    FreshsalesSettings.model_validate({**SETTINGS, "base_url": url}), http, Home("", "")
                )
                http.bind(adapter)
                assert (await adapter.check()).missing == ()
        finally:
            process.terminate()
            await process.wait()
