"""Calls: made by Connect, looked up one by one and in bulk, recorded (reference exotel.md §6.1-§6.4, §6.6)."""

from collections.abc import AsyncIterator
from typing import Literal

from connector.exotel.api.http import ExotelHttp, Urgency
from connector.exotel.api.records import CallFilter, CallPage, CallRecord

CallbackType = Literal["multipart/form-data", "application/json"]


class Calls:
    """Calls: made, looked up, recorded."""

    def __init__(self, http: ExotelHttp, urgency: Urgency) -> None:
        self._http = http
        self._urgency: Urgency = urgency

    async def connect(
        self,
        agent_number: str,
        customer_number: str,
        caller_id: str,
        *,
        custom_field: str | None = None,
        status_callback: str | None = None,
        callback_type: CallbackType = "multipart/form-data",
        record: bool = False,
        dual_channel: bool = False,
        time_limit_s: int | None = None,
        ring_s: int | None = None,
        max_retries: int | None = None,
    ) -> CallRecord:
        """Rings the agent (`From`; E.164 or `sip:`), then the customer (`To`); returns once the call is originated.

        `status_callback` is told `answered` (per leg) and `terminal`. `ring_s`: 60 at most. `max_retries`: how often the
        agent is rung again; Exotel's default is 3. Takes up to 30 s, and is never repeated: `CrmUnavailable`,
        `RateLimited`, `AuthFailed`, `ExotelRefused`, `NotFound` and `ConfigError` say that no call was placed;
        `OutcomeUnknown` that one may have been, to be found by From, To and time, or by its callback
        (reference exotel.md §6.1). Raises `ValueError` for what Exotel would not take.
        """
        raise NotImplementedError

    async def connect_flow(
        self,
        number: str,
        caller_id: str,
        flow_id: str,
        *,
        custom_field: str | None = None,
        status_callback: str | None = None,
        time_limit_s: int | None = None,
        ring_s: int | None = None,
    ) -> CallRecord:
        """Rings `number`, then runs the flow `flow_id` with it. Errors as `connect` (reference exotel.md §6.2)."""
        raise NotImplementedError

    async def get(self, call_sid: str, *, link_valid_min: int | None = None) -> CallRecord:
        """Call Details, legs included. `link_valid_min`: 5 to 60, life of a signed recording link where the account
        has them. Raises `NotFound` for a CallSid that Exotel does not know (yet)."""
        raise NotImplementedError

    async def page(
        self,
        wanted: CallFilter,
        *,
        cursor: str | None = None,
        page_size: int = 100,
        link_valid_min: int | None = None,
    ) -> CallPage:
        """One page of bulk details, legs included; `cursor` of the page before it (it may be kept for days).

        No calls that still run are listed, and those that just ended may be missing (reference exotel.md §6.4).
        """
        raise NotImplementedError

    def pages(self, wanted: CallFilter, *, page_size: int = 100) -> AsyncIterator[CallPage]:
        """Every page, one request each, in order; ends on the last, and on one that leads in a circle."""
        raise NotImplementedError

    async def start_recording(
        self,
        call_sid: str,
        *,
        status_callback: str | None = None,
        dual_channel: bool = False,
        first_leg_only: bool = False,
    ) -> None:
        """Records a running call from now on (reference exotel.md §6.6)."""
        raise NotImplementedError

    async def stop_recording(self, call_sid: str) -> None:
        """Ends the recording of a running call."""
        raise NotImplementedError
