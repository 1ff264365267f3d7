"""What Exotel tells, in our terms: `CallEvent` is one request, `Call` is all events of one CallSid folded together."""

from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

#: What a request of Exotel's is; `details` is a record of Call Details that we asked for.
EventKind = Literal[
    "popup",
    "answered",
    "automated_answered",
    "missed",
    "ivr",
    "gather",
    "end",
    "voicemail",
    "status",
    "record_start",
    "record_stop",
    "leg",
    "recording",
    "details",
]
#: Orders to record the call, or to stop: they come amid a flow and say nothing of how the call ends.
ORDERS: Final = frozenset({"record_start", "record_stop"})
#: Callbacks of what we asked Exotel for: a supervisor's leg, a recording.
CALLBACKS: Final = frozenset({"leg", "recording"})

Direction = Literal["inbound", "outbound"]
Status = Literal[
    "ringing",
    "in-progress",
    "completed",
    "no-answer",
    "busy",
    "failed",
    "canceled",
    "voicemail",
    "ivr",
    "agent-free",
    "unknown",
]
EventType = Literal["dial", "ringing", "answered", "terminal"]
Outcome = Literal["answered", "missed", "voicemail", "ivr", "abandoned", "in-progress"]

#: (`ivr` or `gather`, step, label) of an `ivr_tag_<n>=` or `gather_tag_<n>=` in the hook's URL.
Tag = tuple[Literal["ivr", "gather"], int, str]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Leg(_Frozen):
    """One attempt to reach somebody. A passthru's legs are the agents dialled; a StatusCallback's are From, then To."""

    number: str | None = None
    status: str | None = None
    #: Talk time of this leg, seconds.
    on_call_duration_s: int | None = None
    ringing_duration_s: int | None = None
    #: `NORMAL_CLEARING`
    cause: str | None = None
    #: 16
    cause_code: int | None = None
    type: str | None = None
    disconnected_by: str | None = None
    answered_by: str | None = None
    amd_cause: str | None = None


class CallEvent(_Frozen):
    """One request of Exotel's, read. None means that the request does not tell (docs/design.md §4)."""

    kind: EventKind
    call_sid: str
    direction: Direction | None = None
    #: Numbers are E.164; `sip:` addresses and text that is no number are kept as they are.
    customer_number: str | None = None
    agent_number: str | None = None
    exophone: str | None = None
    #: Further numbers that an outbound request names; who they are, only the tenant's agents and ExoPhones tell.
    other_numbers: tuple[str, ...] = ()
    agent_email: str | None = None
    event_type: EventType | None = None
    agent_state: Literal["busy", "free"] | None = None
    status: Status = "unknown"
    answered: bool | None = None
    digits: str | None = None
    tags: list[Tag] = Field(default_factory=list)
    #: Talk time, seconds.
    duration_s: int | None = None
    #: From the second leg's dial on, ringing included, seconds.
    dial_duration_s: int | None = None
    recording_url: str | None = None
    #: RecordingAvailableBy: until when the file is there.
    recording_available_by: datetime | None = None
    legs: list[Leg] = Field(default_factory=list)
    #: When it happened by Exotel's clock, +05:30.
    occurred_at: datetime | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    custom_field: str | None = None
    disconnected_by: str | None = None
    #: Every parameter as it came, query and body merged.
    raw: dict[str, Any] = Field(default_factory=dict, repr=False)


class NoRecording(_Frozen):
    """An hour after the call's end Exotel's record still has no recording: none is waited for any more."""


class Digits(_Frozen):
    """One input of the caller: `label` is the tag's value, else `ivr_tag_<n>` or `gather_tag_<n>`."""

    label: str
    digits: str


class AgentRung(_Frozen):
    """An agent who was rung; `answered` is None while nobody told."""

    number: str | None = None
    email: str | None = None
    answered: bool | None = None
    #: A popup said that the attempt is over.
    free: bool = False


class Unreached(_Frozen):
    """Who did not come to the phone in a call that we placed, and how: no-answer, busy, failed or canceled.

    The agent is rung first. A customer who is `canceled` was still being rung when the agent hung up.
    """

    who: Literal["agent", "customer"]
    status: Status


class Link(_Frozen):
    """An agent tied the call to this ticket of a connection, in the widget."""

    connection: str
    id: str
    url: str | None = None


class Call(_Frozen):
    """All that is known of one CallSid: the fold of its events, the same whatever order they arrived in."""

    call_sid: str | None
    direction: Direction = "inbound"
    customer_number: str | None = None
    exophone: str | None = None
    #: Who answered.
    agent_number: str | None = None
    agent_email: str | None = None
    #: In the order they were rung.
    agents: tuple[AgentRung, ...] = ()
    outcome: Outcome = "in-progress"
    status: Status = "unknown"
    #: Kinds of event that came.
    kinds: frozenset[str] = frozenset()
    #: An unanswered end was told (a missed passthru, a StatusCallback that ended without talk).
    missed: bool = False
    voicemail: bool = False
    #: The conversation or the flow's last applet is over: no event that changes the outcome is awaited.
    over: bool = False
    #: Call Details says that the call is over: nothing more is waited for, whatever else did not arrive.
    closed: bool = False
    #: A recording was waited for and never came.
    recording_missing: bool = False
    digits: tuple[Digits, ...] = ()
    duration_s: int | None = None
    recording_url: str | None = None
    #: Until when Exotel promised the file of `recording_url`.
    recording_available_by: datetime | None = None
    legs: tuple[Leg, ...] = ()
    started_at: datetime | None = None
    ended_at: datetime | None = None
    disconnected_by: str | None = None
    custom_field: str | None = None
    #: Of a placed call that nobody had: who was not reached, where it is told.
    unreached: Unreached | None = None
    #: A machine took the call that we placed.
    machine: bool = False
    #: An agent was rung and neither a Terminal popup nor an end of the call came since.
    agent_open: bool = False
    #: Unix time (UTC) of the newest event's arrival, and of the newest terminal event's (None: none came).
    last_event_at: float = 0.0
    first_event_at: float = 0.0
    terminal_at: float | None = None
    #: Newest first.
    links: tuple[Link, ...] = ()
