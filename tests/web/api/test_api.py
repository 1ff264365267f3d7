"""The API over a real socket and a real store: who sees what, and what is refused."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
from aiohttp import web
from sqlalchemy import Connection, select, text

from connector.acts.calls import read_event
from connector.acts.office import Office
from connector.clock import SYSTEM
from connector.config import Config
from connector.errors import StoreBusy
from connector.pipeline.delivery.replay import Replayed, ReplayWish
from connector.pipeline.service import Pipeline
from connector.store import schema
from connector.store.engine.database import Database
from connector.store.queries import views
from connector.store.secrets import SecretBox
from connector.tenants.directory import Directories
from connector.tenants.masking import Mask
from connector.tenants.model import Directory
from connector.web.answers import json_errors
from connector.web.api.routes import OPERATIONS, add_api
from connector.web.keys import CLOCK, DATABASE, OFFICE
from tests.web.stored import AT, MINE, PRUNED, SECRETS, THEIRS, TOKENS, call_sid, filled
from tests.web.stubs import Client, StubDirectories, client_of, tenant

pytestmark = pytest.mark.usefixtures("both_databases")


@dataclass
class StubReplay:
    """Keeps what was asked for."""

    asked: list[tuple[ReplayWish, bool]] = field(default_factory=list)
    was: dict[str, str] = field(default_factory=lambda: {"subject": "a"})

    async def replay(self, wish: ReplayWish, *, dry_run: bool = False) -> list[Replayed]:
        self.asked.append((wish, dry_run))
        change = {
            "slot": "ticket",
            "kind": "ticket",
            "action": "update",
            "was": self.was,
            "now": {"subject": "b"},
        }
        return [Replayed(call_sid(1), "support", "c1", [change], queued=not dry_run)]


@dataclass
class Api:
    client: Client
    db: Database
    replay: StubReplay
    directories: StubDirectories

    async def get(self, path: str, token: str | None = TOKENS.operator, **params: str) -> tuple[int, Any]:
        async with self.client.get(path, params=params, headers=bearer(token)) as answer:
            return answer.status, await answer.json()

    async def ask(self, method: str, path: str, token: str | None, asked: dict[str, Any]) -> tuple[int, Any]:
        """Whatever the method, `asked` where it belongs."""
        if method in ("POST", "PUT"):
            return await self.send(method, path, asked, token)
        async with self.client.request(method, path, params=asked, headers=bearer(token)) as answer:
            return answer.status, await answer.json()

    async def post(self, path: str, body: Any, token: str | None = TOKENS.operator) -> tuple[int, Any]:
        return await self.send("POST", path, body, token)

    async def send(self, method: str, path: str, body: Any, token: str | None = TOKENS.operator) -> tuple[int, Any]:
        async with self.client.request(method, path, json=body, headers=bearer(token)) as answer:
            return answer.status, await answer.json()


def bearer(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    db, replay = filled(tmp_path), StubReplay()
    app = web.Application(middlewares=[json_errors])
    add_api(app)
    directories = StubDirectories(tenant(MINE, 1), tenant(THEIRS, 2, hook="other"))
    box, means = cast(SecretBox, None), cast(Pipeline, replay)
    async with db.running():
        app[DATABASE] = db
        app[CLOCK] = SYSTEM
        app[OFFICE] = Office(Config(), db, box, cast(Directories, directories), SYSTEM, means)
        async with client_of(app) as client:
            yield Api(client, db, replay, directories)


def sids(body: Any, name: str = "calls") -> list[str]:
    return [row["call_sid"] for row in body[name]]


def refused(answer: tuple[int, Any]) -> tuple[int, str, str | None]:
    status, body = answer
    assert body["error"]["message"]
    return status, body["error"]["code"], body["error"]["field"]


class TestWhoSeesWhat:
    """Every route, for nobody, for a stranger, for those who may."""

    #: Requests of each operation for what belongs to the tenant MINE.
    ASKED: ClassVar[tuple[tuple[str, str, dict[str, Any]], ...]] = (
        ("GET", "/api/v1/calls", {"tenant": MINE}),
        ("GET", f"/api/v1/calls/{call_sid(1)}", {"tenant": MINE}),
        ("GET", "/api/v1/deliveries", {"tenant": MINE}),
        ("POST", "/api/v1/calls", {"tenant": MINE, "connection": "support", "agent": "1", "number": "08884643606"}),
        ("GET", "/api/v1/agents", {"tenant": MINE}),
        ("PUT", "/api/v1/agents", {"tenant": MINE, "connection": "support", "agents": []}),
        ("GET", "/api/v1/devices", {"tenant": MINE, "agent": "a@acme.example"}),
        ("PUT", "/api/v1/devices", {"tenant": MINE, "agent": "a@acme.example", "on": True}),
        ("POST", "/api/v1/replay", {"tenant": MINE, "call_sid": call_sid(1)}),
        ("DELETE", f"/api/v1/recordings/{call_sid(1)}", {"tenant": MINE}),
        ("GET", "/api/v1/recordings", {"tenant": MINE}),
        ("POST", "/api/v1/agents/sync", {"tenant": MINE}),
        ("GET", "/api/v1/statement", {"tenant": MINE}),
        ("GET", "/metrics", {}),
    )

    def test_every_operation_is_walked(self) -> None:
        walked = {(method, path.replace(call_sid(1), "{call_sid}")) for method, path, _ in self.ASKED}
        of_nobody = {("GET", "/api/v1/adapters")}
        assert walked | of_nobody == {(one.method, one.path) for one in OPERATIONS} | {("GET", "/metrics")}

    async def test_what_is_installed_is_for_whoever_has_a_token(self, api: Api) -> None:
        assert refused(await api.get("/api/v1/adapters", None)) == (401, "unauthorized", None)
        _, body = await api.get("/api/v1/adapters", TOKENS.stranger)
        (local,) = [one for one in body["adapters"] if one["name"] == "local"]
        assert (local["title"], local["settings"]) == ("Local desk", ["base_url"])
        assert "Desk" in local["families"]

    @pytest.mark.parametrize(("method", "path", "asked"), ASKED)
    @pytest.mark.parametrize("token", [None, "", "ctk_wrong", TOKENS.revoked, "operator"])
    async def test_no_token(self, api: Api, method: str, path: str, asked: dict[str, str], token: str | None) -> None:
        answer = await api.ask(method, path, token, asked)
        assert refused(answer) == (401, "unauthorized", None)
        async with api.client.request(method, path) as raw:
            assert raw.headers["WWW-Authenticate"].startswith("Bearer")

    @pytest.mark.parametrize(("method", "path", "asked"), ASKED)
    async def test_a_strangers_token(self, api: Api, method: str, path: str, asked: dict[str, str]) -> None:
        stranger = TOKENS.stranger
        answer = await api.ask(method, path, stranger, asked)
        assert refused(answer)[:2] == (404, "not_found")
        assert api.replay.asked == []

    async def test_a_stranger_lists_what_is_its_own(self, api: Api) -> None:
        assert sids((await api.get("/api/v1/calls", TOKENS.stranger))[1]) == [call_sid(8), call_sid(7)]
        _, deliveries = await api.get("/api/v1/deliveries", TOKENS.stranger)
        assert sids(deliveries, "deliveries") == [call_sid(8), call_sid(7)]
        _, found = await api.get("/api/v1/calls", TOKENS.stranger, number="09711581191")
        assert sids(found) == []
        own = f"/api/v1/calls/{call_sid(7)}"
        assert (await api.get(own, TOKENS.stranger))[0] == 200
        assert (await api.get(f"/api/v1/calls/{call_sid(1)}", TOKENS.stranger))[0] == 404

    async def test_scopes(self, api: Api) -> None:
        assert (await api.get("/api/v1/calls", TOKENS.reader))[0] == 200
        answer = await api.post("/api/v1/replay", {"tenant": MINE, "call_sid": call_sid(1)}, TOKENS.reader)
        assert refused(answer) == (403, "forbidden", None)
        for method, path, asked in self.ASKED[3:4] + self.ASKED[5:6] + self.ASKED[7:8]:
            assert refused(await api.send(method, path, asked, TOKENS.reader)) == (403, "forbidden", None)

    @pytest.mark.parametrize("path", ["/healthz", "/readyz", "/api/v1/openapi.json"])
    async def test_open_on_purpose(self, api: Api, path: str) -> None:
        assert (await api.get(path, None))[0] == 200

    async def test_headers(self, api: Api) -> None:
        for path in ("/healthz", "/api/v1/calls", "/nothing"):
            async with api.client.get(path, headers=bearer(TOKENS.operator)) as answer:
                assert answer.headers["Cache-Control"] == "no-store"
                assert answer.headers["X-Content-Type-Options"] == "nosniff"


class TestCalls:
    async def test_newest_first_by_pages(self, api: Api) -> None:
        for asked in ({}, {"tenant": MINE}):
            seen: list[str] = []
            cursor: dict[str, str] = {}
            while True:
                status, body = await api.get("/api/v1/calls", **asked, **cursor, limit="2")
                assert status == 200
                seen += sids(body)
                if body["next_cursor"] is None:
                    break
                cursor = {"cursor": body["next_cursor"]}
            assert seen == [call_sid(n) for n in range(6 if asked else 8, 0, -1)]

    @pytest.mark.parametrize("number", ["09711581192", "9711581192", "+919711581192", " 919711581192"])
    async def test_by_number_in_any_spelling(self, api: Api, number: str) -> None:
        for asked in ({}, {"tenant": MINE}):
            assert sids((await api.get("/api/v1/calls", number=number, **asked))[1]) == [call_sid(2)]

    @pytest.mark.parametrize(
        "since",
        ["2026-01-01T00:07:00Z", "2026-01-01T00:07:00", "2026-01-01T05:37:00+05:30", "2026-01-01T05:37:00 05:30"],
    )
    async def test_since(self, api: Api, since: str) -> None:
        assert sids((await api.get("/api/v1/calls", since=since))[1]) == [call_sid(8), call_sid(7)]

    async def test_an_item(self, api: Api) -> None:
        _, body = await api.get("/api/v1/calls", tenant=MINE)
        first, *_, last = body["calls"]
        assert last["customer_number"] == "+919711581191"
        assert last["outcome"] == "missed"
        assert last["created_at"] == "2026-01-01T00:01:00Z"
        assert last["started_at"] == "2026-01-01T00:00:00Z"
        assert (first["call_sid"], first["tenant"], first["outcome"]) == (call_sid(6), MINE, None)

    async def test_details(self, api: Api) -> None:
        status, body = await api.get(f"/api/v1/calls/{call_sid(4)}", tenant=MINE)
        assert status == 200
        assert body["call"]["call_sid"] == call_sid(4)
        (event,) = body["events"]
        assert (event["kind"], event["source"], event["received_at"]) == ("missed", "exotel", "2026-01-01T00:04:00Z")
        assert event["facts"]["customer_number"] == "+919711581194"
        assert event["facts"]["occurred_at"] == "2026-01-01T00:00:00Z"
        assert event["raw"]["CallSid"] == call_sid(4)
        (delivery,) = body["deliveries"]
        assert {
            "connection": "support",
            "adapter": "freshdesk",
            "state": "dead",
            "reason": "rejected",
            "attempts": 2,
            "warnings": ["the agent was left out"],
            "due_at": None,
        }.items() <= delivery.items()
        assert body["records"] == [
            {
                "connection": "support",
                "slot": "ticket",
                "kind": "ticket",
                "id": "1004",
                "url": "https://acme.freshdesk.com/a/tickets/1004",
                "state": "done",
                "warning": None,
                "error": None,
            }
        ]

    async def test_what_is_left_of_a_pruned_call(self, api: Api) -> None:
        status, body = await api.get(f"/api/v1/calls/{PRUNED}", tenant=MINE)
        assert status == 200
        of_call = {name: value for name, value in body["call"].items() if value not in (None, [])}
        assert of_call == {
            "tenant": MINE,
            "call_sid": PRUNED,
            "created_at": "2026-01-01T00:00:00Z",
            "pruned_at": "2026-04-01T00:00:00Z",
        }
        assert (body["events"], body["deliveries"]) == ([], [])
        records = [(one["connection"], one["slot"], one["kind"], one["id"], one["state"]) for one in body["records"]]
        assert records == [
            ("removed", "note:recording", "note", "901", "pruned"),
            ("support", "ticket", "ticket", "900", "pruned"),
        ]
        assert body["records"][1]["url"] == "https://acme.freshdesk.com/a/900"
        assert refused(await api.get(f"/api/v1/calls/{PRUNED}", tenant=THEIRS)) == (404, "not_found", "call_sid")
        _, listed = await api.get("/api/v1/calls", tenant=MINE)
        assert PRUNED not in [one["call_sid"] for one in listed["calls"]]

    async def test_a_call_that_came_up_again_shows_its_old_records_too(self, api: Api) -> None:
        insert = "insert into call (id, tenant_id, call_sid, created_at) values (1000, 1, :sid, 0)"
        await asyncio.to_thread(api.db.transact, lambda sql: sql.execute(text(insert), {"sid": PRUNED}))
        _, body = await api.get(f"/api/v1/calls/{PRUNED}", tenant=MINE)
        assert body["call"]["pruned_at"] is None
        assert [one["id"] for one in body["records"]] == ["901", "900"]

    async def test_a_call_that_no_database_can_look_for(self, api: Api) -> None:
        assert refused(await api.get("/api/v1/calls/call%00", tenant=MINE)) == (404, "not_found", None)

    async def test_echoed_credentials_are_hidden(self, api: Api) -> None:
        async with api.client.get(
            f"/api/v1/calls/{call_sid(4)}", params={"tenant": MINE}, headers=bearer(TOKENS.operator)
        ) as answer:
            body = await answer.text()
        assert "hooks.example" in body
        assert not [secret for secret in SECRETS if secret in body]

    @pytest.mark.parametrize(
        ("params", "expected"),
        [
            ({"since": "yesterday"}, (400, "invalid", "since")),
            ({"limit": "0"}, (400, "invalid", "limit")),
            ({"cursor": "!!!"}, (400, "invalid", "cursor")),
            ({"cursor": "WzFd"}, (400, "invalid", "cursor")),
            ({"number": "0888\0"}, (400, "invalid", "number")),
            ({"tennant": MINE}, (400, "invalid", "tennant")),
            ({"tenant": "nobody"}, (404, "not_found", "tenant")),
        ],
    )
    async def test_refused(self, api: Api, params: dict[str, str], expected: tuple[int, str, str]) -> None:
        assert refused(await api.get("/api/v1/calls", **params)) == expected

    async def test_one_that_is_not_there(self, api: Api) -> None:
        assert refused(await api.get("/api/v1/calls/nothing", tenant=MINE)) == (404, "not_found", "call_sid")
        assert refused(await api.get(f"/api/v1/calls/{call_sid(1)}")) == (400, "invalid", "tenant")


class TestMaskedNumbers:
    """A tenant that masks customers' numbers: whole ones are for tokens that say so."""

    @pytest.fixture(autouse=True)
    def masking(self, api: Api) -> None:
        masked = replace(tenant(MINE, 1), mask=Mask(4), exophones={"+918047494574": "Support line"})
        api.directories.current = Directory.of(2, [masked, tenant(THEIRS, 2, hook="other")])

    @pytest.mark.parametrize("token", [TOKENS.mine, TOKENS.operator, TOKENS.reader])
    async def test_lists_and_details_show_the_last_digits(self, api: Api, token: str) -> None:
        _, body = await api.get("/api/v1/calls", token, tenant=MINE)
        assert [call["customer_number"] for call in body["calls"]] == [None, *(f"…119{n}" for n in (5, 4, 3, 2, 1))]
        _, body = await api.get(f"/api/v1/calls/{call_sid(4)}", token, tenant=MINE)
        assert body["call"]["customer_number"] == body["events"][0]["facts"]["customer_number"] == "…1194"
        assert body["events"][0]["raw"]["CallFrom"] == "…1194"
        assert body["events"][0]["raw"]["CallSid"] == call_sid(4)
        assert "971158119" not in json.dumps(body)

    async def test_a_token_with_the_scope_sees_them(self, api: Api) -> None:
        _, body = await api.get("/api/v1/calls", TOKENS.numbers)
        assert body["calls"][-1]["customer_number"] == "+919711581191"
        _, body = await api.get(f"/api/v1/calls/{call_sid(4)}", TOKENS.numbers)
        assert body["events"][0]["facts"]["customer_number"] == "+919711581194"

    async def test_an_unfolded_call_tells_nothing_either(self, api: Api) -> None:
        _, body = await api.get(f"/api/v1/calls/{call_sid(6)}", TOKENS.mine)
        assert body["events"][0]["raw"]["CallFrom"] == "…1196"

    async def test_calls_are_found_by_a_whole_number_all_the_same(self, api: Api) -> None:
        _, body = await api.get("/api/v1/calls", TOKENS.mine, number="09711581192")
        assert sids(body) == [call_sid(2)]

    async def test_another_tenants_numbers_are_no_concern_of_it(self, api: Api) -> None:
        _, body = await api.get("/api/v1/calls", TOKENS.operator, tenant=THEIRS)
        assert body["calls"][0]["customer_number"] == "+919711581198"

    async def test_a_preview_of_a_replay(self, api: Api) -> None:
        api.replay.was = {"subject": "Missed call from 09711581191", "text": "Order 97115 81191, agent 08047494574"}
        asked = {"tenant": MINE, "call_sid": call_sid(1), "dry_run": True}
        shown_to = [await api.post("/api/v1/replay", asked, token) for token in (TOKENS.mine, TOKENS.numbers)]
        hidden, whole = [body["calls"][0]["changes"][0]["was"] for _, body in shown_to]
        assert hidden == {"subject": "Missed call from …1191", "text": "Order …1191, agent 08047494574"}
        assert whole == api.replay.was


