"""Freshchat, adapter against stand-in, over real sockets.

Bodies of refusals are those that docs/reference/freshchat.md quotes (§4, §5 and §7); none is a recording.
"""

import asyncio
import sys
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import aiohttp
import pytest
from aiohttp import web
from connector_freshchat import Freshchat, FreshchatOptions, FreshchatSettings
from pydantic import ValidationError
from standins.freshchat import SETTINGS, Account, standin
from standins.freshchat.state import ALL_SCOPES, AVNISH, MANISH, TOPIC

from connector.adapter import Agent, Caller, Entry, Home, Ref
from connector.adapter.http import CrmHttp, Unlimited
from connector.errors import AuthFailed, CannotTell, ConfigError, NotFound, OutcomeUnknown, RateLimited, Rejected
from connector.kit import AdapterSuite, Refusal
from connector.kit.faults import Fault, Faults
from connector.kit.wire import serving
from connector.outbound import session
from connector.phone import caller_of

KEY = "fc-token-Qz7"
HOST = "acme-810075555-1a2b3c4d.freshchat.com"
AGENT = Agent(AVNISH, "Avnish Kumar")
OTHER = Agent(MANISH, "Manish Singh")
RECORDING = f"https://calls.example/r/{'0a' * 16}.{'S' * 43}"
WORDS = Entry(text="Missed call\nFrom: 09876543210\nCallSid : e69d")
INBOX = "3d2c1b0a-1111-4222-8333-944455557777"


def refused(code: int, status: str, message: str) -> dict[str, Any]:
    """A refusal's body."""
    return {"code": code, "status": status, "message": message}


class TestFreshchat(AdapterSuite):
    adapter = Freshchat
    settings: ClassVar = {"domain": f"{HOST}/v2", "api_key": KEY}
    refusals = (
        Refusal(400, refused(400, "INVALID_VALUE", "It is not the latest conversation"), NotFound),
        Refusal(400, refused(400, "INVALID_VALUE", "IMAGE_EMPTY_CONTENT"), Rejected),
        Refusal(400, refused(400, "INVALID_VALUE", "cf_kit is not defined"), Rejected, ("fields.cf_kit",)),
        Refusal(400, refused(400, "INVALID_VALUE", "priority is not valid"), Rejected, ("fields.priority",)),
        Refusal(400, refused(400, "INVALID_VALUE", "actor_id is not valid"), Rejected, ("agent",)),
        Refusal(400, refused(400, "INVALID_VALUE", "user is blocked"), Rejected, ("contact",)),
        Refusal(400, "Conversation payload not valid", Rejected),
        Refusal(401, refused(401, "UNAUTHENTICATED", "The token has expired"), AuthFailed),
        Refusal(403, refused(403, "FORBIDDEN", "scope"), AuthFailed),
        Refusal(404, refused(404, "AGENT_NOT_FOUND", "agent not found"), Rejected, ("agent",)),
        Refusal(404, refused(404, "CONVERSATION_NOT_FOUND", "conversation not found"), NotFound),
        Refusal(429, refused(429, "TOO_MANY_REQUESTS", "slow down"), RateLimited),
        Refusal(503, "<html>down</html>", OutcomeUnknown),
    )

    def standin(self) -> web.Application:
        return standin(Account(tokens={KEY: ALL_SCOPES}))


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.at = 1_740_900_000.0

    def __call__(self) -> float:
        return self.at


@dataclass
class Chat:
    """A stand-in, and an adapter connected to it."""

    account: Account
    faults: Faults
    clock: Clock
    crm: Freshchat
    url: str
    client: aiohttp.ClientSession

    async def user(self, key: str = "exotel:919876543210") -> Ref:
        """The caller's user."""
        return await self.crm.create_contact(key, caller(), "Unknown")

    async def conversation(self, words: Entry = WORDS, key: str = "c1:e69d:conversation") -> Ref:
        """A conversation of the caller's."""
        return await self.crm.open_conversation(key, await self.user(), words)

    def stored(self, ref: Ref) -> dict[str, Any]:
        """A conversation as Freshchat has it."""
        return self.account.conversations[ref.id]

    def said(self, ref: Ref) -> list[dict[str, Any]]:
        """Its messages, oldest first."""
        return self.account.messages[ref.id]

    def fail(self, *faults: Fault, only: str = "") -> None:
        """What goes wrong next."""
        self.faults.script, self.faults.only = deque(faults), only

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """A request that no adapter makes."""
        url = f"{self.url}/v2/{path}"
        async with self.client.request(method, url, json=body, headers=self.crm.headers()) as answer:
            return answer.status, await answer.json() if answer.content_length else None

    def requests(self) -> list[str]:
        """What was asked, sorted."""
        return sorted(self.account.requests.elements())


