"""The whole service in this process, with the connector's own desk as CRM and a peer for Exotel's recordings."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aiohttp import ClientResponse

from tests.databases import config_in
from tests.recordings.peer import KEY, TOKEN, Peer
from tests.rig.clock import ManualClock
from tests.rig.service import Service, service
from tests.rig.tenant import AGENT, CALLER, EXOPHONE, PUBLIC_URL, SID
from tests.rig.waiting import until

HOOK = "hook-token-of-the-rig"
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@dataclass
class Rig(Service):
    """Everything that a test of links touches."""

    peer: Peer

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

        async def over() -> list[dict[str, Any]]:
            rows = await self.rows("select state, reason, owner, due_at, last_error, warnings from delivery")
            is_at_work = any(r["owner"] or (r["state"] == "pending" and r["due_at"] <= self.clock.now()) for r in rows)
            return [] if is_at_work else rows

        found: list[dict[str, Any]] = await until(over)
        return found

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

    async def change(self, **changes: Any) -> None:
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
        await self.apply({"tenants": [tenant]})


@asynccontextmanager
async def rig(
    folder: Path, peer: Peer, *, clock: ManualClock | None = None, keys: str | None = None, **changes: Any
) -> AsyncIterator[Rig]:
    """A rig on the store in `folder`; `keys`: Fernet keys, newest first."""
    clock = clock or ManualClock()
    config = replace(config_in(folder), secret_key=keys, public_url=PUBLIC_URL)
    async with service(config, clock) as s:
        made = Rig(s.client, config, clock, s.operator, peer)
        await made.change(**changes)
        yield made
