"""The whole service with the stand-in of Exotel behind real sockets, on a clock that tests move."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp

from connector.kit.exotel import ExotelAccount, exotel_app
from connector.kit.faults import Faults
from connector.tenants.model import Tenant
from connector.web.keys import DIRECTORIES, PIPELINE
from tests.databases import config_in
from tests.exotel.conftest import KEY, SID, TOKEN
from tests.rig import service as rig
from tests.rig.clock import ManualClock
from tests.rig.listening import listening

HOOK = "hook-of-acme1-0123456789"


@dataclass
class Service(rig.Service):
    """A running service, and the account at Exotel that it speaks to."""

    exotel: ExotelAccount
    faults: Faults

    @property
    def session(self) -> aiohttp.ClientSession:
        return self.client.session

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
        status, body = await self.ask("GET", f"/api/v1/calls/{call_sid}?tenant={SID}")
        assert status == 200
        return [(e["kind"], e["order"]["state"], e["order"]["reason"]) for e in body["events"] if e["order"]]

    async def look(self, seconds: float = 0.0) -> None:
        """Moves the clock, and looks for open orders."""
        self.clock.advance(seconds)
        await self.app[PIPELINE].recorder.look()

    async def change(self, **changes: Any) -> None:
        """Applies the tenant with these changes."""
        tenant = {"sid": SID, "api_key": KEY, "api_token": TOKEN, "hook_token": HOOK, **changes}
        await self.apply({"tenants": [tenant]})


@contextlib.asynccontextmanager
async def service(folder: Path, exotel: ExotelAccount, faults: Faults, **changes: Any) -> AsyncIterator[Service]:
    """A service on the store in `folder`, with one tenant of `exotel`; `changes` go into the tenant."""
    clock = ManualClock()
    exotel.clock = clock.now
    config = replace(config_in(folder), public_url="https://calls.acme.example")
    async with listening(exotel_app(exotel, faults)) as api_url, rig.service(config, clock) as s:
        made = Service(s.client, config, clock, s.operator, exotel, faults)
        await made.change(**{"api_url": api_url, **changes})
        yield made
