"""A made-up CRM that is desk, sales and chat in one, in memory, and an adapter for it that does all as it should."""

import html
import json
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from aiohttp import web
from pydantic import Field, SecretStr

from connector.adapter import (
    Adapter,
    Agent,
    Caller,
    Chat,
    Checked,
    Desk,
    DeskOptions,
    EditableNotes,
    Entry,
    Files,
    Kind,
    Leads,
    Lookup,
    Owners,
    Ref,
    Sales,
    Settings,
    Tasks,
    stamp,
    stamped,
)
from connector.errors import CannotTell, CrmError, Rejected
from connector.exotel import Call
from connector.kit import AdapterSuite, Refusal

KEY = "toy-key-123"
#: Tasks are found by a search that lags.
LAG_S = 0.4
_UNIQUE = ("contacts", "leads", "tickets", "calls")


def toy_crm() -> web.Application:
    """The CRM: every record is what it was sent as, plus an id; `external_ref` is unique where there is one."""
    records: dict[str, list[dict[str, Any]]] = {}

    @web.middleware
    async def guard(request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("X-Toy-Key") != KEY:
            return web.json_response({"code": "bad_key", "message": "Who are you?"}, status=401)
        answer: web.StreamResponse = await handler(request)
        return answer

    async def workspace(_request: web.Request) -> web.Response:
        return web.json_response({"name": "Acme"})

    async def agents(_request: web.Request) -> web.Response:
        return web.json_response({"agents": [{"id": 81007, "name": "Avnish", "email": "a@acme.example"}]})

    async def find(request: web.Request) -> web.Response:
        now = time.monotonic()
        rows = [row for row in records.get(request.match_info["kind"], []) if row["seen_at"] <= now]
        for name in set(request.query):
            rows = [row for row in rows if str(row.get(name)) in request.query.getall(name)]
        return web.json_response({"rows": rows[::-1]})

    async def get(request: web.Request) -> web.Response:
        return web.json_response(_row(records, request))

    async def post(request: web.Request) -> web.Response:
        kind, body = request.match_info["kind"], await request.json()
        rows = records.setdefault(kind, [])
        known = [row for row in rows if kind in _UNIQUE and row["external_ref"] == body["external_ref"]]
        if known:
            return web.json_response(known[0])
        lag = LAG_S if kind == "tasks" else 0
        id_ = sum(len(each) for each in records.values()) + 1
        row = {
            "state": "open",
            "owner_id": 81007,
            **body,
            "id": id_,
            "seen_at": time.monotonic() + lag,
            "url": f"https://toy.example/{id_}",
        }
        rows.append(row)
        return web.json_response(row, status=201)

    async def put(request: web.Request) -> web.Response:
        row = _row(records, request)
        row.update(await request.json())
        return web.json_response(row)

    app = web.Application(middlewares=[guard])
    app.router.add_get("/v2/workspace", workspace)
    app.router.add_get("/v2/agents", agents)
    app.router.add_get("/v2/{kind}", find)
    app.router.add_post("/v2/{kind}", post)
    app.router.add_get(r"/v2/{kind}/{id:\d+}", get)
    app.router.add_put(r"/v2/{kind}/{id:\d+}", put)
    return app


def _row(records: dict[str, list[dict[str, Any]]], request: web.Request) -> dict[str, Any]:
    for row in records.get(request.match_info["kind"], []):
        if str(row["id"]) == request.match_info["id"]:
            return row
    raise web.HTTPNotFound(text=json.dumps({"code": "gone"}), content_type="application/json")


class ToySettings(Settings):
    domain: str = Field(title="Workspace", pattern=r"^[a-z0-9-]+\.toy\.example$")
    api_key: SecretStr = Field(title="API key")


#: Kind -> collection, and the field that names what a record hangs on.
_PLACES: dict[Kind, tuple[str, str | None]] = {
    "contact": ("contacts", None),
    "lead": ("leads", None),
    "ticket": ("tickets", "contact_id"),
    "note": ("notes", "ticket_id"),
    "call_log": ("calls", "contact_id"),
    "conversation": ("conversations", "contact_id"),
    "message": ("messages", "conversation_id"),
    "task": ("tasks", "contact_id"),
    "file": ("files", "record_id"),
}


class Toy(Adapter[ToySettings], Desk, EditableNotes, Sales, Chat, Tasks, Leads, Owners, Files):
    name, title, settings_model, options_model = "toy", "Toy", ToySettings, DeskOptions
    limits: ClassVar = {"all": (100, 60), "list": (20, 60)}
    lookup: ClassVar[dict[Kind, Lookup]] = {
        "contact": "unique",
        "lead": "unique",
        "ticket": "unique",
        "note": "listing",
        "call_log": "unique",
        "conversation": "listing",
        "message": "listing",
        "task": "search",
        "file": "none",
    }
    findable_after_s = 2.0
    errors: ClassVar[Mapping[tuple[int, str | None], type[CrmError]]] = {(409, "group_closed"): Rejected}

    @property
    def root(self) -> str:
        return self.at(f"https://{self.settings.domain}/v2/")

    @property
    def account(self) -> str:
        return self.settings.domain

    def headers(self) -> dict[str, str]:
        return {"X-Toy-Key": self.settings.api_key.get_secret_value()}

    def error_words(self, body: Any) -> dict[str, str]:
        if not isinstance(body, dict):
            return {}
        rows = [row for row in body.get("errors", []) if isinstance(row, dict)]
        words = {str(row["field"]).replace("assignee", "agent"): str(row["message"]) for row in rows}
        return words or {"": str(body.get("message", ""))}

    async def check(self) -> Checked:
        return Checked((await self.http.get("workspace"))["name"])

    async def list_agents(self) -> list[Agent]:
        rows = (await self.http.get("agents"))["agents"]
        return [Agent(id=str(row["id"]), name=row["name"], email=row["email"]) for row in rows]

    async def find_contacts(self, caller: Caller) -> list[Ref]:
        found = [row for spelling in caller.spellings for row in await self.rows("contact", phone=spelling)]
        return [self.ref("contact", row) for row in found]

    async def create_contact(self, key: str, caller: Caller, name: str) -> Ref:
        return await self.make("contact", key, None, {"name": name, "phone": caller.saved})

    async def create_lead(self, key: str, caller: Caller, name: str) -> Ref:
        return await self.make("lead", key, None, {"name": name, "phone": caller.saved})

    async def find_owner(self, contact: Ref) -> str | None:
        owner = (await self.http.get(f"contacts/{contact.id}"))["owner_id"]
        return None if owner is None else str(owner)

    async def create_ticket(self, key: str, contact: Ref, entry: Entry) -> Ref:
        return await self.make("ticket", key, contact, self.words(entry))

    async def update_ticket(self, key: str, ticket: Ref, entry: Entry, was: str) -> None:
        if (await self.http.get(f"tickets/{ticket.id}"))["subject"] == was:
            await self.http.put(f"tickets/{ticket.id}", self.words(entry))

    async def add_note(self, key: str, ticket: Ref, entry: Entry) -> Ref:
        return await self.make("note", None, ticket, self.note(key, entry))

    async def update_note(self, key: str, note: Ref, entry: Entry) -> None:
        await self.http.put(f"notes/{note.id}", self.note(key, entry))

    async def find_open_ticket(self, contact: Ref) -> Ref | None:
        rows = await self.rows("ticket", contact_id=contact.id, state="open")
        return self.ref("ticket", rows[0]) if rows else None

    async def log_call(self, key: str, contact: Ref, call: Call, entry: Entry) -> Ref:
        return await self.make("call_log", key, contact, {"duration": call.duration_s, **self.words(entry)})

    async def update_call_log(self, key: str, log: Ref, call: Call, entry: Entry) -> None:
        await self.http.put(f"calls/{log.id}", {"duration": call.duration_s, **self.words(entry)})

    async def find_open_conversation(self, contact: Ref, agent: Agent | None) -> Ref | None:
        rows = await self.rows("conversation", contact_id=contact.id, assignee=agent.id if agent else "None")
        return self.ref("conversation", rows[0]) if rows else None

    async def open_conversation(self, key: str, contact: Ref, entry: Entry) -> Ref:
        return await self.make("conversation", None, contact, {**self.words(entry), **self.note(key, entry)})

    async def post_message(self, key: str, conversation: Ref, entry: Entry) -> Ref:
        return await self.make("message", None, conversation, self.note(key, entry))

    async def create_task(self, key: str, contact: Ref, call: Call, entry: Entry) -> Ref:
        return await self.make("task", key, contact, self.words(entry))

    async def attach(self, key: str, to: Ref, name: str, content: bytes, mime: str) -> Ref:
        return await self.make("file", None, to, {"name": name, "size": len(content), "mime": mime})

    async def find_by_key(self, kind: Kind, key: str, parent: Ref | None) -> Ref | None:
        field = _PLACES[kind][1]
        if kind == "file":
            raise CannotTell("Files carry no key.")
        if kind in ("note", "message", "conversation") and parent and field:
            rows = [row for row in await self.rows(kind, **{field: parent.id}) if stamped(key, row["html"])]
        else:
            rows = await self.rows(kind, external_ref=key)
        return self.ref(kind, rows[0]) if rows else None

    async def rows(self, kind: Kind, **query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.http.get(_PLACES[kind][0], query, bucket="list"))["rows"]
        return found

    async def make(self, kind: Kind, key: str | None, parent: Ref | None, body: dict[str, Any]) -> Ref:
        place, field = _PLACES[kind]
        above = {field: int(parent.id)} if field and parent else {}
        carried = {"external_ref": key} if key else {}
        return self.ref(kind, await self.http.post(place, {**above, **carried, **body}))

    def words(self, entry: Entry) -> dict[str, Any]:
        agent = int(entry.agent.id) if entry.agent else None
        return {"subject": entry.subject[:150], "html": entry.html, "assignee": agent, **entry.fields}

    def note(self, key: str, entry: Entry) -> dict[str, Any]:
        return {"html": (entry.html or html.escape(entry.text)) + stamp(key), "private": entry.private}

    def ref(self, kind: Kind, row: dict[str, Any]) -> Ref:
        return Ref(kind=kind, id=str(row["id"]), url=row["url"])


class ToySuite(AdapterSuite):
    """The suite of the toy, and of what is broken of it."""

    adapter = Toy
    settings: ClassVar = {"domain": "acme.toy.example", "api_key": KEY}
    refusals: ClassVar = (
        Refusal(422, {"errors": [{"field": "assignee", "message": "left"}]}, Rejected, ("agent",)),
        Refusal(409, {"code": "group_closed", "message": "closed"}, Rejected),
    )

    def standin(self) -> web.Application:
        return toy_crm()