def caller(number: str | None = "+919876543210") -> Caller:
    """The customer."""
    return caller_of(number, "IN", Freshchat.find_by, Freshchat.save_as)


@asynccontextmanager
async def connected(account: Account, clock: Clock, **options: Any) -> AsyncIterator[Chat]:
    """A stand-in of this account with an adapter."""
    faults = Faults(seed=1)
    async with serving(standin(account, faults)) as url, session(frozenset({"127.0.0.1"})) as client:
        http = CrmHttp(client, Unlimited())
        settings = FreshchatSettings.model_validate({"domain": HOST, "api_key": KEY, "base_url": url})
        crm = Freshchat(settings, http, Home("", ""), FreshchatOptions.model_validate(options))
        http.bind(crm)
        yield Chat(account, faults, clock, crm, url, client)


@pytest.fixture
async def chat() -> AsyncIterator[Chat]:
    clock = Clock()
    async with connected(Account(tokens={KEY: ALL_SCOPES}, clock=clock), clock) as chat:
        yield chat


class TestSettings:
    @pytest.mark.parametrize(
        ("entered", "host"),
        [
            (HOST, HOST),
            (f"{HOST}/v2", HOST),
            (f" https://{HOST.upper()}/v2/ ", HOST),
            (f"http://{HOST}/", HOST),
            ("acme-810075555-1a2b3c4d", HOST),
            ("acme.myfreshworks.com/v2", "acme.myfreshworks.com"),
            ("api.freshchat.com/v2", "api.freshchat.com"),
            ("api.in.freshchat.com", "api.in.freshchat.com"),
        ],
    )
    def test_domain_as_people_enter_it(self, entered: str, host: str) -> None:
        settings = FreshchatSettings.model_validate({"domain": entered, "api_key": KEY})
        crm = Freshchat(settings, CrmHttp.__new__(CrmHttp), Home("", ""))
        assert (settings.domain, crm.root, crm.account) == (host, f"https://{host}/v2/", host)

    @pytest.mark.parametrize("entered", ["chat.acme.com", f"{HOST}.evil.example", "-.freshchat.com", "", 7])
    def test_domains_that_are_none(self, entered: object) -> None:
        with pytest.raises(ValidationError):
            FreshchatSettings.model_validate({"domain": entered, "api_key": KEY})

    def test_defaults(self) -> None:
        options = FreshchatOptions()
        assert (options.channel, options.customer_sees) == ("Phone-Exotel", False)
        with pytest.raises(ValidationError):
            FreshchatOptions(channel="")


class TestCheck:
    async def test_names_the_account(self, chat: Chat) -> None:
        checked = await chat.crm.check()
        assert (checked.account, checked.missing) == (f"acme ({HOST})", ())

    @pytest.mark.parametrize(
        ("channel", "words"),
        [("Calls", "`Phone-Exotel`, `Inbox`"), ("Support mail", "e-mails"), ("inbox", "switched off")],
    )
    async def test_a_topic_that_will_not_do(self, channel: str, words: str) -> None:
        account = Account()
        account.channels[1]["enabled"] = False
        async with connected(account, Clock(), channel=channel) as chat:
            (missing,) = (await chat.crm.check()).missing
            assert words in missing

    async def test_a_wrong_host(self, chat: Chat) -> None:
        chat.account.exists = False
        with pytest.raises(ConfigError) as error:
            await chat.crm.check()
        assert error.value.field == "domain"

    async def test_a_wrong_token(self, chat: Chat) -> None:
        chat.account.tokens = {}
        with pytest.raises(AuthFailed):
            await chat.crm.check()

    async def test_missing_scopes(self, chat: Chat) -> None:
        chat.account.tokens = {KEY: ALL_SCOPES - {"agent:read", "account:read"}}
        checked = await chat.crm.check()
        assert checked.account == HOST
        assert "agent:read" in checked.missing[0]
        chat.account.tokens = {KEY: ALL_SCOPES - {"channel:read"}}
        with pytest.raises(AuthFailed):
            await chat.crm.check()

    async def test_agents_of_all_pages(self, chat: Chat) -> None:
        for number in range(60):
            gone = {"is_deactivated": number % 2 == 0, "is_deleted": number % 3 == 0}
            chat.account.agents[str(number)] = {**chat.account.agents[AVNISH], "id": str(number), **gone}
        agents = await chat.crm.list_agents()
        assert len(agents) == 23
        assert agents[0] == Agent(AVNISH, "Avnish Kumar", "avnish@acme.example", "+919711581199")
        assert agents[2].phone is None


