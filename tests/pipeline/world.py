"""A pipeline with a real store and a CRM's stand-in behind real sockets, on a clock that tests move."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import text

from connector.config import Config
from connector.kit.faults import Faults
from connector.pipeline.calls.accept import Received
from connector.pipeline.delivery.dispatch import SLOTS
from connector.pipeline.service import Pipeline
from connector.store.engine.database import Database
from connector.store.secrets import SecretBox, open_box
from connector.tenants.apply import apply
from connector.tenants.directory import Directories
from connector.tenants.file import TenantFile
from connector.tenants.model import Tenant
from tests.databases import config_in
from tests.rig.clock import ManualClock
from tests.rig.crm import first_user, standin_of
from tests.rig.listening import listening
from tests.rig.tenant import AGENT, CALLER, EXOPHONE, PUBLIC_URL, RECORDING, RUNG, SID, agent, connection, tenant


def tenant_file(
    base_url: str,
    adapter: str = "freshdesk",
    *,
    exotel: str | None = None,
    recording_hosts: Sequence[str] = (),
    **changes: Any,
) -> dict[str, Any]:
    """A tenant with one connection, in the shape of a tenant file; `changes` go into the connection.

    `exotel`: where Exotel is played by somebody else, and `recording_hosts` to where it may redirect.
    """
    told = connection(adapter, base_url, **{"agents": [agent("81007555518")], **changes})
    at_exotel: dict[str, Any] = {"api_url": exotel, "recording_hosts": list(recording_hosts)} if exotel else {}
    return {"tenants": [tenant(told, **at_exotel)]}


__all__ = [
    "AGENT", "CALLER", "EXOPHONE", "PUBLIC_URL", "RECORDING", "SID", "ManualClock", "World", "replica", "standin_of",
    "tenant_file", "world",
]  # fmt: skip


@dataclass
class World:
    """Everything that a pipeline test touches."""

    db: Database
    box: SecretBox
    directories: Directories
    pipeline: Pipeline
    #: The stand-in's account.
    account: Any
    faults: Faults
    clock: ManualClock
    base_url: str

    @property
    def tenant(self) -> Tenant:
        return self.directories.current.tenants[SID]

    async def event(self, sid: str, kind: str, at: float | None = None, /, **params: Any) -> None:
        """Accepts one request, as ingress does after its checks."""
        await self.event_for(None, sid, kind, at, **params)

    async def event_for(
        self, connection_id: str | None, sid: str, kind: str, at: float | None = None, /, **params: Any
    ) -> None:
        """Accepts one request whose URL names a connection."""
        pairs = [("CallSid", sid), *((name.replace("__", "[", 1), str(value)) for name, value in params.items())]
        await self.pipeline.accept(
            Received(
                tenant_id=self.tenant.id,
                call_sid=sid,
                kind=kind,
                method="GET",
                query=urlencode(pairs, errors="surrogatepass"),
                content_type=None,
                body=None,
                params=pairs,
                connection_id=connection_id,
                received_at=self.clock.now() if at is None else at,
            )
        )

    async def missed(self, sid: str, caller: str = CALLER, **more: Any) -> None:
        await self.event(
            sid, "missed", CallFrom=caller, From=caller, To=EXOPHONE, CallTo=EXOPHONE, Direction="incoming",
            CallType="incomplete", DialCallStatus="no-answer", DialWhomNumber=AGENT, **more,
        )  # fmt: skip

    async def answered(self, sid: str, kind: str = "automated_answered", caller: str = CALLER, **more: Any) -> None:
        await self.event(
            sid, kind, CallFrom=caller, From=caller, To=EXOPHONE, CallTo=EXOPHONE, Direction="incoming",
            CallType="completed", DialCallStatus="completed", DialWhomNumber=AGENT,
            **{
                "Legs[0][Number]": AGENT, "Legs[0][OnCallDuration]": 4, "Legs[0][Type]": "single",
                "RecordingUrl": RECORDING, **more,
            },
        )  # fmt: skip

    async def settle(self, seconds: float = 15.0) -> list[dict[str, Any]]:
        """Waits until nothing is due or running at the clock's present time; returns the deliveries."""
        until = time.monotonic() + seconds
        at_work: list[dict[str, Any]] = []
        while time.monotonic() < until:
            rows = await self.rows("select * from delivery where state = 'pending' or owner is not null")
            at_work = [row for row in rows if self._at_work(row)]
            if not at_work:
                return await self.rows("select * from delivery")
            await self.look()
            await asyncio.sleep(0.02)
        raise AssertionError(f"still at work: {at_work[:20]}")

    def _at_work(self, row: dict[str, Any]) -> bool:
        if row["state"] != "pending" or row["owner"] is not None:
            return row["owner"] is not None
        return row["due_at"] <= self.clock.now() and self.pipeline.accounts.room(row["connection_id"]) > 0

    async def look(self) -> None:
        """The look at due rows, now instead of within the second."""
        await self.pipeline.dispatcher.look()

    async def after(self, seconds: float) -> list[dict[str, Any]]:
        """Moves the clock, and settles."""
        self.clock.advance(seconds)
        return await self.settle()

    async def rows(self, query: str, **values: Any) -> list[dict[str, Any]]:
        return await self.db.read(lambda c: [dict(r) for r in c.execute(text(query), values).mappings()])

    async def rows_changed(self, statement: str, **values: Any) -> None:
        await asyncio.to_thread(self.db.transact, lambda c: c.execute(text(statement), values))

    async def apply(self, file: dict[str, Any]) -> None:
        await asyncio.to_thread(apply, TenantFile.model_validate(file), self.db, self.box)
        await self.directories.refresh()

    @property
    def tickets(self) -> list[dict[str, Any]]:
        tickets: dict[int, dict[str, Any]] = self.account.tickets
        return list(tickets.values())

    def notes(self, ticket: dict[str, Any]) -> Sequence[dict[str, Any]]:
        notes: Sequence[dict[str, Any]] = self.account.conversations[ticket["id"]]
        return notes