def test_an_event_that_is_no_request_of_exotels_is_shown_as_it_is() -> None:
    row = views.EventRow("linked", "agent", "support", "POST", "a=1", None, b"", AT)
    assert read_event(row, "IN").facts is None
    row = views.EventRow("dance", "exotel", None, "GET", "a=1", None, None, AT)
    event = read_event(row, "IN")
    assert (event.kind, event.facts, event.raw) == ("dance", None, {"a": "1"})


class TestDeliveries:
    @pytest.mark.parametrize(
        ("state", "numbers"), [("done", [5, 1]), ("dead", [8, 4]), ("retrying", [6, 2]), ("pending", [7, 6, 3, 2])]
    )
    async def test_by_state(self, api: Api, state: str, numbers: list[int]) -> None:
        _, body = await api.get("/api/v1/deliveries", state=state)
        assert sids(body, "deliveries") == [call_sid(n) for n in numbers]
        _, body = await api.get("/api/v1/deliveries", state=state, tenant=MINE)
        assert sids(body, "deliveries") == [call_sid(n) for n in numbers if n <= 6]

    async def test_by_pages(self, api: Api) -> None:
        _, body = await api.get("/api/v1/deliveries", limit="5")
        _, rest = await api.get("/api/v1/deliveries", limit="5", cursor=body["next_cursor"])
        assert sids(body, "deliveries") + sids(rest, "deliveries") == [call_sid(n) for n in range(8, 0, -1)]
        assert rest["next_cursor"] is None

    async def test_an_item(self, api: Api) -> None:
        _, body = await api.get("/api/v1/deliveries", state="retrying", tenant=MINE)
        assert body["deliveries"][0]["due_at"] == "2026-01-01T00:00:00Z"
        assert body["deliveries"][0]["tenant"] == MINE

    async def test_refused(self, api: Api) -> None:
        assert refused(await api.get("/api/v1/deliveries", state="lost")) == (400, "invalid", "state")