class TestUsers:
    @pytest.mark.parametrize(
        ("stored", "requests"), [("9876543210", 1), ("+919876543210", 2), ("919876543210", 3), ("09876543210", 4)]
    )
    async def test_spellings_one_after_the_other(self, chat: Chat, stored: str, requests: int) -> None:
        user = chat.account.add_user({"first_name": "Asha", "phone": stored})
        assert await chat.crm.find_contacts(caller()) == [Ref("contact", user["id"])]
        assert chat.requests() == ["GET /users"] * requests

    async def test_newest_first_and_nobody_else(self, chat: Chat) -> None:
        chat.account.loose_match = True
        old, new, _other = (
            chat.account.add_user({"first_name": name, "phone": phone})["id"]
            for name, phone in (("old", "9876543210"), ("new", "9876543210"), ("other", "8888883210"))
        )
        assert [ref.id for ref in await chat.crm.find_contacts(caller())] == [new, old]

    @pytest.mark.parametrize("number", [None, "Anonymous", "sip:alice@pbx.example"])
    async def test_callers_without_a_number_cost_no_request(self, chat: Chat, number: str | None) -> None:
        assert await chat.crm.find_contacts(caller(number)) == []
        assert chat.requests() == []

    async def test_what_is_stored(self, chat: Chat) -> None:
        stored = chat.account.users[(await chat.user()).id]
        told = {name: value for name, value in stored.items() if name not in ("id", "created_time", "updated_time")}
        assert told == {
            "first_name": "Unknown",
            "phone": "9876543210",
            "reference_id": "exotel:919876543210",
            "properties": [],
        }

    async def test_a_caller_without_a_number_has_no_phone(self, chat: Chat) -> None:
        made = await chat.crm.create_contact("exotel:c1:withheld", caller(None), "Unknown")
        stored = chat.account.users[made.id]
        assert (stored["first_name"], stored["last_name"]) == ("Unknown", "Withheld number")
        assert "phone" not in stored
        assert await chat.crm.create_contact("exotel:c1:withheld", caller(None), "Unknown") == made

    async def test_a_name_is_one_line(self, chat: Chat) -> None:
        made = await chat.crm.create_contact("k", caller(), " Asha\n" + "x" * 300)
        assert len(chat.account.users[made.id]["first_name"]) == 255

    async def test_202_is_not_done(self, chat: Chat) -> None:
        chat.account.processing_s = 5
        with pytest.raises(OutcomeUnknown) as error:
            await chat.user()
        assert error.value.status == 202
        assert await chat.crm.find_by_key("contact", "exotel:919876543210", None) is None
        chat.clock.at += 6
        made = await chat.user()
        assert [made.id] == list(chat.account.users)
        assert await chat.crm.find_by_key("contact", "exotel:919876543210", None) == made

    async def test_202_that_can_be_read_at_once(self, chat: Chat) -> None:
        chat.account.tells_ids = False
        assert [(await chat.user()).id] == list(chat.account.users)

    async def test_409_is_the_user_who_is_there(self, chat: Chat) -> None:
        chat.account.unique_users = True
        user = chat.account.add_user({"first_name": "Asha", "phone": "+919876543210"})
        assert (await chat.user()).id == user["id"]

    async def test_409_for_somebody_who_cannot_be_read_yet(self, chat: Chat) -> None:
        chat.account.unique_users, chat.account.search_lag_s = True, 60
        made = await chat.user()
        with pytest.raises(OutcomeUnknown) as error:
            await chat.user()
        assert error.value.status == 409
        chat.clock.at += 61
        assert await chat.user() == made


