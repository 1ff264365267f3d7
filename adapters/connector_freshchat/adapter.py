"""Freshchat: users, conversations and messages; a call is a message in the conversation of customer and agent.

API: v2, https://developers.freshchat.com/api/, as docs/reference/freshchat.md has it. Auth: an admin's API
token, Bearer. Limits: none documented; those below are the reference's advice (§8), until headers tell better.
Quirks: a message can be neither edited nor deleted; numbers are compared literally, so each spelling is a request of
its own; a user's conversations are listed as bare ids, in an order that nobody tells; 202 means "not done yet"; a
message into a conversation that a newer one followed is a 400; a wrong host is a 404.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field, SecretStr

from connector.adapter import (
    Adapter,
    Agent,
    Caller,
    Chat,
    ChatOptions,
    Checked,
    Entry,
    Kind,
    Probe,
    QuotaHeaders,
    Ref,
    Settings,
    agent_of,
    below,
    given_to,
    link,
    one_line,
    own_host,
    pasted,
)
from connector.errors import NotFound, OutcomeUnknown, Rejected
from connector_freshchat.lists import FIRST, LISTS, message_with, newest
from connector_freshchat.wire import NOT_LATEST, code_of, conversation_fields, is_number, parts, same_phone, words_of

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class FreshchatSettings(Settings):
    """What a tenant enters to connect a Freshchat account."""

    domain: Annotated[
        str,
        pasted(
            ".freshchat.com",
            ".myfreshworks.com",
            refusal="must be the account's own name, such as acme-123456-ab12cd.freshchat.com",
        ),
    ] = Field(
        title="Freshchat domain",
        description="As Admin settings > API tokens shows it: acme-123456-ab12cd.freshchat.com/v2",
        pattern=own_host(r"(\.[a-z]{2,3})?\.(freshchat|myfreshworks)\.com"),
    )
    api_key: SecretStr = Field(
        title="API token", description="Freshchat > Admin settings > API tokens > Generate token", min_length=1
    )


class FreshchatOptions(ChatOptions):
    """Options of a Freshchat connection."""

    #: Topic that calls are kept under, by its name or its id.
    channel: str = Field(default="Phone-Exotel", min_length=1, max_length=255)


class Freshchat(Adapter[FreshchatSettings], Chat):
    name, title = "freshchat", "Freshchat"
    settings_model, options_model = FreshchatSettings, FreshchatOptions
    #: Exotel's instructions: numbers are saved with ten digits, without the country code (§3.1).
    find_by: ClassVar = ("national", "e164", "digits", "trunk_zero")
    save_as = "national"
    limits: ClassVar = {"all": (300, 60.0)}
    #: The reference advises five requests a second; each call makes its own one after the other.
    in_flight = 5
    lookup: ClassVar = {"contact": "search", "conversation": "listing", "message": "listing"}
    findable_after_s = 10.0
    errors: ClassVar = {(400, NOT_LATEST): NotFound, (404, "AGENT_NOT_FOUND"): Rejected}
    #: None are documented (§8). Its sister products have these; where an account's answers have them, they hold.
    quota_headers = QuotaHeaders()
    options: FreshchatOptions

    @property
    def root(self) -> str:
        return self.at(f"https://{self.settings.domain}/v2/")

    @property
    def account(self) -> str:
        return self.settings.domain

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.settings.api_key.get_secret_value()}"}

    def error_code(self, body: Any) -> str | None:
        return code_of(body)

    def error_words(self, body: Any) -> Mapping[str, str]:
        return words_of(body)

    async def check(self) -> Checked:
        host, probe = self.settings.domain, Probe(self.http)
        lacks = "The token may not list agents: enter them by hand, or make one with the scope agent:read."
        absent = f"There is no Freshchat account at {host}."
        await probe.wanted("agents", {"page": "1", "items_per_page": "1"}, lacks=lacks, absent=absent)
        wanted = self.options.channel
        topics = [row async for row in LISTS.rows(self.http, "channels", name="channels")]
        topic = _topic(wanted, topics)
        if topic is None:
            known = ", ".join(f"`{row.get('name')}`" for row in topics[:10]) or "none"
            lacks = f"There is no topic `{wanted}`: make it, or name another in options.channel ({known})."
            probe.missing.append(lacks)
        elif topic.get("enabled") is False:
            probe.missing.append(f"The topic `{wanted}` is switched off: calls cannot be written there.")
        elif "email" in str(topic.get("source")).casefold():
            probe.missing.append(f"The topic `{wanted}` is one of e-mails, which takes no chat messages.")
        told = await self.http.read("accounts/configuration", accept=(403, 404))
        name = told.body.get("account_domain") if told.status == 200 and isinstance(told.body, dict) else None
        return probe.checked(f"{name} ({host})" if name and name != host else host)

    async def list_agents(self) -> list[Agent]:
        rows = [row async for row in LISTS.rows(self.http, "agents", name="agents")]
        gone = ("is_deactivated", "is_deleted")
        rows = [row for row in rows if not any(row.get(name) for name in gone)]
        return [agent_of(row, "phone", name="first_name last_name") for row in rows]

    async def find_contacts(self, caller: Caller) -> list[Ref]:
        # A filter takes one spelling: the likeliest comes first, and one that is known ends the search.
        for spelling in filter(is_number, caller.spellings):
            rows = [row for row in await self._users("phone_no", spelling) if same_phone(row.get("phone"), spelling)]
            if rows:
                rows.sort(key=lambda row: str(row.get("created_time") or ""), reverse=True)
                return [Ref("contact", row["id"]) for row in rows]
        return []

    async def create_contact(self, key: str, caller: Caller, name: str) -> Ref:
        if known := await self._user_with(key):
            return known
        first_name = one_line(name, otherwise="Unknown")
        body = {"first_name": first_name, "reference_id": key}
        if is_number(caller.saved):
            body["phone"] = caller.saved
        elif (text := one_line(caller.text)) != first_name:
            body["last_name"] = text  # `sip:alice`, `Withheld number`: the field for numbers is left to numbers
        made = await self.http.write("POST", "users", body, accept=(409,))
        if made.status in (202, 409):  # not made yet, or made by somebody else: it is what can be read that counts
            found = await self._user_with(key)
            if found is None and made.status == 409:
                found = next(iter(await self.find_contacts(caller)), None)
            if found is None:
                raise _pending("user", made.status)
            return found
        return Ref("contact", made.body["id"])

    async def find_open_conversation(self, contact: Ref, agent: Agent | None) -> Ref | None:
        channel = ""
        async for row in newest(self.http, contact.id):
            if row["status"] == "resolved" or (row.get("assigned_agent_id") or None) != (agent.id if agent else None):
                continue
            channel = channel or await self._channel()
            if row["channel_id"] == channel:
                return _conversation(row)
        return None

    async def open_conversation(self, key: str, contact: Ref, entry: Entry) -> Ref:
        channel = await self._channel()
        body = {
            "status": "assigned" if entry.agent else "new",
            "channel_id": channel,
            "users": [{"id": contact.id}],
            "messages": [{**_message(key, entry), "channel_id": channel}],
            **given_to("assigned_agent_id", entry),
            **conversation_fields(entry.fields),
        }
        # One request and not two, with a PUT that assigns: between them a conversation could be lost sight of.
        made = await self.http.write("POST", "conversations", body)
        if isinstance(made.body, dict) and made.body.get("conversation_id"):
            return _conversation(made.body)
        return await self._pending("conversation", key, contact)

    async def post_message(self, key: str, conversation: Ref, entry: Entry) -> Ref:
        made = await self.http.write("POST", f"conversations/{conversation.id}/messages", _message(key, entry))
        if isinstance(made.body, dict) and made.body.get("id"):
            return Ref("message", made.body["id"], conversation.url)
        return await self._pending("message", key, conversation)

    async def find_by_key(self, kind: Kind, key: str, parent: Ref | None) -> Ref | None:
        if kind == "contact":
            return await self._user_with(key)
        parent = below(kind, parent)
        if parent.kind == "conversation":
            message = await message_with(self.http, key, parent.id)
            return Ref("message", message, parent.url) if message else None
        async for row in newest(self.http, parent.id):
            if await message_with(self.http, key, row["conversation_id"]):
                return _conversation(row)
        return None

    async def _users(self, name: str, value: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = (await self.http.get("users", {name: value, **FIRST}))["users"]
        return rows

    async def _user_with(self, key: str) -> Ref | None:
        rows = [row for row in await self._users("reference_id", key) if row.get("reference_id") == key]
        return Ref("contact", rows[0]["id"]) if rows else None

    async def _channel(self) -> str:
        """The id of the topic that calls are kept under. Raises `Rejected` where there is none of that name."""
        wanted = self.options.channel
        if _UUID.fullmatch(wanted):
            return wanted.lower()
        known = await self.http.known("channels", FIRST)
        topic = _topic(wanted, known.body["channels"])
        if topic is None:  # on a later page, or made since
            topic = _topic(wanted, [row async for row in LISTS.rows(self.http, "channels", name="channels")])
        if topic is None:
            raise Rejected(f"Freshchat has no topic `{wanted}` (options.channel).", parts=("channel",))
        return str(topic["id"])

    async def _pending(self, kind: Kind, key: str, parent: Ref) -> Ref:
        """What a write made that was answered without an id (202). Raises `OutcomeUnknown` while it is not there."""
        found = await self.find_by_key(kind, key, parent)
        if found is None:
            raise _pending(kind, 202)
        return found


def _pending(what: str, status: int) -> OutcomeUnknown:
    return OutcomeUnknown(f"Freshchat took the {what}, which cannot be read yet.", status=status)


def _message(key: str, entry: Entry) -> dict[str, Any]:
    # Without an agent the message is a bot's, which needs no id, as in Freshworks' own client (§5, §6).
    actor = {"actor_type": "agent", "actor_id": entry.agent.id} if entry.agent else {"actor_type": "bot"}
    return {**actor, "message_type": "private" if entry.private else "normal", "message_parts": parts(key, entry)}


def _conversation(row: Mapping[str, Any]) -> Ref:
    return Ref("conversation", row["conversation_id"], link(row.get("url")))


def _topic(wanted: str, topics: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """The topic of this name, or with this id."""
    told = wanted.strip().casefold()
    return next((row for row in topics if told in (str(row.get("name")).strip().casefold(), row["id"])), None)
