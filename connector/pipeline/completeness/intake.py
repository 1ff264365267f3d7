"""Intake: Exotel's records become events of their calls, each once, through the same accept as every request."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from connector.clock import Clock
from connector.exotel import details
from connector.exotel.api import CallRecord
from connector.pipeline.calls.accept import Received
from connector.store.engine.database import Database
from connector.store.queries import sweeps
from connector.tenants.model import Tenant


class Intake:
    """Takes records of one page or list."""

    def __init__(self, db: Database, accept: Callable[[Received], Awaitable[None]], clock: Clock) -> None:
        self._db = db
        self._accept = accept
        self._clock = clock

    async def answers(self, tenant: Tenant, records: Sequence[CallRecord]) -> None:
        """Records of calls that were asked for because they lack something."""
        await asyncio.gather(*(self._event(tenant, record) for record in records))
        await self._bill(tenant, records)

    async def page(self, tenant: Tenant, records: Sequence[CallRecord], *, fill_in: bool = False) -> int:
        """Records of a span of time: calls that nothing had told of are made from them. Returns how many those are.

        A call that is known gets its record only while it lacks something; one that retention has pruned is left alone.
        A connection gets the calls from when it was added on, or with `fill_in` the older ones too.
        """
        if not records:
            return 0
        seen = await self._db.read(sweeps.seen, tenant.id, [record.sid for record in records])
        ages = await self._db.read(sweeps.connection_ages, tenant.id)
        enabled = [connection.id for connection in tenant.connections if connection.enabled]
        made = 0
        events = []
        for record in records:
            known = seen.get(record.sid)
            began = record.created_at.timestamp() if record.created_at is not None else self._clock.now()
            if known is None:
                there = enabled if fill_in else [one for one in enabled if ages.get(one, 0.0) <= began]
                # An event for all of them is one row; which connections came later than the call is rarely asked.
                events += [(record, one) for one in ([None] if there and there == enabled else there)]
                made += bool(there)
            elif known.lacks:
                events.append((record, None))
            if fill_in and known is not None:
                late = [one for one in enabled if one not in known.told and ages.get(one, 0.0) > began]
                events += [(record, one) for one in late]
        await asyncio.gather(*(self._event(tenant, record, one) for record, one in events))
        await self._bill(tenant, records)
        return made

    async def no_recording(self, tenant: Tenant, call_sid: str) -> None:
        """The last look at a call is over, and its recording never came."""
        await self._accept(
            Received(
                tenant_id=tenant.id,
                call_sid=call_sid,
                kind=details.NO_RECORDING,
                method="GET",
                query="",
                content_type=None,
                body=None,
                params=[("CallSid", call_sid)],
                connection_id=None,
                received_at=self._clock.now(),
                source="details",
            )
        )

    async def _event(self, tenant: Tenant, record: CallRecord, connection_id: str | None = None) -> None:
        await self._accept(
            Received(
                tenant_id=tenant.id,
                call_sid=record.sid,
                kind=details.RECORD,
                method="GET",
                query="",
                content_type="application/json",
                body=details.stored(record),
                params=details.params_of(record),
                connection_id=connection_id,
                received_at=self._clock.now(),
                source="details",
            )
        )

    async def _bill(self, tenant: Tenant, records: Sequence[CallRecord]) -> None:
        began = [(tenant.id, record.sid, record.created_at.timestamp()) for record in records if record.created_at]
        await self._db.write(sweeps.mark_billed, began)
