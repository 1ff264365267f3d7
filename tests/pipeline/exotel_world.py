"""A world whose tenant has an account at Exotel's stand-in: both tell and are asked over sockets."""

import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connector.kit.exotel.account import ExotelAccount
from connector.kit.exotel.app import exotel_app
from connector.kit.faults import Faults
from connector.pipeline.completeness import statement as statements
from connector.pipeline.completeness.reconcile import Reconciler
from connector.pipeline.completeness.statement import Statement
from connector.store.queries import sweeps
from connector.store.queries.sweeps import Sweep
from tests.pipeline.world import SID, ManualClock, World, tenant_file, world
from tests.rig.listening import listening
from tests.rig.tenant import RUNG

AGENT_E164, EXOPHONE_E164 = RUNG, "+918047494574"


@dataclass
class ExotelWorld:
    """The world, and Exotel's side of it."""

    w: World
    exotel: ExotelAccount
    faults: Faults
    url: str

    @property
    def reconciler(self) -> Reconciler:
        return self.w.pipeline.reconciler

    def asked(self) -> int:
        """Requests that came in at the stand-in, refused ones included."""
        return sum(count for name, count in self.exotel.requests.items() if "/v1/" in name)

    def call(self, sid: str, customer: str = "+918884643606", ago_s: float = 0.0, **facts: Any) -> str:
        """A call that ended `ago_s` before the clock's present time."""
        talk_s = facts.get("talk_s", 20) if facts.get("ending", "answered") == "answered" else 0
        created_at = self.w.clock.now() - ago_s - talk_s - 8
        return self.exotel.add_call(
            {"sid": sid, "customer": customer, "created_at": created_at, "talk_s": talk_s, **facts}
        )

    async def reconcile(self) -> list[dict[str, Any]]:
        """What the job does every 30 s, once, and what comes of it."""
        await self.reconciler.reconcile(self.w.tenant)
        return await self.w.settle(120)

    async def after(self, seconds: float, every_s: float = 30.0) -> list[dict[str, Any]]:
        """Moves the clock on, with the job's turns on the way."""
        until = self.w.clock.now() + seconds
        while self.w.clock.now() < until:
            self.w.clock.advance(min(every_s, until - self.w.clock.now()))
            await self.w.settle(60)
            await self.reconcile()
        return await self.w.settle(60)

    async def statement(self, days_ago: int = 0) -> Statement:
        day = statements.today(self.w.tenant, self.w.clock.now() - 86400 * days_ago)
        return await self.w.db.read(statements.statement, self.w.tenant, day)

    async def looks(self) -> list[dict[str, Any]]:
        return await self.w.rows(
            "select call.call_sid, lacks, stage, due_at from look join call on call.id = call_id order by call_id"
        )

    async def hourly(self) -> Sweep:
        (found,) = await self.w.db.read(sweeps.hourly_sweeps)
        return found


def _noon() -> float:
    """Today about noon in India: hours before and after are of the same day."""
    return time.time() // 86400 * 86400 + 6.5 * 3600


@contextlib.asynccontextmanager
async def exotel_world(
    folder: Path,
    adapter: str = "freshdesk",
    *,
    connections: Sequence[dict[str, Any]] = (),
    clock: ManualClock | None = None,
    exotel: ExotelAccount | None = None,
    account: Any = None,
    deliver: bool = True,
    **changes: Any,
) -> AsyncIterator[ExotelWorld]:
    """`changes` go into the tenant's connection; `connections` are further ones of the tenant."""
    clock = clock or ManualClock(_noon())
    exotel = exotel or ExotelAccount(sid=SID, clock=clock.now)
    faults = Faults()
    async with (
        listening(exotel_app(exotel, faults)) as url,
        world(folder, adapter, clock=clock, account=account, deliver=deliver, **changes) as w,
    ):
        file = tenant_file(w.base_url, adapter, **changes)
        file["tenants"][0]["api_url"] = url
        file["tenants"][0]["connections"] += connections
        await w.apply(file)
        # The tenant came long ago by the clock of the test.
        await w.rows_changed("update tenant set created_at = :at", at=clock.now() - 86400)
        await w.rows_changed("update connection set created_at = :at", at=clock.now() - 86400)
        yield ExotelWorld(w, exotel, faults, url)
