"""The whole service with stand-ins of Exotel and a CRM behind real sockets: calls are placed, callbacks come back."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from connector.cli.main import run as run_command
from connector.kit.exotel import PLAYER, ExotelAccount, exotel_app
from connector.kit.exotel.play import Player
from connector.kit.faults import Faults
from connector.pipeline.completeness.reconcile import Reconciler
from connector.web.keys import BOX, CONFIG, PIPELINE
from tests.databases import config_in
from tests.rig.clock import ManualClock
from tests.rig.crm import first_user, standin_of
from tests.rig.listening import free_port, listening
from tests.rig.service import Service, service
from tests.rig.tenant import AGENT, CALLED, CALLER, HOOK, RUNG, SID, agent, connection, tenant

KEY = "Idempotency-Key"
#: Runs a command: code, output, error.
Run = Callable[..., Awaitable[tuple[int, str, str]]]
#: The agent and the customer as Exotel is told.KEY = "Idempotency-Key"


@dataclass
class Placed(Service):
    """A running service, and what it speaks to."""

    exotel: ExotelAccount
    exotel_faults: Faults
    player: Player
    #: The CRM's account.
    crm: Any

    async def place(self, key: str | None = None, **changes: Any) -> tuple[int, Any]:
        """`POST /api/v1/calls` of the agent to the customer; `key` is the idempotency key."""
        body = {"tenant": SID, "connection": "support", "agent": "agent", "number": CALLER, **changes}
        return await self.ask("POST", "/api/v1/calls", body, {KEY: key} if key else None)

    async def call(self, id_: str, tenant: str | None = None) -> Any:
        """`GET /api/v1/calls/{id}`."""
        status, body = await self.ask("GET", f"/api/v1/calls/{id_}" + (f"?tenant={tenant}" if tenant else ""))
        assert status == 200, body
        return body

    async def done(self, id_: str) -> Any:
        """The placed call once it is over and every delivery of it is done."""

        async def over() -> Any:
            await self.look_for_due()
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
        async with self.client.post(f"/h/{HOOK}/status", data=told) as answer:
            assert answer.status == 200

    async def look(self, seconds: float = 0.0) -> None:
        """Moves the clock, and looks for unsure calls now instead of within seconds."""
        self.clock.advance(seconds)
        await self.app[PIPELINE].unsure.look()

    async def token_of(self, sid: str) -> dict[str, str]:
        """Headers with a token of a user of this tenant."""
        return {"Authorization": f"Bearer {await self.token(sid)}"}


__all__ = ["CALLED", "HOOK", "RUNG", "Placed", "Run", "commands_beside", "placed"]


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
    """A service on the store in `folder`, with a tenant that may call; `changes` go into the tenant.

    `crm_id` None: the agent is the CRM's first user.
    """
    clock = clock or ManualClock()
    exotel = exotel or ExotelAccount(sid=SID, clock=clock.now)
    crm = crm or standin_of(adapter).Account(clock=clock.now)
    faults, port = Faults(), free_port()
    at_exotel = exotel_app(exotel, faults)
    config = replace(config_in(folder), public_url=f"http://127.0.0.1:{port}" if public else None)
    # Each request to Exotel counts here: what reconciling asks by itself has tests of its own.
    alone = mock.patch.object(Reconciler, "running", return_value=contextlib.nullcontext())
    async with (
        listening(at_exotel) as exotel_url,
        listening(standin_of(adapter).standin(crm, Faults())) as crm_url,
    ):
        with alone:
            async with service(config, clock, port=port) as s:

                def told(crm_id: str) -> dict[str, Any]:
                    told = connection(adapter, crm_url, agents=[agent(crm_id, phone=AGENT, outbound=True)])
                    return {"tenants": [tenant(told, hook_token=HOOK, api_url=exotel_url, **changes)]}

                await s.apply(told(crm_id or "agent"))
                if crm_id is None:
                    first = await first_user(s.tenant_now.connections[0], s.app[BOX], config)
                    await s.apply(told(first.id))
                yield Placed(s.client, config, clock, s.operator, exotel, faults, at_exotel[PLAYER], crm)
