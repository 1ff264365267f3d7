"""Access tokens: refreshed once however many ask, kept sealed, shared by connections and processes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from sqlalchemy import text

from connector.adapter import Grant
from connector.clock import SYSTEM
from connector.errors import AuthFailed, CrmUnavailable, RateLimited
from connector.pipeline.tokens import SharedTokens
from connector.store.database import Database
from connector.store.migrate import upgrade
from connector.store.secrets import SecretBox, open_box
from tests.databases import config_in


class LoginService:
    """A token endpoint: counts refreshes, answers what it is told to."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, str]] = []
        self.delay_s = 0.05
        self.answer: dict[str, Any] = {}
        self.status = 200

    async def handle(self, request: web.Request) -> web.Response:
        assert request.query_string == ""
        self.bodies.append({name: str(value) for name, value in (await request.post()).items()})
        await asyncio.sleep(self.delay_s)
        body = self.answer or {"access_token": f"token-{len(self.bodies)}", "expires_in": 3600, "token_type": "Bearer"}
        return web.json_response(body, status=self.status)


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[tuple[LoginService, Database, SecretBox, Grant]]:
    service = LoginService()
    app = web.Application()
    app.router.add_post("/token", service.handle)
    config = config_in(folder)
    db = Database(config.database_url)
    async with TestServer(app) as server, db.running():
        await asyncio.to_thread(db.transact, upgrade)
        box = open_box(config, db)
        sealed = box.seal({"settings": {"client_secret": "s3cret", "refresh_token": "refresh-1"}})
        await asyncio.to_thread(
            db.transact,
            lambda sql: (
                sql.execute(
                    text(
                        "insert into tenant (id, sid, settings, secrets, hook_token_hash, created_at, updated_at)"
                        " values (1, 't', '{}', :nothing, 'h', 0, 0)"
                    ),
                    {"nothing": b""},
                ),
                sql.execute(
                    text("insert into credential (id, tenant_id, identity, sealed) values (7, 1, 'i', :sealed)"),
                    {"sealed": sealed},
                ),
            ),
        )
        yield service, db, box, Grant(str(server.make_url("/token")), "client", "s3cret", "refresh-1")


async def test_many_ask_at_once_and_one_refresh_serves_them(tmp_path: Path) -> None:
    async with stage(tmp_path) as (service, db, box, grant), aiohttp.ClientSession() as client:
        processes = [SharedTokens(db, box, client, SYSTEM) for _ in range(3)]
        tokens = await asyncio.gather(*(process.token(7, grant, None) for process in processes for _ in range(10)))
        assert set(tokens) == {"token-1"}
        (sent,) = service.bodies
        assert sent == {
            "grant_type": "refresh_token",
            "client_id": "client",
            "client_secret": "s3cret",
            "refresh_token": "refresh-1",
        }
        (sealed,) = await db.read(lambda sql: sql.execute(text("select sealed from credential")).one())
        assert b"token-1" not in sealed
        assert box.open(sealed)["token"]["access"] == "token-1"


async def test_a_refused_token_is_replaced_once(tmp_path: Path) -> None:
    async with stage(tmp_path) as (service, db, box, grant), aiohttp.ClientSession() as client:
        tokens = SharedTokens(db, box, client, SYSTEM)
        first = await tokens.of(7).token(grant)
        again = await asyncio.gather(*(tokens.of(7).token(grant, refused=first) for _ in range(5)))
        assert set(again) == {"token-2"}
        assert len(service.bodies) == 2


async def test_a_new_refresh_token_is_kept_and_used(tmp_path: Path) -> None:
    async with stage(tmp_path) as (service, db, box, grant), aiohttp.ClientSession() as client:
        service.answer = {"access_token": "a", "expires_in": 1, "refresh_token": "refresh-2", "token_type": "Bearer"}
        await SharedTokens(db, box, client, SYSTEM).token(7, grant, None)
        await SharedTokens(db, box, client, SYSTEM).token(7, grant, "a")
        assert [body["refresh_token"] for body in service.bodies] == ["refresh-1", "refresh-2"]
        version = await db.read(lambda sql: sql.execute(text("select version from config")).scalar_one())
        assert version >= 1, "other processes are told to read the credential anew"


@pytest.mark.parametrize(
    ("status", "answer", "error"),
    [
        (400, {"error": "invalid_grant"}, AuthFailed),
        (200, {"error": "invalid_code"}, AuthFailed),
        (200, {"nothing": 1}, AuthFailed),
        (400, {"error_description": "You have made too many requests continuously."}, RateLimited),
        (429, {"error": "slow"}, RateLimited),
        (503, {"error": "down"}, CrmUnavailable),
    ],
)
async def test_refusals(tmp_path: Path, status: int, answer: dict[str, Any], error: type[Exception]) -> None:
    async with stage(tmp_path) as (service, db, box, grant), aiohttp.ClientSession() as client:
        service.status, service.answer = status, answer
        tokens = SharedTokens(db, box, client, SYSTEM)
        with pytest.raises(error) as raised:
            await tokens.token(7, grant, None)
        assert "s3cret" not in str(raised.value)
        assert "refresh-1" not in str(raised.value)
        service.status, service.answer = 200, {}
        assert await tokens.token(7, grant, None), "the lease was given back: the next one may try"


async def test_an_unreachable_login_service_is_no_verdict(tmp_path: Path) -> None:
    async with stage(tmp_path) as (_service, db, box, _grant), aiohttp.ClientSession() as client:
        grant = Grant("http://127.0.0.1:9/token", "client", "s3cret", "refresh-1")
        with pytest.raises(CrmUnavailable):
            await SharedTokens(db, box, client, SYSTEM).token(7, grant, None)