class TestConversations:
    async def test_what_is_stored(self, chat: Chat) -> None:
        ref = await chat.conversation(replace(WORDS, agent=AGENT))
        stored, (message,) = chat.stored(ref), chat.said(ref)
        assert (stored["status"], stored["assigned_agent_id"], stored["channel_id"]) == ("assigned", AVNISH, TOPIC)
        assert stored["user_id"] == (await chat.user()).id
        assert (message["actor_type"], message["actor_id"], message["message_type"]) == ("agent", AVNISH, "private")
        assert message["message_parts"] == [{"text": {"content": f"{WORDS.text}\n[ref c1:e69d:conversation]"}}]

    async def test_without_an_agent_a_bot_writes(self, chat: Chat) -> None:
        ref = await chat.conversation()
        (message,) = chat.said(ref)
        assert (chat.stored(ref)["status"], message["actor_type"]) == ("new", "bot")
        assert "actor_id" not in message

    async def test_an_agent_who_may_not_write_is_named(self, chat: Chat) -> None:
        chat.account.agents[MANISH]["is_deactivated"] = True
        ref = await chat.conversation()
        for write in (
            chat.conversation(replace(WORDS, agent=OTHER), "k"),
            chat.crm.post_message("k", ref, replace(WORDS, agent=OTHER)),
        ):
            with pytest.raises(Rejected) as error:
                await write
            assert error.value.parts == ("agent",)

    async def test_fields(self, chat: Chat) -> None:
        group = "3d2c1b0a-1111-4222-8333-944455559999"
        fields = {"priority": "High", "cf_exotel_call_sid": " e69d ", "assigned_group_id": group, "cf_none": " "}
        stored = chat.stored(await chat.conversation(replace(WORDS, fields=fields)))
        assert stored["properties"] == {"priority": "High", "cf_exotel_call_sid": "e69d"}
        assert stored["assigned_group_id"] == group

    @pytest.mark.parametrize(("name", "value"), [("cf_none", "x"), ("priority", "high")])
    async def test_refused_fields_are_named(self, chat: Chat, name: str, value: str) -> None:
        with pytest.raises(Rejected) as error:
            await chat.conversation(replace(WORDS, fields={name: value}))
        assert error.value.parts == (f"fields.{name}",)

    async def test_a_user_who_is_gone(self, chat: Chat) -> None:
        gone = Ref("contact", AVNISH)
        assert await chat.crm.find_open_conversation(gone, None) is None
        assert await chat.crm.find_by_key("conversation", "k", gone) is None
        with pytest.raises(NotFound):
            await chat.crm.open_conversation("k", gone, WORDS)

    @pytest.mark.parametrize("channel", ["inbox ", INBOX, INBOX.upper()])
    async def test_the_topic_by_name_and_id(self, channel: str) -> None:
        async with connected(Account(), Clock(), channel=channel) as chat:
            assert chat.stored(await chat.conversation())["channel_id"].lower() == INBOX

    async def test_a_topic_that_was_made_since(self, chat: Chat) -> None:
        topics = [{"id": f"{INBOX[:-2]}{n}", "name": f"Topic {n}", "source": "WEB"} for n in range(10, 70)]
        chat.account.channels[:], ours = topics, chat.account.channels[:1]
        with pytest.raises(Rejected) as error:
            await chat.conversation()
        assert error.value.parts == ("channel",)
        chat.account.channels += ours
        assert chat.stored(await chat.conversation())["channel_id"] == TOPIC

    async def test_an_e_mail_topic_is_refused(self) -> None:
        async with connected(Account(), Clock(), channel="Support mail") as chat:
            with pytest.raises(Rejected, match="answered 400"):
                await chat.conversation()

    async def test_the_link_opens(self, chat: Chat) -> None:
        ref = await chat.conversation(replace(WORDS, text=f"<script>alert(1)</script>\n{RECORDING}"))
        for url in (ref.url or "", f"{chat.url}/"):
            async with chat.client.get(url) as page:
                assert page.status == 200
                assert "<script>" not in await page.text()

    async def test_202_is_looked_for(self, chat: Chat) -> None:
        user = await chat.user()
        chat.account.tells_ids = False
        ref = await chat.crm.open_conversation("k1", user, WORDS)
        assert ref.id in chat.account.conversations
        message = await chat.crm.post_message("k2", ref, WORDS)
        assert (message.id, message.url) == (chat.said(ref)[1]["id"], ref.url)
        chat.fail("ok", only="GET /v2/users")
        chat.account.messages.clear()
        with pytest.raises(OutcomeUnknown):
            await chat.crm._pending("message", "k2", ref)


