"""What the API takes and gives, as pydantic models: checked by them, described by them in OpenAPI.

Times come out in UTC and are taken in any zone; one without a zone is UTC. What a model does not know is refused, so
that a misspelt `dry_run` replays nothing.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from connector.exotel.model import AgentRung, Digits, Leg
from connector.store.views import DeliveryFilter


def _with_plus(value: Any) -> Any:
    # A + that nobody encoded arrives in a query as a blank: 2026-01-31T09:30:00 05:30.
    return re.sub(r" (?=\d\d:?\d\d$)", "+", value) if isinstance(value, str) and "T" in value else value


def _utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Utc = Annotated[datetime, BeforeValidator(_with_plus), AfterValidator(_utc)]
Sid = Annotated[str, Field(min_length=1, max_length=128)]


class Asked(BaseModel):
    """Base of what comes in."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, populate_by_name=True)


class Page(Asked):
    """Part of a list."""

    tenant: Sid | None = Field(default=None, description="Account SID; an operator sees all tenants without it.")
    cursor: str | None = Field(default=None, max_length=256, description="`next_cursor` of the page before.")
    limit: int = Field(default=50, ge=1, le=200)


class CallsAsked(Page):
    """Which calls."""

    number: str | None = Field(default=None, max_length=64, description="The customer's number, in any spelling.")
    since: Utc | None = Field(default=None, description="Calls first heard of at this time or later.")


class DeliveriesAsked(Page):
    """Which deliveries."""

    state: DeliveryFilter | None = Field(default=None, description="`retrying` are those pending for that reason.")


class CallAsked(Asked):
    """Whose call."""

    tenant: Sid | None = Field(default=None, description="Account SID; needed with an operator's token.")


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


class CallOut(BaseModel):
    """A call as it is known now; only the first three are there before it was folded for the first time.

    `pruned_at`: when retention deleted all of it but which records were written; nothing more is written for it.
    """

    tenant: str
    call_sid: str | None
    created_at: Utc
    pruned_at: Utc | None = None
    direction: str | None = None
    customer_number: str | None = None
    exophone: str | None = None
    agent_number: str | None = None
    agent_email: str | None = None
    agents: list[AgentRung] = []
    outcome: str | None = None
    status: str | None = None
    kinds: list[str] = []
    voicemail: bool | None = None
    over: bool | None = None
    digits: list[Digits] = []
    duration_s: int | None = None
    recording_url: str | None = None
    legs: list[Leg] = []
    started_at: Utc | None = None
    ended_at: Utc | None = None
    disconnected_by: str | None = None
    custom_field: str | None = None


class OrderOut(BaseModel):
    """What became of an order to record the call, or to stop. `reason`: why it waits, or was given up."""

    state: Literal["pending", "done", "failed"]
    reason: str | None


class EventOut(BaseModel):
    """One thing learned of a call. `raw`: every parameter as it came, credentials hidden; `facts`: what it tells.

    `order`: what became of a `record_start` or `record_stop`; null for every other event.
    """

    kind: str
    source: str
    connection: str | None
    received_at: Utc
    facts: dict[str, Any] | None
    raw: dict[str, Any]
    order: OrderOut | None = None


class DeliveryOut(BaseModel):
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


class RecordOut(BaseModel):
    """A record in a CRM. `url` is where a person opens it; `state` is `pruned` where its call was."""

    connection: str
    slot: str
    kind: str
    id: str
    url: str | None
    state: str
    warning: str | None
    error: str | None


class Calls(BaseModel):
    """A page of calls, newest first."""

    calls: list[CallOut]
    next_cursor: str | None


class CallDetails(BaseModel):
    """A call with all that hangs on it."""

    call: CallOut
    events: list[EventOut]
    deliveries: list[DeliveryOut]
    records: list[RecordOut]


class Deliveries(BaseModel):
    """A page of deliveries, newest first."""

    deliveries: list[ListedDelivery]
    next_cursor: str | None


class ChangeOut(BaseModel):
    """What a replay writes, or would write: the entry as it was sent last, and as it is now."""

    slot: str
    kind: str
    action: str
    was: Any = None
    now: Any = None


class ReplayedCall(BaseModel):
    """One call for one connection; no changes and not queued: nothing differs."""

    call_sid: str
    connection: str
    queued: bool
    changes: list[ChangeOut]


class Replay(BaseModel):
    """What a replay does."""

    dry_run: bool
    calls: list[ReplayedCall]


class ErrorBody(BaseModel):
    """What is wrong; `field` names the parameter at fault, where there is one."""

    code: str
    message: str
    field: str | None


class Error(BaseModel):
    """The body of every answer of 400 and above."""

    error: ErrorBody