class TestRecordings:
    @pytest.fixture(autouse=True)
    def recorded(self, api: Api) -> None:
        def insert(sql: Connection) -> None:
            for number in range(1, 6):
                row = {"tenant_id": 1, "call_id": number, "url": f"https://x/{number}.mp3", "name": f"0{number}"}
                sql.execute(schema.recording.insert().values(**row, state="ready", size=number))

        api.db.transact(insert)

    async def test_by_pages(self, api: Api) -> None:
        _, body = await api.get("/api/v1/recordings", tenant=MINE, limit="3")
        _, rest = await api.get("/api/v1/recordings", tenant=MINE, limit="3", cursor=body["next_cursor"])
        assert sids(body, "recordings") + sids(rest, "recordings") == [call_sid(n) for n in range(5, 0, -1)]
        assert rest["next_cursor"] is None

    async def test_an_item(self, api: Api) -> None:
        await api.ask("DELETE", f"/api/v1/recordings/{call_sid(1)}", TOKENS.mine, {})
        _, body = await api.get("/api/v1/recordings", TOKENS.mine)
        first = body["recordings"][-1]
        assert first.pop("withdrawn_at")
        assert first == {
            "call_sid": call_sid(1),
            "call_at": "2026-01-01T00:01:00Z",
            "state": "ready",
            "bytes": 1,
            "open_until": "2026-01-31T00:01:00Z",
        }
        assert [one["withdrawn_at"] for one in body["recordings"][:-1]] == [None] * 4

    async def test_refused(self, api: Api) -> None:
        assert refused(await api.get("/api/v1/recordings")) == (400, "invalid", "tenant")