class TestFindOpenConversation:
    async def test_one_per_agent_and_customer(self, chat: Chat) -> None:
        user = await chat.user()
        mine = await chat.conversation(replace(WORDS, agent=AGENT), "k1")
        his = await chat.conversation(replace(WORDS, agent=OTHER), "k2")
        nobodys = await chat.conversation(WORDS, "k3")
        found = [await chat.crm.find_open_conversation(user, agent) for agent in (AGENT, OTHER, None)]
        assert found == [mine, his, nobodys]

    @pytest.mark.parametrize("oldest_first", [False, True])
    async def test_the_newest_that_is_open(self, chat: Chat, oldest_first: bool) -> None:
        chat.account.oldest_first = oldest_first
        refs = [await chat.conversation(replace(WORDS, agent=AGENT), f"k{n}") for n in range(54)]
        user = await chat.user()
        assert await chat.crm.find_open_conversation(user, AGENT) == refs[-1]
        chat.stored(refs[-1])["status"] = "resolved"
        assert await chat.crm.find_open_conversation(user, AGENT) == refs[-2]
        assert await chat.crm.find_by_key("conversation", "k52", user) == refs[-2]

    @pytest.mark.parametrize("status", ["new", "reopened", "waiting on customer", "waiting on internal team"])
    async def test_open_is_what_is_not_resolved(self, chat: Chat, status: str) -> None:
        ref = await chat.conversation()
        chat.stored(ref)["status"] = status
        assert await chat.crm.find_open_conversation(await chat.user(), None) == ref

    async def test_other_topics_are_left_alone(self, chat: Chat) -> None:
        chat.stored(await chat.conversation())["channel_id"] = INBOX
        assert await chat.crm.find_open_conversation(await chat.user(), None) is None

    async def test_requests(self, chat: Chat) -> None:
        assert not await chat.crm.find_contacts(caller())
        user = await chat.user()
        assert not await chat.crm.find_open_conversation(user, AGENT)
        ref = await chat.crm.open_conversation("k1", user, replace(WORDS, agent=AGENT))
        await chat.crm.post_message("k2", ref, WORDS)
        assert len(chat.requests()) == 10
        assert await chat.crm.find_open_conversation(user, AGENT) == ref
        await chat.crm.post_message("k3", ref, WORDS)
        await chat.crm.post_message("k4", ref, WORDS)
        assert len(chat.requests()) == 14


