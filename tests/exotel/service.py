"""The whole service with the stand-in of Exotel behind real sockets, on a clock that tests move."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer
from sqlalchemy import Connection, text

from connector.access.users import add_token, add_user
from connector.app import BOX, DATABASE, DIRECTORIES, PIPELINE, create_app
from connector.kit.exotel import ExotelAccount, exotel_app
from connector.kit.faults import Faults
from connector.tenants.apply import apply
from connector.tenants.file import parse
from connector.tenants.model import Tenant
from tests.databases import config_in
from tests.exotel.conftest import KEY, SID, TOKEN
from tests.pipeline.world import ManualClock

HOOK = "hook-of-acme1-0123456789"


@dataclass
class Service:
    """A running service, and what it speaks to."""

    app: web.Application
    url: str
    session: aiohttp.ClientSession
    exotel: ExotelAccount
    faults: Faults
    clock: ManualClock

    @property
    def tenant(self) -> Tenant:
        return self.app[DIRECTORIES].current.tenants[SID]

    async def hook(self, event: str, call_sid: str, **params: Any) -> int:
        """One request of Exotel's flow; its status."""
        query = {"CallSid": call_sid, **{name: str(value) for name, value in params.items()}}
        async with self.session.get(f"{self.url}/h/{HOOK}/{event}", params=query) as answer:
            return answer.status

    async def orders(self, call_sid: str) -> list[tuple[str, str, str | None]]:
        """Orders to record of a call, as the API shows them: kind, state, reason."""
        async with self.session.get(f"{self.url}/api/v1/calls/{call_sid}", params={"tenant": SID}) as answer:
            assert answer.status == 200
            events = (await answer.json())["events"]
        return [(e["kind"], e["order"]["state"], e["order"]["reason"]) for e in events if e["order"]]

    async def until(self, told: Callable[[], Awaitable[Any]], seconds: float = 20.0) -> Any:
        """The first true answer of `told`."""
        for _ in range(int(seconds / 0.02)):
            if found := await told():
                return found
            await asyncio.sleep(0.02)
        raise AssertionError("it never came")

    async def look(self, seconds: float = 0.0) -> None:
        """Moves the clock, and looks for open orders."""
        self.clock.advance(seconds)
        await self.app[PIPELINE].recorder.look()

    async def apply(self, **changes: Any) -> None:
        """Applies changes of the tenant to the running service."""
        tenant = {"sid": SID, "api_key": KEY, "api_token": TOKEN, "hook_token": HOOK, **changes}
        file = parse(yaml.safe_dump({"tenants": [tenant]}), "test.yaml", {})
        db = self.app[DATABASE]
        await asyncio.to_thread(apply, file, db, self.app[BOX])
        await self.app[DIRECTORIES].refresh()

    async def rows(self, query: str) -> list[dict[str, Any]]:
        return await self.app[DATABASE].read(lambda c: [dict(row) for row in c.execute(text(query)).mappings()])


@contextlib.asynccontextmanager
async def service(folder: Path, exotel: ExotelAccount, faults: Faults, **changes: Any) -> AsyncIterator[Service]:
    """A service on the store in `folder`, with one tenant of `exotel`; `changes` go into the tenant."""
    clock = ManualClock()
    exotel.clock = clock.now
    config = replace(config_in(folder), public_url="https://calls.acme.example")
    app = create_app(config, clock=clock)
    async with TestServer(exotel_app(exotel, faults)) as at_exotel, TestServer(app) as server:
        api_url = str(at_exotel.make_url("")).rstrip("/")
        token = await asyncio.to_thread(app[DATABASE].transact, _token)
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
            made = Service(app, str(server.make_url("")).rstrip("/"), session, exotel, faults, clock)
            await made.apply(**{"api_url": api_url, **changes})
            yield made


def _token(sql: Connection) -> str:
    """A token of an operator who may read."""
    return add_token(sql, add_user(sql, f"tester-{uuid.uuid4().hex[:8]}", None))
