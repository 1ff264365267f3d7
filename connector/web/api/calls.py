"""Calls: listed, shown in full, placed."""

from collections.abc import Mapping
from typing import Any, Literal

from aiohttp import web
from pydantic import Field

from connector.acts import calls as acts
from connector.acts.asker import Asker
from connector.acts.calls import KnownCall
from connector.exotel.model import AgentRung, Digits, Leg
from connector.web.api.asking import idempotency_key, new_cursor, read_cursor
from connector.web.api.deliveries import DeliveryOut
from connector.web.api.shapes import Asked, PageAsked, Shown, Sid, Utc
from connector.web.keys import OFFICE


class CallsAsked(PageAsked):
    """Which calls."""

    number: str | None = Field(default=None, max_length=64, description="The customer's number, in any spelling.")
    since: Utc | None = Field(default=None, description="Calls first heard of at this time or later.")


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


class CallOut(Shown):
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
    agents: list[AgentRung] = Field(default=[])
    outcome: str | None = None
    status: str | None = None
    kinds: list[str] = Field(default=[])
    voicemail: bool | None = None
    over: bool | None = None
    digits: list[Digits] = Field(default=[])
    duration_s: int | None = None
    recording_url: str | None = None
    legs: list[Leg] = Field(default=[])
    started_at: Utc | None = None
    ended_at: Utc | None = None
    disconnected_by: str | None = None
    custom_field: str | None = None


class OrderOut(Shown):
    """What became of an order to record the call, or to stop. `reason`: why it waits, or was given up."""

    state: Literal["pending", "done", "failed"]
    reason: str | None


class EventOut(Shown):
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


class RecordOut(Shown):
    """A record in a CRM. `url` is where a person opens it; `state` is `pruned` where its call was."""

    connection: str
    slot: str
    kind: str
    id: str
    url: str | None
    state: str
    warning: str | None
    error: str | None


class Calls(Shown):
    """A page of calls, newest first."""

    calls: list[CallOut]
    next_cursor: str | None


class Placed(Shown):
    """A call that was asked for.

    `unknown`: Exotel did not say; it is found out, and never placed again. `not_placed`: no trace of it in four hours.
    """

    id: str
    call_sid: str | None
    state: Literal["placing", "placed", "unknown", "refused", "not_placed"]


class CallDetails(Shown):
    """A call with all that hangs on it. `id` and `state` are those of a call that was placed here, else null."""

    id: str | None = None
    call_sid: str | None
    state: str | None = None
    reason: str | None = Field(default=None, description="Why it was refused or never placed.")
    call: CallOut
    events: list[EventOut]
    deliveries: list[DeliveryOut]
    records: list[RecordOut]


async def list_calls(request: web.Request, asker: Asker, asked: CallsAsked) -> Calls:
    """Calls, newest first."""
    wish = acts.ListCalls(
        asked.tenant,
        asked.number,
        since=asked.since.timestamp() if asked.since else None,
        before=read_cursor(asked.cursor, float, int),
        limit=asked.limit,
    )
    found = await acts.list_calls(request.app[OFFICE], asker, wish)
    last = found[-1] if len(found) == asked.limit else None
    return Calls(
        calls=[CallOut.model_validate(_call(one)) for one in found],
        next_cursor=new_cursor(last.created_at, last.id) if last else None,
    )


async def get_call(request: web.Request, asker: Asker, asked: CallAsked) -> CallDetails:
    """One call, by its CallSid or by the id that placing it gave: its events, deliveries and records.

    Of one that retention deleted, the records that were written.
    """
    wish = acts.GetCall(asked.tenant, request.match_info["call_sid"])
    found = await acts.get_call(request.app[OFFICE], asker, wish)
    return CallDetails.model_validate(
        {
            "id": found.id,
            "call_sid": found.call.call_sid,
            "state": found.state,
            "reason": found.reason,
            "call": _call(found.call),
            "events": found.events,
            "deliveries": found.deliveries,
            "records": found.records,
        }
    )


async def place_call(request: web.Request, asker: Asker, asked: CallWished) -> Placed:
    """Rings an agent and then the number; a wish that is repeated with its `Idempotency-Key` rings nobody again."""
    wish = acts.PlaceCall(**asked.model_dump(), idempotency_key=idempotency_key(request))
    placed = await acts.place_call(request.app[OFFICE], asker, wish)
    # What another request is placing at this moment is nobody's knowledge yet.
    state = "unknown" if placed.state == "placing" else placed.state
    return Placed.model_validate({"id": placed.token, "call_sid": placed.call_sid, "state": state})


def _call(one: KnownCall) -> Mapping[str, Any]:
    known = {"tenant": one.tenant, "call_sid": one.call_sid, "created_at": one.created_at, "pruned_at": one.pruned_at}
    return {**one.facts, **known}
