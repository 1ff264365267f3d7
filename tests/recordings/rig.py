"""The whole service in this process, with the connector's own desk as CRM and a peer for Exotel's recordings."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy import text

from connector.access import users
from connector.app import BOX, DATABASE, DIRECTORIES, create_app
from connector.config import Config
from connector.tenants.apply import apply
from connector.tenants.file import parse
from tests.pipeline.world import AGENT, CALLER, EXOPHONE, PUBLIC_URL, SID, ManualClock
from tests.recordings.peer import KEY, TOKEN, Peer

HOOK = "hook-token-of-the-rig"
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@dataclass
class Rig:
    """Everything that a test of links touches."""

    client: TestClient[web.Request, web.Application]
    peer: Peer
    clock: ManualClock
    config: Config

    @property
    def app(self) -> web.Application:
        app = self.client.app
        assert app is not None
        return app

    async def call(self, call_sid: str = "sid1", name: str = "c1.mp3", **more: str) -> str:
        """An answered call with a recording; the path of the link that the desk's note has."""
        facts = {
            "CallSid": call_sid,
            "CallFrom": CALLER,
            "From": CALLER,
            "To": EXOPHONE,
            "Direction": "incoming",
            "CallType": "completed",
            "DialCallStatus": "completed",
            "DialWhomNumber": AGENT,
            "Legs[0][Number]": AGENT,
            "Legs[0][OnCallDuration]": "4",
            "RecordingUrl": self.peer.recording(SID, name),
            **more,
        }
        answer = await self.client.get(f"/h/{HOOK}/automated_answered", params=facts)
        assert answer.status == 200, await answer.text()
        await self.done()
        return self.path_in(await self.note(call_sid))

    async def done(self) -> list[dict[str, Any]]:
        """Waits until no delivery is due."""
        until = time.monotonic() + 20
        while time.monotonic() < until:
            rows = await self.rows("select state, reason, owner, due_at, last_error, warnings from delivery")
            if rows and not any(
                r["owner"] or (r["state"] == "pending" and r["due_at"] <= self.clock.now()) for r in rows
            ):
                return rows
            await asyncio.sleep(0.02)
        raise AssertionError(f"still at work: {rows}")

    async def note(self, call_sid: str = "sid1") -> str:
        """The desk's note on the recording."""
        rows = await self.rows(
            "select body from desk_note where external_ref like :ref", ref=f"%:{call_sid}:note:recording"
        )
        (row,) = rows
        return str(row["body"])

    @staticmethod
    def path_in(note: str) -> str:
        """The path of the link in a note."""
        match = re.search(r'href="https?://[^/"]+(/r/[^"]+)"', note)
        assert match is not None, note
        return match[1]

    async def get(self, path: str, **headers: str) -> ClientResponse:
        """A request with these headers (`Range`, `If_Range`, ...)."""
        return await self.client.get(path, headers={n.replace("_", "-"): v for n, v in headers.items()})

    async def page(self, path: str, **headers: str) -> ClientResponse:
        """The same from a browser."""
        return await self.get(path, **BROWSER, **headers)

    async def rows(self, query: str, **values: Any) -> list[dict[str, Any]]:
        return await self.app[DATABASE].read(lambda c: [dict(r) for r in c.execute(text(query), values).mappings()])

    async def apply(self, **changes: Any) -> None:
        """Puts the tenant in place; `changes` go into it."""
        options = changes.pop("options", {})
        connection = {"name": "desk", "adapter": "local", "options": options}
        tenant = {
            "sid": SID,
            "api_key": KEY,
            "api_token": TOKEN,
            "hook_token": HOOK,
            "api_url": self.peer.url,
            "connections": [connection],
            **changes,
        }
        file = parse(yaml.safe_dump({"tenants": [tenant]}), "test.yaml", {})
        await asyncio.to_thread(lambda: apply(file, self.app[DATABASE], self.app[BOX]))
        await self.app[DIRECTORIES].refresh()

    async def token(self, name: str, sid: str | None) -> str:
        """A new API token of this tenant, or of an operator."""

        def add() -> str:
            return self.app[DATABASE].transact(lambda sql: users.add_token(sql, users.add_user(sql, name, sid)))

        return await asyncio.to_thread(add)


@asynccontextmanager
async def rig(
    folder: Path, peer: Peer, *, clock: ManualClock | None = None, keys: str | None = None, **changes: Any
) -> AsyncIterator[Rig]:
    """A rig on the store in `folder`; `keys`: Fernet keys, newest first."""
    clock = clock or ManualClock()
    config = Config(database_url=f"sqlite:///{folder}/c.db", secret_key=keys, public_url=PUBLIC_URL)
    async with TestClient(TestServer(create_app(config, clock=clock))) as client:
        made = Rig(client, peer, clock, config)
        await made.apply(**changes)
        yield made
