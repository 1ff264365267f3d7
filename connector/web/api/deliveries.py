"""Deliveries: listed, and written again."""

from typing import Any, Literal

from aiohttp import web
from pydantic import Field, model_validator

from connector.acts import deliveries as acts
from connector.acts.asker import Asker
from connector.store.queries.views import DeliveryFilter
from connector.web.api.asking import new_cursor, read_cursor
from connector.web.api.shapes import Asked, PageAsked, Shown, Sid, Utc
from connector.web.keys import OFFICE


class DeliveriesAsked(PageAsked):
    """Which deliveries."""

    state: DeliveryFilter | None = Field(default=None, description="`retrying` are those pending for that reason.")


class ReplayAsked(Asked):
    """Which calls are planned anew under the newest options: one, or those first heard of in a span."""

    tenant: Sid
    call_sid: Sid | None = None
    from_: Utc | None = Field(default=None, alias="from")
    to: Utc | None = Field(default=None, description="Up to this time; now where it is left out.")
    connection: str | None = Field(default=None, description="Name of the one connection; all enabled ones without it.")
    dry_run: bool = Field(default=False, description="Only tell what would be written; no CRM is asked.")
    recreate: bool = Field(default=False, description="Make records anew that people deleted in the CRM.")

    @model_validator(mode="after")
    def _names_calls(self) -> "ReplayAsked":
        if (self.call_sid is None) == (self.from_ is None):
            raise ValueError("give either call_sid or from")
        if self.to is not None and (self.from_ is None or self.to < self.from_):
            raise ValueError("to belongs to an earlier from")
        return self


class DeliveryOut(Shown):
    """One call for one connection. `due_at`: when it is looked at next, where it is pending."""

    connection: str
    adapter: str
    state: Literal["pending", "done", "dead"]
    reason: str | None
    attempts: int
    last_error: str | None
    warnings: list[str]
    due_at: Utc | None
    updated_at: Utc


class ListedDelivery(DeliveryOut):
    """A delivery in a list."""

    tenant: str
    call_sid: str | None


class Deliveries(Shown):
    """A page of deliveries, newest first."""

    deliveries: list[ListedDelivery]
    next_cursor: str | None


class ChangeOut(Shown):
    """What a replay writes, or would write: the entry as it was sent last, and as it is now."""

    slot: str
    kind: str
    action: str
    was: Any = None
    now: Any = None


class ReplayedCall(Shown):
    """One call for one connection; no changes and not queued: nothing differs."""

    call_sid: str
    connection: str
    queued: bool
    changes: list[ChangeOut]


class Replay(Shown):
    """What a replay does."""

    dry_run: bool
    calls: list[ReplayedCall]


async def list_deliveries(request: web.Request, asker: Asker, asked: DeliveriesAsked) -> Deliveries:
    """Deliveries, newest first."""
    before = read_cursor(asked.cursor, int)
    wish = acts.ListDeliveries(asked.tenant, asked.state, before[0] if before else None, asked.limit)
    found = await acts.list_deliveries(request.app[OFFICE], asker, wish)
    return Deliveries(
        deliveries=[ListedDelivery.model_validate(one) for one in found],
        next_cursor=new_cursor(found[-1].id) if len(found) == asked.limit else None,
    )


async def replay(request: web.Request, asker: Asker, asked: ReplayAsked) -> Replay:
    """Plans calls anew under the newest options and writes what differs, or with `dry_run` only tells."""
    wish = acts.WriteAgain(
        asked.tenant,
        asked.call_sid,
        since=asked.from_.timestamp() if asked.from_ else None,
        until=asked.to.timestamp() if asked.to else None,
        connection=asked.connection,
        dry_run=asked.dry_run,
        recreate=asked.recreate,
    )
    found = await acts.replay(request.app[OFFICE], asker, wish)
    return Replay(dry_run=asked.dry_run, calls=[ReplayedCall.model_validate(one) for one in found])
