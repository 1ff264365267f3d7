"""The API of the stand-in: what `/v2` answers, as strictly as the real one, and what people do.

Sources: docs/reference/freshchat.md, by section in the comments. Where texts disagree, the stricter reading is
taken: what passes here should pass there.

| request | does |
| --- | --- |
| `POST /_standin/users` | adds a user who has been there for long: the list shows him at once |
| `PUT /_standin/conversations/{id}` | changes a conversation as a person would: `status`, `assigned_agent_id` |
"""

import math
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from aiohttp import web
from standins.freshchat import door, pages, rules
from standins.freshchat.rules import invalid, refusal
from standins.freshchat.state import Account, Record

from connector.kit.faults import Faults
from connector.kit.standin import Route, added, answer, changed, json_object, paging, standin_app

_MOST_ROWS = 50
_PAGING = {"page", "items_per_page", "sort_order", "sort_by"}
_FILTERS = {"phone_no", "email", "reference_id", "first_name", "last_name"}
_TIMES = {"created_from", "created_to", "updated_from", "updated_to"}


def standin(account: Account | None = None, faults: Faults | None = None) -> web.Application:
    """A Freshchat account as an aiohttp application: its API, pages for people, and `/_standin/` to drive it."""
    account = account or Account()
    open_routes = [
        *pages.routes(account),
        added("/_standin/users", partial(account.add_user, indexed=True)),
        changed("/_standin/conversations/{id}", account.conversations.get, Record.update),
    ]
    api = _Api(account)
    return standin_app(account, faults, api.routes(), root="/v2", admit=door.admit, open_routes=open_routes)