@contextlib.asynccontextmanager
async def world(
    folder: Path,
    adapter: str = "freshdesk",
    *,
    account: Any = None,
    clock: ManualClock | None = None,
    deliver: bool = True,
    slots: int = SLOTS,
    single_process: bool | None = None,
    public_url: str | None = PUBLIC_URL,
    **changes: Any,
) -> AsyncIterator[World]:
    """A world on the store in `folder`; entered twice with the same folder, it is the same store after a restart.

    `slots`: deliveries at once. `single_process`: False where `replica` adds others; by default as the database has it.
    """
    clock = clock or ManualClock()
    account = account or standin_of(adapter).Account(clock=clock.now)
    faults = Faults()
    config = config_in(folder)
    db = Database(config.database_url, single_process=single_process)
    async with listening(standin_of(adapter).standin(account, faults)) as base_url, db.running():
        box = open_box(config, db)
        directories = Directories(db, box)
        pipeline = Pipeline(
            db,
            box,
            directories,
            home_url=lambda: "http://127.0.0.1:1",
            link_url=lambda _: public_url,
            clock=clock,
            slots=slots,
        )
        made = World(db, box, directories, pipeline, account, faults, clock, base_url)
        if not db.single_process:
            await _outlive_claims(made)
        await made.apply(tenant_file(base_url, adapter, **changes))
        if "agents" not in changes and adapter != "freshdesk":
            await made.apply(tenant_file(base_url, adapter, agents=await _own_agents(made, config), **changes))
        async with directories.running(), pipeline.running(deliver=deliver):
            yield made


@contextlib.asynccontextmanager
async def replica(of: World, *, deliver: bool = True) -> AsyncIterator[World]:
    """Another process's part on the store of a world that has `single_process=False`; the CRM and the clock are one."""
    db = Database(of.db.url, single_process=False)
    async with db.running():
        directories = Directories(db, of.box)
        pipeline = Pipeline(db, of.box, directories, home_url=lambda: "http://127.0.0.1:1", clock=of.clock)
        async with directories.running(), pipeline.running(deliver=deliver):
            yield World(db, of.box, directories, pipeline, of.account, of.faults, of.clock, of.base_url)


async def _outlive_claims(made: World) -> None:
    """Moves the clock past the leases of a process that is gone: nobody takes them before, there may be others."""
    leases = "select lease_until from delivery union all select lease_until from contact"
    (found,) = await made.rows(f"select max(lease_until) as ends from ({leases}) a")
    made.clock.advance(max(0.0, (found["ends"] or 0.0) - made.clock.now()))


async def _own_agents(made: World, config: Config) -> list[dict[str, str]]:
    """The CRM's first user as the agent whom calls ring, as somebody would have mapped him."""
    first = await first_user(made.tenant.connections[0], made.box, config)
    made.account.requests.clear()
    made.account.answers.clear()
    return [{"crm_id": first.id, "name": first.name, "phone": RUNG}]