class TestMessages:
    async def test_customers_may_see_them_where_asked(self, chat: Chat) -> None:
        ref = await chat.conversation()
        made = await chat.crm.post_message("k", ref, replace(WORDS, private=False, agent=AGENT))
        message = chat.said(ref)[1]
        assert (made.id, message["message_type"], message["actor_id"]) == (message["id"], "normal", AVNISH)

    async def test_a_recording_has_a_button(self, chat: Chat) -> None:
        ref = await chat.conversation()
        await chat.crm.post_message("k", ref, Entry(text=f"Call Recording: {RECORDING}\nCall Duration: 00:00:04"))
        text, button = chat.said(ref)[1]["message_parts"]
        assert RECORDING in text["text"]["content"]
        assert button == {"url_button": {"label": "View recording", "url": RECORDING, "target": "_blank"}}

    @pytest.mark.parametrize("text", ["", " \n", "x" * 5000, "नमस्ते 📞", "<b>5</b> & [ref c1:e69d:other]"])
    async def test_texts(self, chat: Chat, text: str) -> None:
        ref = await chat.conversation(Entry(text=text))
        content = chat.said(ref)[0]["message_parts"][0]["text"]["content"]
        assert content.endswith("[ref c1:e69d:conversation]")
        assert text.strip()[:3000] in content
        user = await chat.user()
        assert await chat.crm.find_by_key("conversation", "c1:e69d:conversation", user) == ref
        assert await chat.crm.find_by_key("conversation", "c1:e69d:other", user) is None

    @pytest.mark.parametrize("only_latest", [False, True])
    async def test_not_the_latest_conversation(self, chat: Chat, only_latest: bool) -> None:
        chat.account.only_latest = only_latest
        old = await chat.conversation(WORDS, "k1")
        if not only_latest:
            chat.stored(old)["status"] = "resolved"
        await chat.crm.post_message("k2", old, WORDS)
        new = await chat.conversation(WORDS, "k3")
        with pytest.raises(NotFound):
            await chat.crm.post_message("k4", old, WORDS)
        assert await chat.crm.find_open_conversation(await chat.user(), None) == new

    async def test_the_number_is_no_id(self, chat: Chat) -> None:
        number = str(chat.stored(await chat.conversation())["conversation_internal_id"])
        with pytest.raises(NotFound):
            await chat.crm.post_message("k", Ref("conversation", number), WORDS)
        assert await chat.crm.find_by_key("message", "k", Ref("conversation", number)) is None

    async def test_pages_are_followed(self, chat: Chat) -> None:
        ref = await chat.conversation()
        made = await chat.crm.post_message("c1:e69d:message:1", ref, WORDS)
        fill(chat, ref, 120)
        assert await chat.crm.find_by_key("message", "c1:e69d:message:1", ref) == made
        assert await chat.crm.find_by_key("message", "c1:e69d:message", ref) is None
        fill(chat, ref, 400)
        with pytest.raises(CannotTell):
            await chat.crm.find_by_key("message", "c1:e69d:message:1", ref)

    async def test_without_a_parent(self, chat: Chat) -> None:
        with pytest.raises(CannotTell):
            await chat.crm.find_by_key("message", "k", None)


def fill(chat: Chat, ref: Ref, messages: int) -> None:
    """So many messages of people's."""
    for _ in range(messages):
        chat.account.add_message(chat.stored(ref), {"message_parts": [{"image": {"url": "https://a.example"}}]})


class TestFaults:
    @pytest.mark.parametrize("fault", ["error_after", "reset_after"])
    async def test_an_effect_without_an_answer_is_found(self, chat: Chat, fault: Fault) -> None:
        user = await chat.user()
        chat.fail(fault, only="POST")
        with pytest.raises(OutcomeUnknown):
            await chat.crm.open_conversation("k1", user, WORDS)
        ref = await chat.crm.find_by_key("conversation", "k1", user)
        assert ref
        chat.fail(fault, only="POST")
        with pytest.raises(OutcomeUnknown):
            await chat.crm.post_message("k2", ref, WORDS)
        assert await chat.crm.find_by_key("message", "k2", ref)
        assert chat.account.counts() == {"users": 1, "conversations": 1, "messages": 2}

    async def test_429(self, chat: Chat) -> None:
        chat.account.per_minute = 2
        await chat.user()
        with pytest.raises(RateLimited) as error:
            await chat.user()
        assert error.value.retry_after_s == 60
        chat.clock.at += 60
        await chat.user()


class TestQuota:
    def quota(self, **headers: str) -> Any:
        assert Freshchat.quota_headers is not None
        told = Freshchat.quota_headers.quota({name.replace("_", "-"): value for name, value in headers.items()})
        return {bucket: (quota.remaining, quota.limit, quota.per_s) for bucket, quota in told.items()}

    def test_declared(self) -> None:
        assert Freshchat.limits == {"all": (300, 60.0)}
        assert Freshchat.in_flight == 5

    def test_headers_where_there_are_any(self) -> None:
        assert self.quota(X_RateLimit_Total="200", X_RateLimit_Remaining="41") == {"all": (41, 200, 60)}
        assert self.quota(X_RateLimit_Total="200") == {"all": (None, 200, 60)}
        assert self.quota(X_RateLimit_Total="many", X_RateLimit_Remaining="5") == {}
        assert self.quota() == {}


