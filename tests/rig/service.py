"""The whole service in this process, behind a real socket: this store, this clock, these tenants."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient
from sqlalchemy import Connection, text

from connector.access import users
from connector.app import create_app
from connector.config import Config
from connector.tenants.apply import apply
from connector.tenants.file import TenantFile
from connector.tenants.model import Tenant
from connector.web.keys import BOX, DATABASE, DIRECTORIES, PIPELINE
from tests.rig.clock import ManualClock
from tests.rig.listening import Server
from tests.rig.tenant import SID
from tests.rig.waiting import until

Client = TestClient[web.Request, web.Application]


@dataclass
class Service:
    """The running service; what else a test speaks to is in its view of it."""

    client: Client
    config: Config
    clock: ManualClock
    #: Headers with the token of an operator.
    operator: dict[str, str]

    until = staticmethod(until)

    @property
    def app(self) -> web.Application:
        """The application that runs."""
        assert self.client.app is not None
        return self.client.app

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end."""
        return str(self.client.make_url("/")).rstrip("/")

    @property
    def tenant_now(self) -> Tenant:
        """The tenant as the service knows it."""
        return self.app[DIRECTORIES].current.tenants[SID]

    async def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """A request to the API, with the operator's token unless `headers` name another; status and body."""
        async with self.client.request(method, path, json=body, headers={**self.operator, **(headers or {})}) as answer:
            return answer.status, await answer.json()

    async def rows(self, query: str, **values: Any) -> list[dict[str, Any]]:
        """Rows of the store."""
        return await self.app[DATABASE].read(lambda c: [dict(r) for r in c.execute(text(query), values).mappings()])

    async def apply(self, file: dict[str, Any]) -> None:
        """Applies a tenant file to the running service."""
        await asyncio.to_thread(apply, TenantFile.model_validate(file), self.app[DATABASE], self.app[BOX])
        await self.app[DIRECTORIES].refresh()

    async def token(self, sid: str | None) -> str:
        """A new API token of a tenant, or of an operator."""

        def made(sql: Connection) -> str:
            return users.add_token(sql, users.add_user(sql, f"tester-{uuid.uuid4().hex[:8]}", sid))

        return await asyncio.to_thread(self.app[DATABASE].transact, made)

    async def look_for_due(self) -> None:
        """Looks for due deliveries now; a replica that shares its store does so each quarter of a minute."""
        await self.app[PIPELINE].dispatcher.look()


@contextlib.asynccontextmanager
async def service(config: Config, clock: ManualClock, *, port: int | None = None) -> AsyncIterator[Service]:
    """`create_app`, served; entered twice with the same store, it is the same service after a restart."""
    async with TestClient(Server(create_app(config, clock=clock), port=port)) as client:
        made = Service(client, config, clock, {})
        made.operator["Authorization"] = f"Bearer {await made.token(None)}"
        yield made
