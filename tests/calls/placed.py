"""The whole service with stand-ins of Exotel and a CRM behind real sockets: calls are placed, callbacks come back."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import aiohttp
import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer
from sqlalchemy import text

from connector import outbound
from connector.access import users
from connector.app import BOX, CONFIG, DATABASE, DIRECTORIES, PIPELINE, create_app
from connector.cli.main import run as run_command
from connector.exotel.token import new_token
from connector.kit.exotel import PLAYER, ExotelAccount, exotel_app
from connector.kit.exotel.play import Player
from connector.kit.faults import Faults
from connector.pipeline.completeness.reconcile import Reconciler
from connector.store.engine.database import Database
from connector.store.engine.migrate import upgrade
from connector.store.secrets import open_box
from connector.tenants.apply import apply
from connector.tenants.check import make_adapter
from connector.tenants.directory import load
from connector.tenants.file import parse
from tests.databases import config_in
from tests.pipeline.world import AGENT, CALLER, EXOPHONE, SID, ManualClock, standin_of

#: Runs a command: code, output, error.
Run = Callable[..., Awaitable[tuple[int, str, str]]]
KEY = "Idempotency-Key"
#: The agent and the customer as Exotel is told.
RUNG, CALLED = "+919711581199", "+918884643606"
HOOK = "hook-of-exotel535"


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return int(tried.getsockname()[1])


@dataclass
class Placed:
    """A running service, and what it speaks to."""

    app: web.Application
    url: str
    session: aiohttp.ClientSession
    exotel: ExotelAccount
    exotel_faults: Faults
    player: Player
    #: The CRM's account.
    crm: Any
    clock: ManualClock

    async def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """A request to the API with the operator's token."""
        async with self.session.request(method, self.url + path, json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def place(self, key: str | None = None, **changes: Any) -> tuple[int, Any]:
        """`POST /api/v1/calls` of the agent to the customer; `key` is the idempotency key."""
        body = {"tenant": SID, "connection": "support", "agent": "agent", "number": CALLER, **changes}
        return await self.ask("POST", "/api/v1/calls", body, {KEY: key} if key else None)

    async def call(self, id_: str, tenant: str | None = None) -> Any:
        """`GET /api/v1/calls/{id}`."""
        status, body = await self.ask("GET", f"/api/v1/calls/{id_}" + (f"?tenant={tenant}" if tenant else ""))
        assert status == 200, body
        return body

    async def until(self, told: Callable[[], Awaitable[Any]], seconds: float = 20.0) -> Any:
        """The first true answer of `told`."""
        for _ in range(int(seconds / 0.02)):
            if found := await told():
                return found
            await asyncio.sleep(0.02)
        raise AssertionError("it never came")

    async def done(self, id_: str) -> Any:
        """The placed call once it is over and every delivery of it is done."""

        async def over() -> Any:
            found = await self.call(id_)
            rows = found["deliveries"]
            is_done = rows and all(row["state"] == "done" for row in rows)
            return found if is_done and found["call"]["over"] else None

        return await self.until(over)

    def at_exotel(self, token: str) -> str:
        """CallSid of the call that was placed with this token; its record does not tell the token from now on."""
        (sid,) = (row["Sid"] for row in self.exotel.dump()["calls"] if row.get("CustomField") == token)
        call = self.exotel.call(sid)
        assert call is not None
        call.custom_field = None
        return str(sid)

    async def callback(self, call_sid: str, token: str) -> None:
        """The StatusCallback at the end of a call."""
        told = {"CallSid": call_sid, "EventType": "terminal", "Status": "completed", "ConversationDuration": "9"}
        told |= {"From": RUNG, "To": CALLED, "Direction": "outbound-api", "CustomField": token}
        async with self.session.post(f"{self.url}/h/{HOOK}/status", data=told) as answer:
            assert answer.status == 200

    async def rows(self, query: str, **values: Any) -> list[dict[str, Any]]:
        """Rows of the store."""
        return await self.app[DATABASE].read(lambda c: [dict(r) for r in c.execute(text(query), values).mappings()])

    async def look(self, seconds: float = 0.0) -> None:
        """Moves the clock, and looks for unsure calls now instead of within seconds."""
        self.clock.advance(seconds)
        unsure = self.app[PIPELINE].unsure
        await unsure.look()

    async def token_of(self, sid: str) -> dict[str, str]:
        """Headers with a token of a user of this tenant."""

        def made(sql: Any) -> str:
            return users.add_token(sql, users.add_user(sql, new_token(), sid))

        token = await asyncio.to_thread(self.app[DATABASE].transact, made)
        return {"Authorization": f"Bearer {token}"}

    async def apply(self, file: dict[str, Any]) -> None:
        """Applies a tenant file to the running service."""
        parsed = parse(yaml.safe_dump(file), "test.yaml", {})
        await asyncio.to_thread(lambda: apply(parsed, self.app[DATABASE], self.app[BOX]))
        await self.app[DIRECTORIES].refresh()


def commands_beside(p: Placed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command beside the service, as a second process would: code, output, error."""
    config = p.app[CONFIG]
    monkeypatch.setenv("CONNECTOR_DATABASE_URL", config.database_url)
    monkeypatch.setenv("CONNECTOR_PUBLIC_URL", p.url)
    if config.secret_key is not None:
        monkeypatch.setenv("CONNECTOR_SECRET_KEY", config.secret_key)

    async def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = await asyncio.to_thread(run_command, arguments)
        out, err = capsys.readouterr()
        return code, out, err

    return run


def tenant_file(
    exotel_url: str, crm_url: str, adapter: str = "freshdesk", crm_id: str = "agent", **changes: Any
) -> dict[str, Any]:
    """A tenant that may call; `changes` go into the tenant."""
    agent = {"crm_id": crm_id, "name": "Avnish", "email": "avnish@acme.example", "phone": AGENT, "outbound": True}
    connection = {
        "name": "support",
        "adapter": adapter,
        "settings": {**standin_of(adapter).SETTINGS, "base_url": crm_url},
        "agents": [agent],
    }
    tenant = {
        "sid": SID,
        "api_key": "demo_key",
        "api_token": "demo_token",
        "hook_token": HOOK,
        "api_url": exotel_url,
        "exophones": {EXOPHONE: "Support line"},
        "connections": [connection],
        **changes,
    }
    return {"tenants": [tenant]}


@contextlib.asynccontextmanager
async def placed(
    folder: Path,
    adapter: str = "freshdesk",
    *,
    exotel: ExotelAccount | None = None,
    crm: Any = None,
    crm_id: str | None = "agent",
    clock: ManualClock | None = None,
    public: bool = True,
    **changes: Any,
) -> AsyncIterator[Placed]:
    """A service on the store in `folder`; entered twice with the same folder, it is the same after a restart.

    `crm_id` None: the agent is the CRM's first user.
    """
    clock = clock or ManualClock()
    exotel = exotel or ExotelAccount(sid=SID, clock=clock.now)
    crm = crm or standin_of(adapter).Account(clock=clock.now)
    exotel_faults, port = Faults(), free_port()
    exotels = exotel_app(exotel, exotel_faults)
    url = f"http://127.0.0.1:{port}"
    config = replace(config_in(folder), public_url=url if public else None)
    async with (
        TestServer(exotels) as at_exotel,
        TestServer(standin_of(adapter).standin(crm, Faults())) as at_crm,
    ):
        db = Database(config.database_url)
        try:
            db.transact(upgrade)
            urls = str(at_exotel.make_url("/")), str(at_crm.make_url("/"))
            box = open_box(config, db)
            apply(parse(yaml.safe_dump(tenant_file(*urls, adapter, crm_id or "agent", **changes)), "f", {}), db, box)
            if crm_id is None:
                tenant = db.transact(load, box).tenants[SID]
                async with outbound.session(frozenset({"127.0.0.1"})) as client:
                    first, *_ = await make_adapter(client, tenant.connections[0], box, config).list_agents()
                apply(parse(yaml.safe_dump(tenant_file(*urls, adapter, first.id, **changes)), "f", {}), db, box)
            token = db.transact(lambda sql: users.add_token(sql, users.add_user(sql, new_token(), None)))
        finally:
            db.dispose()
        app = create_app(config, clock=clock)
        headers = {"Authorization": f"Bearer {token}"}
        # Each request to Exotel counts here: what reconciling asks by itself has tests of its own.
        alone = mock.patch.object(Reconciler, "running", return_value=contextlib.nullcontext())
        with alone:
            async with TestServer(app, port=port), aiohttp.ClientSession(headers=headers) as session:
                yield Placed(app, url, session, exotel, exotel_faults, exotels[PLAYER], crm, clock)