class TestStandin:
    @pytest.mark.parametrize(
        ("method", "path", "body", "status"),
        [
            ("GET", "users", None, 400),
            ("GET", "users?phone=1", None, 400),
            ("GET", "agents?items_per_page=51", None, 400),
            ("GET", "nothing", None, 404),
            ("PATCH", "users", {}, 405),
            ("POST", "users", [], 400),
            ("POST", "users", {"phone": "98765"}, 400),
            ("POST", "users", {"first_name": ""}, 400),
            ("POST", "users", {"first_name": "A", "phone": "Withheld number"}, 400),
            ("POST", "users", {"first_name": "A", "phone_no": "98765"}, 400),
            ("POST", "users", {"first_name": "A", "properties": [{"name": "a"}]}, 400),
            ("POST", "conversations", {"channel_id": TOPIC, "users": [], "messages": []}, 400),
            ("GET", "users/1", None, 404),
        ],
    )
    async def test_refusals(self, chat: Chat, method: str, path: str, body: Any, status: int) -> None:
        assert (await chat.ask(method, path, body))[0] == status

    @pytest.mark.parametrize(
        ("changes", "status"),
        [
            ({}, 201),
            ({"actor_type": "agent"}, 404),
            ({"actor_id": AVNISH}, 400),
            ({"actor_type": "user", "actor_id": AVNISH}, 404),
            ({"actor_type": "robot"}, 400),
            ({"message_type": "system"}, 400),
            ({"message_parts": []}, 400),
            ({"message_parts": [{"text": {"content": "x" * 4001}}]}, 400),
            ({"message_parts": [{"text": {"content": "x"}, "image": {}}]}, 400),
            ({"message_parts": [{"url_button": {"label": "x", "url": "javascript:x"}}]}, 400),
            ({"channel_id": INBOX}, 400),
        ],
    )
    async def test_messages(self, chat: Chat, changes: dict[str, Any], status: int) -> None:
        ref = await chat.conversation()
        message = {"actor_type": "bot", "message_type": "normal", "message_parts": [{"text": {"content": "x"}}]}
        assert (await chat.ask("POST", f"conversations/{ref.id}/messages", {**message, **changes}))[0] == status

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ({"status": "assigned", "assigned_agent_id": MANISH}, 200),
            ({"status": "resolved", "properties": {"priority": "Low"}}, 200),
            ({"status": "assigned"}, 400),
            ({"assigned_agent_id": MANISH}, 400),
            ({"status": "new", "properties": [{"name": "priority"}]}, 400),
            ({"status": "new", "channel_id": AVNISH}, 404),
        ],
    )
    async def test_changes(self, chat: Chat, body: dict[str, Any], status: int) -> None:
        ref = await chat.conversation()
        assert (await chat.ask("PUT", f"conversations/{ref.id}", body))[0] == status

    async def test_is_driven_from_outside(self, chat: Chat) -> None:
        status, user = await chat.ask("POST", "../_standin/users", {"first_name": "Asha", "phone": "9876543210"})
        assert (status, [ref.id for ref in await chat.crm.find_contacts(caller())]) == (201, [user["id"]])
        assert (await chat.ask("GET", f"users/{user['id']}"))[1]["first_name"] == "Asha"
        ref = await chat.conversation()
        await chat.ask("PUT", f"../_standin/conversations/{ref.id}", {"status": "resolved"})
        assert (await chat.ask("GET", "../_standin/dump"))[1]["conversations"][0]["status"] == "resolved"
        assert (await chat.ask("PUT", "../_standin/conversations/1", {}))[0] == 404
        async with chat.client.get(f"{chat.url}/inbox/1") as page:
            assert page.status == 404

    async def test_as_its_own_process(self) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "standins.freshchat", stdout=asyncio.subprocess.PIPE
        )
        try:
            assert process.stdout
            url = (await process.stdout.readline()).decode().strip()
            async with session(frozenset({"127.0.0.1"})) as client:
                http = CrmHttp(client, Unlimited())
                crm = Freshchat(FreshchatSettings.model_validate({**SETTINGS, "base_url": url}), http, Home("", ""))
                http.bind(crm)
                assert (await crm.check()).missing == ()
        finally:
            process.terminate()
            await process.wait()