class TestReplay:
    async def test_of_one_call(self, api: Api) -> None:
        status, body = await api.post("/api/v1/replay", {"tenant": MINE, "call_sid": call_sid(1)})
        assert status == 200
        assert body["calls"][0]["queued"] is True
        assert api.replay.asked == [(ReplayWish(1, call_sid(1)), False)]
        audited = await api.db.read(lambda sql: sql.execute(select(schema.audit.c.who, schema.audit.c.what)).all())
        assert [tuple(row) for row in audited] == [("api:1", "replay")]

    async def test_of_a_span_dry(self, api: Api) -> None:
        asked = {"tenant": MINE, "from": "2026-01-01T00:00:00Z", "to": "2026-01-02", "connection": "support"}
        status, body = await api.post("/api/v1/replay", {**asked, "dry_run": True, "recreate": True})
        assert status == 200
        assert body["calls"][0]["changes"][0]["action"] == "update"
        wish = ReplayWish(1, since=AT, until=AT + 86400, connection_id="c1", recreate=True)
        assert api.replay.asked == [(wish, True)]
        assert await api.db.read(lambda sql: sql.execute(select(schema.audit.c.id)).all()) == []

    @pytest.mark.parametrize(
        ("asked", "expected"),
        [
            ({"call_sid": call_sid(1)}, (400, "invalid", "tenant")),
            ({"tenant": MINE}, (400, "invalid", None)),
            ({"tenant": MINE, "call_sid": "a", "from": "2026-01-01"}, (400, "invalid", None)),
            ({"tenant": MINE, "from": "2026-01-02", "to": "2026-01-01"}, (400, "invalid", None)),
            ({"tenant": MINE, "from": "soon"}, (400, "invalid", "from")),
            ({"tenant": MINE, "call_sid": call_sid(1), "dryrun": True}, (400, "invalid", "dryrun")),
            ({"tenant": MINE, "call_sid": call_sid(1), "connection": "x"}, (400, "unknown_connection", "connection")),
            ({"tenant": MINE, "call_sid": call_sid(8)}, (404, "not_found", "call_sid")),
            ({"tenant": MINE, "call_sid": PRUNED}, (410, "pruned", "call_sid")),
            ({"tenant": THEIRS, "call_sid": PRUNED}, (404, "not_found", "call_sid")),
            ({"tenant": "nobody", "call_sid": call_sid(8)}, (404, "not_found", "tenant")),
            ([1], (400, "invalid", None)),
        ],
    )
    async def test_refused(self, api: Api, asked: Any, expected: tuple[int, str, str | None]) -> None:
        assert refused(await api.post("/api/v1/replay", asked)) == expected
        assert api.replay.asked == []

    async def test_unreadable_and_too_large(self, api: Api) -> None:
        for body, status, code in ((b"{", 400, "unreadable"), (b"x" * 70_000, 413, "too_large")):
            async with api.client.post("/api/v1/replay", data=body, headers=bearer(TOKENS.operator)) as answer:
                assert (answer.status, (await answer.json())["error"]["code"]) == (status, code)