class _Api:
    def __init__(self, account: Account) -> None:
        self.account = account

    def routes(self) -> Iterable[Route]:
        """Method, path, handler."""
        return (
            ("GET", "/accounts/configuration", self.configuration),
            ("GET", "/agents", self.list_agents),
            ("GET", "/channels", self.list_channels),
            ("GET", "/users", self.list_users),
            ("POST", "/users", self.create_user),
            ("GET", "/users/{id}", self.view_user),
            ("GET", "/users/{id}/conversations", self.list_conversations),
            ("POST", "/conversations", self.create_conversation),
            ("GET", "/conversations/{id}", self.view_conversation),
            ("PUT", "/conversations/{id}", self.update_conversation),
            ("GET", "/conversations/{id}/messages", self.list_messages),
            ("POST", "/conversations/{id}/messages", self.create_message),
        )

    # --- account, agents, channels (§1 and §6) ---

    async def configuration(self, _request: web.Request) -> web.Response:
        return answer({"account_id": 810075555, "account_domain": "acme", "plan_type": "PRO", "datacenter": "in"})

    async def list_agents(self, request: web.Request) -> web.Response:
        return _page(request, "agents", list(self.account.agents.values()))

    async def list_channels(self, request: web.Request) -> web.Response:
        return _page(request, "channels", self.account.channels)

    # --- users (§3) ---

    async def list_users(self, request: web.Request) -> web.Response:
        filters = {name: value for name, value in request.query.items() if name in _FILTERS}
        if not filters and not _TIMES & set(request.query):
            raise invalid("A filter is missing")  # whether one is compulsory is open (§3.1)
        return _page(request, "users", self.account.users_where(filters), _FILTERS | _TIMES)

    async def create_user(self, request: web.Request) -> web.Response:
        body = await _body(request)
        rules.demand(body, rules.USER, ("first_name",))
        if self.account.unique_users and self.account.is_taken(body):
            raise refusal(409, "CONFLICT", "user already exists")
        user = self.account.add_user(body)
        is_done = self.account.tells_ids and not self.account.processing_s
        return answer(user, 201) if is_done else _accepted("User creation request accepted")

    async def view_user(self, request: web.Request) -> web.Response:
        return answer(self.account.user(request.match_info["id"]))

    async def list_conversations(self, request: web.Request) -> web.Response:
        user = self.account.user(request.match_info["id"])
        ids = self.account.conversations_of(user["id"])
        return _page(request, "conversations", [{"id": id_} for id_ in ids])

    # --- conversations (§4) ---

    async def create_conversation(self, request: web.Request) -> web.Response:
        body = await _body(request)
        rules.demand(body, rules.CONVERSATION, ("channel_id", "users", "messages"))
        user = self.account.user(body["users"][0]["id"])
        self._demand_references(body)
        if (body.get("status", "new") == "assigned") != ("assigned_agent_id" in body):
            raise invalid("assigned_agent_id goes with the status assigned")
        for message in body["messages"]:
            self._demand_message(message, user["id"], body["channel_id"])
        values = {name: body[name] for name in body.keys() - {"users", "messages", "app_id", "properties"}}
        row = self.account.add_conversation(values, user["id"], str(request.url.origin()))
        row["properties"] |= body.get("properties", {})
        messages = [self.account.add_message(row, message) for message in body["messages"]]
        if not self.account.tells_ids:
            return _accepted("Conversation creation request accepted")
        shown = {name: row[name] for name in ("conversation_id", "channel_id", "status", "url")}
        return answer({**shown, "messages": messages}, 201)

    async def view_conversation(self, request: web.Request) -> web.Response:
        return answer(self.account.conversation(request.match_info["id"]))

    async def update_conversation(self, request: web.Request) -> web.Response:
        row = self.account.conversation(request.match_info["id"])
        body = await _body(request)
        rules.demand(body, rules.CHANGES, ("status",))
        self._demand_references(body)
        if body["status"] == "assigned" and not {**row, **body}.get("assigned_agent_id", "").strip():
            raise invalid("assigned_agent_id is missing")
        properties = row["properties"] | body.pop("properties", {})
        row.update(body, properties=properties, updated_time=self.account.now())
        return answer(row)

    def _demand_references(self, body: Record) -> None:
        """Agent, channel and properties that a body names are there."""
        agent = body.get("assigned_agent_id", "")
        if agent.strip():
            self.account.agent(agent)
        if "channel_id" in body and body["channel_id"] not in {row["id"] for row in self.account.channels}:
            raise refusal(404, "CHANNEL_NOT_FOUND", "channel not found")
        unknown = body.get("properties", {}).keys() - {"priority", *self.account.properties}
        if unknown:
            raise invalid(f"Conversation payload not valid: {min(unknown)} is not defined")

    # --- messages (§5) ---

    async def list_messages(self, request: web.Request) -> web.Response:
        row = self.account.conversation(request.match_info["id"])
        messages = self.account.messages[row["conversation_id"]][::-1]
        number, size = _paging(request, {"from_time"})
        shown = messages[(number - 1) * size : number * size]
        listed: Record = {"messages": shown}
        if len(messages) > number * size:
            listed["link"] = {"rel": "next", "href": f"{request.path}?page={number + 1}&items_per_page={size}"}
        return answer(listed)

    async def create_message(self, request: web.Request) -> web.Response:
        row = self.account.conversation(request.match_info["id"])
        body = await _body(request)
        rules.demand(body, rules.MESSAGE, ("actor_type", "message_type", "message_parts"))
        self._demand_message(body, row["user_id"], row["channel_id"])
        if not self.account.takes_messages(row):
            raise invalid("The conversation is not the latest conversation of the user")
        message = self.account.add_message(row, body)
        return answer(message, 201) if self.account.tells_ids else _accepted("Message accepted")

    def _demand_message(self, message: Record, user_id: str, channel_id: str) -> None:
        """Who writes may do so, where it is written to. Raises `Refused`."""
        kind, id_ = message["actor_type"], message.get("actor_id")
        if kind == "agent":
            self.account.agent(id_ or "")
        elif kind == "user" and id_ != user_id:
            raise refusal(404, "USER_NOT_FOUND", "the user does not belong to the conversation")
        elif kind in ("bot", "system") and id_ is not None:
            raise invalid("actor_id is for agents and users")
        if kind == "user" and message["message_type"] == "private":
            raise invalid("a user writes no private messages")
        if message.get("channel_id", channel_id) != channel_id:
            raise invalid("the message is of another channel")
        channel = next(row for row in self.account.channels if row["id"] == channel_id)
        if channel["source"] == "EMAIL":
            name = "com.demach.konotor.model.fragment"
            raise invalid(f"{name}.TextFragment cannot be cast to {name}.EmailFragment")


async def _body(request: web.Request) -> Record:
    return await json_object(request, invalid("The body is no JSON object"))


def _accepted(message: str) -> web.Response:
    return answer({"code": 202, "status": "ACCEPTED", "message": message}, 202)


def _page(request: web.Request, name: str, rows: Sequence[Any], known: Iterable[str] = ()) -> web.Response:
    number, size = _paging(request, known)
    pages = max(1, math.ceil(len(rows) / size))
    pagination = {
        "total_items": len(rows),
        "total_pages": pages,
        "current_page": number,
        "items_per_page": size,
    }
    listed: Record = {name: list(rows[(number - 1) * size : number * size]), "pagination": pagination, "links": {}}
    if number < pages:
        listed["links"] = {"next_page": {"href": str(request.rel_url.update_query(page=number + 1))}}
    return answer(listed)


def _paging(request: web.Request, known: Iterable[str] = ()) -> tuple[int, int]:
    unknown = set(request.query) - _PAGING - set(known)
    if unknown:
        raise invalid(f"{min(unknown)} is not known")
    wrong = invalid("page and items_per_page are whole numbers")
    return paging(request, "items_per_page", wrong, default=20, most=_MOST_ROWS)
