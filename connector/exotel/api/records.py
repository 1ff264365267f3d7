"""What Exotel's API answers, in our terms: frozen, tolerant of types that drift, without a number in any `repr`.

Numbers are E.164 (`sip:` addresses and text that is no number as they came), times aware (+05:30), durations seconds.
None: the answer does not tell. `raw` is the answer's own object, without links that expire.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from connector.exotel.model import Direction
from connector.phone import is_number

_UNANSWERED: Final = frozenset({"no-answer", "busy", "failed", "canceled"})
_FINAL: Final = _UNANSWERED | {"completed"}


@dataclass(frozen=True, slots=True)
class RecordLeg:
    """A leg as Call Details has it: `id` 1 or 2, no number (docs/reference/exotel.md §6.3)."""

    id: int | None
    on_call_duration_s: int | None


@dataclass(frozen=True, slots=True)
class CallRecord:
    """Exotel's record of one call: answer to Connect, Call Details, or a row of bulk details.

    See docs/reference/exotel.md §6.1, §6.3.

    It settles over minutes and some never do: young ones lack status, end, durations and recording, and `to_number` of
    an inbound call is the ExoPhone first and the agent later. `answered`, `customer_number`, `agent_number` and
    `exophone` are what can be relied on of it.
    """

    sid: str
    #: queued, ringing, in-progress, completed, failed, busy, no-answer, canceled; None while it is not told, or is no
    #: word of Exotel's. `completed` for inbound calls says nothing of whether they were answered.
    status: str | None = None
    direction: Direction | None = None
    from_number: str | None = field(default=None, repr=False)
    to_number: str | None = field(default=None, repr=False)
    #: The ExoPhone; a text that is no number where Exotel gives an id (newer numbers have a UUID) and nothing else.
    phone_number: str | None = field(default=None, repr=False)
    created_at: datetime | None = None
    updated_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    #: The whole call, IVR and ringing included.
    duration_s: int | None = None
    #: How long both talked; only with `details=true`.
    conversation_duration_s: int | None = None
    leg1_status: str | None = None
    leg2_status: str | None = None
    legs: tuple[RecordLeg, ...] = ()
    price: Decimal | None = None
    answered_by: str | None = None
    account_sid: str | None = None
    custom_field: str | None = field(default=None, repr=False)
    #: Private: opens with the account's key and token.
    recording_url: str | None = field(default=None, repr=False)
    #: Opens for whoever has it, for minutes: never stored, logged or shown.
    signed_recording_url: str | None = field(default=None, repr=False)
    #: Whether `Details` came along: without them nobody can tell whether an inbound call was answered.
    has_details: bool = False
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def over(self) -> bool:
        """Whether the call has ended, as far as the record tells."""
        return self.status in _FINAL or (self.status is None and self.ended_at is not None)

    @property
    def answered(self) -> bool | None:
        """Whether customer and agent talked; None while the record does not tell (docs/reference/exotel.md §6.3).

        The durations beat the words: a documented sample has 33 s of talk below a `no-answer`, and an inbound call is
        `completed` however it ended.
        """
        talk = self.conversation_duration_s
        if talk or any(leg.id == 2 and leg.on_call_duration_s for leg in self.legs):
            return True
        if not self.over:
            return None
        if self.leg2_status in _UNANSWERED or (self.direction == "outbound" and self.status in _UNANSWERED):
            return False
        if self.leg2_status == "completed":
            # talk of 0 may just not be counted yet; with the end, durations are there
            return True if talk is None else (False if self.ended_at is not None else None)
        # no second leg: nobody was dialled, or the record never settled
        return False if self.has_details and self.ended_at is not None and self.leg2_status is None else None

    @property
    def customer_number(self) -> str | None:
        """The customer: `From` of an inbound call and of an API call to a flow, `To` of one between two numbers."""
        return self.from_number if self._is_from_customer else self.to_number

    @property
    def agent_number(self) -> str | None:
        """The agent; None where the record names none (an inbound record that is young, a call to a flow)."""
        if not self._is_from_customer:
            return None if self.from_number == self.exophone else self.from_number
        # `To` is the ExoPhone first and the agent later: without the ExoPhone's number nobody can tell which
        known = self.direction == "inbound" and self.exophone is not None and self.to_number != self.exophone
        return self.to_number if known else None

    @property
    def exophone(self) -> str | None:
        """The ExoPhone's number, E.164; None where the record has an id alone."""
        return self.phone_number if is_number(self.phone_number) else None

    @property
    def _is_from_customer(self) -> bool:
        return self.direction == "inbound" or (self.exophone is not None and self.to_number == self.exophone)


@dataclass(frozen=True, slots=True)
class CallPage:
    """One page of bulk details. `cursor`: pass it to `Calls.page` for the next one; None on the last."""

    calls: tuple[CallRecord, ...]
    total: int | None
    cursor: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class LegRecord:
    """One leg, of a call that runs (`Legs.active`) or ran (`Legs.finished`) (docs/reference/exotel.md §6.5)."""

    sid: str
    call_sid: str | None = None
    number: str | None = field(default=None, repr=False)
    status: str | None = None
    origin: str | None = None
    #: listen, whisper, barge, hangup
    last_action: str | None = None
    exophone: str | None = field(default=None, repr=False)
    created_at: datetime | None = None
    updated_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    on_call_duration_s: int | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class ExoPhone:
    """A number of the account (docs/reference/exotel.md §7)."""

    sid: str
    #: E.164
    number: str = field(repr=False)
    friendly_name: str | None = field(default=None, repr=False)
    voice: bool | None = None
    sms: bool | None = None
    country: str | None = None
    region: str | None = None
    voice_url: str | None = field(default=None, repr=False)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Device:
    """A phone of a user: `uri` is E.164 or `sip:`."""

    id: str
    uri: str | None = field(default=None, repr=False)
    name: str | None = field(default=None, repr=False)
    #: tel or sip
    type: str | None = None
    #: Whether it is switched on.
    available: bool | None = None
    verified: bool | None = None
    #: free or busy
    status: str | None = None


@dataclass(frozen=True, slots=True)
class User:
    """A co-worker of the account, with the devices that Exotel may ring."""

    id: str
    email: str | None = field(default=None, repr=False)
    first_name: str | None = field(default=None, repr=False)
    last_name: str | None = field(default=None, repr=False)
    #: admin, supervisor, user
    role: str | None = None
    devices: tuple[Device, ...] = ()
    #: CallSid, or another word of Exotel's for the call that the user is on.
    active_call: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def on(self) -> Device | None:
        """The device that is switched on, if one is."""
        return next((device for device in self.devices if device.available), None)


@dataclass(frozen=True, slots=True)
class NumberInfo:
    """What Exotel knows of a number; `dnd` is unreliable (docs/reference/exotel.md §6.7)."""

    number: str | None = field(default=None, repr=False)
    circle: str | None = None
    circle_name: str | None = None
    #: Mobile or Landline
    type: str | None = None
    operator: str | None = None
    operator_name: str | None = None
    dnd: bool | None = None
