"""What the API takes and gives, as pydantic models: checked by them, described by them in OpenAPI.

Times come out in UTC and are taken in any zone; one without a zone is UTC. What a model does not know is refused, so
that a misspelt `dry_run` replays nothing.
"""

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from connector.exotel.model import AgentRung, Digits, Leg
from connector.store.queries.views import DeliveryFilter


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

    @field_validator("*")
    @classmethod
    def _is_text(cls, value: object) -> object:
        if isinstance(value, str) and "\0" in value:  # PostgreSQL takes it in no text
            raise ValueError("a NUL is in no text")
        return value


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

    tenant: Sid | None = Field(default=None, description="Account SID; an operator's token needs it with a CallSid.")


class CallWished(Asked):
    """A call to be placed: the agent's phone is rung first, then the number."""

    tenant: Sid
    connection: str = Field(min_length=1, max_length=128, description="Name of the connection whose agent it is.")
    agent: str = Field(min_length=1, max_length=255, description="The agent's CRM id, e-mail or number.")
    number: str = Field(min_length=1, max_length=64, description="Whom to call, in any spelling; need be no contact.")
    custom_field: str | None = Field(
        default=None, max_length=1000, description="Text of your own, shown with the call and in its records."
    )


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


class AgentsAsked(Asked):
    """Whose agents."""

    tenant: Sid | None = Field(default=None, description="Account SID; needed with an operator's token.")
    connection: str | None = Field(default=None, description="Name of the connection; all of them without it.")


class AgentIn(Asked):
    """An agent. What is left out stays as it is, null clears it."""

    crm_id: str = Field(max_length=128)
    name: str | None = None
    email: str | None = None
    phone: str | None = Field(default=None, description="A number in any spelling, or `sip:…`.")
    caller_id: str | None = Field(default=None, description="The ExoPhone that customers see.")
    outbound: bool = Field(default=False, description="May place calls.")
    ids: dict[str, str] | None = None
    remove: bool = False


class AgentsPut(AgentsAsked):
    """Agents of one connection to be added, changed or removed; others are left alone."""

    agents: list[AgentIn] = Field(max_length=5000)


class DevicesAsked(Asked):
    """Whose phones."""

    tenant: Sid | None = Field(default=None, description="Account SID; needed with an operator's token.")
    agent: str = Field(min_length=1, max_length=255, description="E-mail, number or CRM id.")


class DeviceSet(DevicesAsked):
    """A phone to be switched on (others go off) or off."""

    on: bool
    device: Literal["tel", "sip"] | None = Field(default=None, description="Which, where there are several.")


class StatementAsked(Asked):
    """Whose day."""

    tenant: Sid | None = Field(default=None, description="Account SID; needed with an operator's token.")
    day: date | None = Field(default=None, description="2026-01-31, in the tenant's time zone; today without it.")
    connection: str | None = Field(default=None, description="Name of the one connection; all of them without it.")


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


class RecordingAsked(Asked):
    """Whose recording."""

    tenant: Sid | None = Field(default=None, description="Account SID; needed with an operator's token.")


class RecordingRevoked(BaseModel):
    """What was withdrawn: how many links were in force until now."""

    call_sid: str
    revoked: int


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


class Placed(BaseModel):
    """A call that was asked for.

    `unknown`: Exotel did not say; it is found out, and never placed again. `not_placed`: no trace of it in four hours.
    """

    id: str
    call_sid: str | None
    state: Literal["placing", "placed", "unknown", "refused", "not_placed"]


class CallDetails(BaseModel):
    """A call with all that hangs on it. `id` and `state` are those of a call that was placed here, else null."""

    id: str | None = None
    call_sid: str | None
    state: str | None = None
    reason: str | None = Field(default=None, description="Why it was refused or never placed.")
    call: CallOut
    events: list[EventOut]
    deliveries: list[DeliveryOut]
    records: list[RecordOut]


class AgentOut(BaseModel):
    """An agent. `origin`: who owns the row, the tenant file, an upload (`import`) or a sync."""

    connection: str
    crm_id: str
    name: str
    email: str | None
    phone: str | None
    caller_id: str | None
    outbound: bool
    ids: dict[str, str]
    origin: str


class Agents(BaseModel):
    """Agents, by connection."""

    agents: list[AgentOut]


class LineOut(BaseModel):
    """What became of one line of an upload."""

    crm_id: str
    result: Literal["added", "changed", "unchanged", "removed", "kept", "refused"]
    reason: str | None


class AgentLines(BaseModel):
    """What became of an upload, line by line; nothing of a refused line was written."""

    refused: int
    lines: list[LineOut]


class DeviceOut(BaseModel):
    """A phone on which Exotel rings a user."""

    id: str
    name: str | None
    type: str | None
    number: str | None
    on: bool | None
    verified: bool | None
    status: str | None


class Devices(BaseModel):
    """A user of the account at Exotel, with all phones."""

    email: str | None
    devices: list[DeviceOut]


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


class TotalOut(BaseModel):
    """What became of a day's calls. `percent`: written or not due, of all. Reasons: words -> calls."""

    calls: int
    written: int
    not_due: int
    missing: int
    percent: float
    not_due_for: dict[str, int]
    missing_for: dict[str, int]


class ConnectionTotal(TotalOut):
    """A day's calls for one connection."""

    connection: str


class StatementOut(TotalOut):
    """A day of a tenant: calls at Exotel, written, not due by policy, missing.

    `unconfirmed`: calls known by their requests alone so far. `checked_until`: how far Exotel's own list was gone
    through; `is_checked`: the whole day was. `is_kept`: the calls were pruned since, and these totals were kept.
    """

    tenant: str
    day: str
    time_zone: str
    connection: str | None
    connections: list[ConnectionTotal]
    #: Some CallSids of what is missing.
    missing_calls: list[str]
    unconfirmed: int
    checked_until: Utc | None
    is_checked: bool
    is_kept: bool


class ErrorBody(BaseModel):
    """What is wrong; `field` names the parameter at fault, where there is one."""

    code: str
    message: str
    field: str | None


class Error(BaseModel):
    """The body of every answer of 400 and above."""

    error: ErrorBody
