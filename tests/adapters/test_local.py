"""The local desk, adapter and routes, against the contract: over real sockets, with a real store."""

import hashlib
import re
import tempfile
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import Any

from aiohttp import web
from connector_local import LocalDesk
from sqlalchemy import Connection, insert

from connector.adapter import Adapter, Home, Ref
from connector.errors import CrmUnavailable, Rejected
from connector.kit import AdapterSuite, Refusal
from connector.store.engine.database import Database
from connector.store.schema import agent, connection, metadata, revision, tenant
from connector.web.desk import add_desk

TOKENS = {"home-token-of-kit1": "kit1", "home-token-of-kit2": "kit2"}


def sign(text: str) -> str:
    """Stands for `SecretBox.fingerprint`."""
    return hashlib.sha256(b"not secret" + text.encode()).hexdigest()


def make_tables(on: Connection) -> None:
    """The schema, with a tenant and two connections; the first has an agent."""
    metadata.create_all(on)
    row: dict[str, Any] = {"sid": "kit", "settings": "{}", "secrets": b"", "hook_token_hash": "", "created_at": 0}
    on.execute(insert(tenant).values(id=1, updated_at=0, **row))
    for id_ in TOKENS.values():
        of = {"tenant_id": 1, "name": id_, "adapter": "local", "account": "desk", "revision": 1, "created_at": 0}
        on.execute(insert(connection).values(id=id_, **of))
        made = {"settings": "{}", "options": "{}", "created_at": 0, "created_by": "kit"}
        on.execute(insert(revision).values(connection_id=id_, number=1, **made))
    on.execute(insert(agent).values(connection_id="kit1", crm_id="7", name="Avnish", email="a@acme.example"))


def desk_app(**more: Any) -> web.Application:
    """An app with the desk alone, on a database of its own that goes with it; `more` is for `add_desk`."""
    app = web.Application()
    db: list[Database] = []

    async def store(_app: web.Application) -> AsyncIterator[None]:
        with tempfile.TemporaryDirectory() as folder:
            database = Database(f"sqlite:///{Path(folder) / 'desk.db'}")
            database.transact(make_tables)
            async with database.running():
                db.append(database)
                yield

    app.cleanup_ctx.append(store)
    url = "https://connector.example"
    add_desk(app, db=lambda: db[0], authenticate=TOKENS.get, sign=sign, public_url=lambda: url, **more)
    return app


class TestLocalDesk(AdapterSuite):
    adapter = LocalDesk
    refusals = (
        Refusal(422, {"error": {"code": "invalid", "message": "too long", "field": "subject"}}, Rejected, ("subject",)),
        Refusal(422, {"error": {"code": "invalid", "message": "unknown", "field": "assignee"}}, Rejected, ("agent",)),
        Refusal(503, {"error": {"code": "busy", "message": "The store is busy.", "field": None}}, CrmUnavailable),
    )

    def standin(self) -> web.Application:
        return desk_app()

    def home(self, connection: str, url: str) -> Home:
        return Home(url=url or "http://home.example", token=f"home-token-of-{connection}")

    async def read_back(self, adapter: Adapter[Any], ref: Ref) -> str | None:
        if ref.kind != "ticket":
            return None
        ticket = await adapter.http.get(f"tickets/{ref.id}")
        return unescape(re.sub(r"</?p>", "", ticket["subject"] + "\n" + ticket["body_html"]))
