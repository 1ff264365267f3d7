"""A restored backup, over real HTTP: what the original wrote after the copy was made is not written again."""

from pathlib import Path

from aiohttp import web
from sqlalchemy import Connection as Sql
from sqlalchemy import select
from standins.freshdesk import SETTINGS, Account, standin

from connector.app import DATABASE, create_app
from connector.config import Config
from connector.kit.faults import Faults
from connector.serve.process import serving
from connector.simulate import play
from connector.simulate.scenarios import SCENARIOS, utc_now
from connector.simulate.target import parse_target
from connector.store import schema
from connector.store.backup import backup
from connector.store.opening import opened
from connector.tenants.apply import apply
from connector.tenants.file import TenantFile
from tests.rig.listening import Server
from tests.rig.waiting import until


def states(sql: Sql) -> list[str]:
    return list(sql.execute(select(schema.delivery.c.state)).scalars())


async def done(app: web.Application) -> None:
    async def is_done() -> bool:
        return await app[DATABASE].read(states) == ["done"]

    await until(is_done, 60)


async def test_a_restored_copy_writes_no_old_call_twice(tmp_path: Path) -> None:
    account, faults = Account(), Faults(odds={"rate_limited": 1.0}, only="POST .*/tickets")

    async def refused() -> bool:
        return faults.dealt["rate_limited"] > 0

    config = Config(database_url=f"sqlite:///{tmp_path}/a.db")
    restored = Config(database_url=f"sqlite:///{tmp_path}/copy.db")
    async with Server(standin(account, faults)) as crm:
        settings = {**SETTINGS, "base_url": str(crm.make_url("")).rstrip("/")}
        tenant = {"sid": "exotel535", "api_key": "k", "api_token": "t", "hook_token": "hook-token"}
        connection = {"name": "desk", "adapter": "freshdesk", "settings": settings}
        with opened(config, make=True) as store:
            apply(
                TenantFile.model_validate({"tenants": [{**tenant, "connections": [connection]}]}), store.db, store.box
            )
        app = create_app(config)
        async with serving(app, "127.0.0.1", 0) as url, play.new_session() as session:
            summary = play.Summary()
            call = SCENARIOS["voicemail"].play(utc_now())
            await play.play(session, parse_target(f"{url}/h/hook-token"), call, summary, speed=1000)
            assert summary.accepted == summary.sent == len(call.requests)
            await until(refused, 60)
            backup(config, tmp_path / "copy.db")
            faults.odds = {}
            await done(app)
        assert (len(account.tickets), len(account.notes)) == (1, 1)

        app = create_app(restored)
        async with serving(app, "127.0.0.1", 0):
            await done(app)
        assert (len(account.tickets), len(account.notes)) == (1, 1)