class TestHealth:
    async def test_metrics(self, api: Api) -> None:
        async with api.client.get("/metrics", headers=bearer(TOKENS.operator)) as answer:
            assert answer.content_type == "text/plain"
            lines = (await answer.text()).splitlines()
        assert all(line.startswith(("connector_", "# HELP connector_", "# TYPE connector_")) for line in lines)
        assert 'connector_backlog{adapter="freshdesk",reason="rejected",state="dead"} 2.0' in lines
        assert 'connector_backlog{adapter="freshdesk",reason="retrying",state="pending"} 2.0' in lines
        assert 'connector_gates{adapter="freshdesk",state="paused"} 1.0' in lines
        assert 'connector_gates{adapter="freshdesk",state="open"} 1.0' in lines
        assert any(line.startswith('connector_oldest_due_seconds{adapter="freshdesk"}') for line in lines)
        # Of four pending ones three wait for a paused account.
        assert 'connector_due_deliveries{adapter="freshdesk"} 1.0' in lines
        assert not [line for line in lines if MINE in line or "support" in line]

    async def test_a_store_that_does_not_answer(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        async def busy(*_args: Any) -> None:
            raise StoreBusy("The store cannot take it now.")

        monkeypatch.setattr(api.db, "read", busy)
        assert (await api.get("/healthz", None))[0] == 200
        for path in ("/readyz", "/api/v1/calls"):
            async with api.client.get(path, headers=bearer(TOKENS.operator)) as answer:
                assert answer.status == 503
                assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("change", "due"),
    [
        ("update gate set paused = false", 4),
        ("update connection set enabled = false", 0),
        ("update delivery set due_at = due_at + 100", 0),
        ("update delivery set owner = 'r', lease_until = due_at + 100", 0),
        ("update delivery set owner = 'r', lease_until = due_at - 1", 1),
        ("insert into gate (account, paused, open_until, updated_at) values ('account2', false, 9e9, 0)", 0),
        ("insert into gate (account, paused, open_until, updated_at) values ('account2', false, 1, 0)", 1),
    ],
)
def test_due_is_what_more_replicas_would_help(tmp_path: Path, change: str, due: int) -> None:
    db = filled(tmp_path)
    db.transact(lambda sql: sql.execute(text(change)))
    rows = db.transact(views.backlog, AT + 10)
    assert sum(row.due for row in rows) == due
    assert max(row.oldest_due_s for row in rows) == (10 if due else 0)
    assert sum(row.count for row in rows) == 6
    db.dispose()


@pytest.mark.parametrize("both_databases", ["sqlite"], indirect=True)
@pytest.mark.parametrize("state", ["pending", "retrying", "dead"])
@pytest.mark.parametrize("tenant_id", [None, 1])
def test_states_are_found_by_their_indexes(tmp_path: Path, state: views.DeliveryFilter, tenant_id: int | None) -> None:
    db = filled(tmp_path)
    plans: list[str] = []

    class Explaining:
        """Takes a query's plan in place of its rows."""

        def __init__(self, sql: Connection) -> None:
            self._sql = sql

        def execute(self, query: Any) -> list[Any]:
            compiled = query.compile(self._sql.engine, compile_kwargs={"literal_binds": True})
            plans.extend(row[-1] for row in self._sql.exec_driver_sql(f"explain query plan {compiled}"))
            return []

    db.transact(lambda sql: views.deliveries(cast(Connection, Explaining(sql)), tenant_id, state=state))
    db.dispose()
    index = "ix_delivery_dead" if state == "dead" else "ix_delivery_due"
    assert any(index in plan for plan in plans), plans
