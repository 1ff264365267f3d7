"""Access tokens: refreshed once however many ask, kept sealed, shared by connections and processes."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from sqlalchemy import text

from connector.adapter import Grant
from connector.clock import SYSTEM
from connector.errors import AuthFailed, CrmUnavailable, RateLimited
from connector.pipeline.gates.tokens import SharedTokens
from connector.store.engine.database import Database
from connector.store.secrets import SecretBox, open_box
from tests.databases import config_in
from tests.pipeline.world import ManualClock
from tests.rig.listening import Server


class LoginService:
    """A token endpoint: counts refreshes, answers what it is told to."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, str]] = []
        self.delay_s = 0.05
        self.answer: dict[str, Any] = {}
        self.status = 200
        #: Who asks for the first time waits for this.
        self.first_waits_for: asyncio.Event | None = None

    async def handle(self, request: web.Request) -> web.Response:
        assert request.query_string == ""
        self.bodies.append({name: str(value) for name, value in (await request.post()).items()})
        number = len(self.bodies)
        if number == 1 and self.first_waits_for is not None:
            await self.first_waits_for.wait()
        await asyncio.sleep(self.delay_s)
        body = self.answer or {"access_token": f"token-{number}", "expires_in": 3600, "token_type": "Bearer"}
        return web.json_response(body, status=self.status)


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[tuple[LoginService, Database, SecretBox, Grant]]:
    service = LoginService()
    app = web.Application()
    app.router.add_post("/token", service.handle)
    config = config_in(folder)
    db = Database(config.database_url)
    async with Server(app) as server, db.running():
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


async def test_a_machine_whose_clock_is_behind_does_not_refresh_for_each_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stage(tmp_path) as (service, db, box, grant), aiohttp.ClientSession() as client:
        replicas_clock = ManualClock()
        behind = time.time() - 3600
        monkeypatch.setattr("connector.adapter.oauth.time.time", lambda: behind)
        tokens = SharedTokens(db, box, client, replicas_clock)
        assert {await tokens.token(7, grant, None) for _ in range(3)} == {"token-1"}
        assert len(service.bodies) == 1


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


# --- replicas, each with the store opened for itself ---


@asynccontextmanager
async def another(db: Database) -> AsyncIterator[Database]:
    """The same store, opened once more."""
    opened = Database(db.url, single_process=False)
    async with opened.running():
        yield opened


async def asked(service: LoginService, times: int) -> None:
    """Returns once the login service was asked so often."""
    until = time.monotonic() + 30
    while len(service.bodies) < times:
        assert time.monotonic() < until
        await asyncio.sleep(0.01)


async def test_replicas_refresh_once(tmp_path: Path) -> None:
    async with stage(tmp_path) as (service, db, box, grant), another(db) as db_2, aiohttp.ClientSession() as client:
        replicas = [SharedTokens(one, box, client, SYSTEM) for one in (db, db_2)]
        tokens = await asyncio.gather(*(one.token(7, grant, None) for one in replicas for _ in range(10)))
        assert set(tokens) == {"token-1"}
        refused = await asyncio.gather(*(one.token(7, grant, "token-1") for one in replicas for _ in range(10)))
        assert set(refused) == {"token-2"}
        assert len(service.bodies) == 2


_DYING = """
import asyncio, sys
import aiohttp
from connector.adapter import Grant
from connector.clock import SYSTEM
from connector.config import Config
from connector.pipeline.gates.tokens import SharedTokens
from connector.store.engine.database import Database
from connector.store.secrets import open_box

async def main(token_url):
    config = Config.from_env()
    db = Database(config.database_url, single_process=False)
    async with db.running(), aiohttp.ClientSession() as client:
        box = open_box(config, db)
        await SharedTokens(db, box, client, SYSTEM).token(7, Grant(token_url, "client", "s3cret", "refresh-1"), None)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_replica_that_dies_in_mid_refresh_is_followed_by_another(tmp_path: Path) -> None:
    clock = ManualClock()
    async with stage(tmp_path) as (service, db, box, grant), aiohttp.ClientSession() as client:
        service.first_waits_for = asyncio.Event()
        config = config_in(tmp_path)
        env = {**os.environ, "CONNECTOR_DATABASE_URL": config.database_url}
        env |= {"CONNECTOR_SECRET_KEY": config.secret_key} if config.secret_key else {}
        dying = await asyncio.create_subprocess_exec(sys.executable, "-c", _DYING, grant.token_url, env=env)
        try:
            await asked(service, 1)
        finally:
            dying.kill()
            await dying.wait()
        service.first_waits_for.set()
        tokens = SharedTokens(db, box, client, clock)
        waiting = asyncio.create_task(tokens.token(7, grant, None))
        done, _ = await asyncio.wait([waiting], timeout=0.3)
        assert not done, "it waits for whoever refreshes"
        clock.advance(5)
        with pytest.raises(CrmUnavailable):
            await waiting
        assert len(service.bodies) == 1, "the lease of the dead still runs"
        clock.advance(30)
        assert await tokens.token(7, grant, None) == "token-2"


async def test_a_refresh_that_comes_late_is_not_kept(tmp_path: Path) -> None:
    """Frozen between the login service's answer and the store: another replica refreshed meanwhile."""
    clock = ManualClock()
    async with stage(tmp_path) as (service, db, box, grant), another(db) as db_2, aiohttp.ClientSession() as client:
        frozen, other = SharedTokens(db, box, client, clock), SharedTokens(db_2, box, client, clock)
        service.first_waits_for = asyncio.Event()
        late = asyncio.create_task(frozen.token(7, grant, None))
        await asked(service, 1)
        clock.advance(21)
        assert await other.token(7, grant, None) == "token-2"
        service.first_waits_for.set()
        assert await late == "token-2", "what is stored is in force"
        (sealed,) = await db.read(lambda sql: sql.execute(text("select sealed from credential")).one())
        assert box.open(sealed)["token"]["access"] == "token-2"
        assert len(service.bodies) == 2


async def test_a_new_login_in_mid_refresh_stands(tmp_path: Path) -> None:
    async with stage(tmp_path) as (service, db, box, grant), another(db) as db_2, aiohttp.ClientSession() as client:
        service.first_waits_for = asyncio.Event()
        old = asyncio.create_task(SharedTokens(db, box, client, SYSTEM).token(7, grant, None))
        await asked(service, 1)
        fresh = box.seal({"settings": {"client_secret": "s3cret", "refresh_token": "refresh-new"}})
        applied = text("update credential set sealed = :sealed, version = version + 1")
        await asyncio.to_thread(db_2.transact, lambda sql: sql.execute(applied, {"sealed": fresh}))
        service.first_waits_for.set()
        assert await old == "token-2"
        assert [body["refresh_token"] for body in service.bodies] == ["refresh-1", "refresh-new"]
        (sealed,) = await db.read(lambda sql: sql.execute(text("select sealed from credential")).one())
        assert box.open(sealed)["settings"]["refresh_token"] == "refresh-new"
