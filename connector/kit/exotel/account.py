"""The account that the stand-in of Exotel has in memory: calls, numbers, people, messages, and how it behaves."""

import hashlib
import itertools
import zlib
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

from connector.kit.exotel.calls import SimCall, SimLeg, record_of
from connector.kit.standin import StandinAccount

#: How a call that Connect originated ends.
Ending = Literal[
    "answered",
    "agent_no_answer",
    "agent_busy",
    "agent_hangup",
    "customer_busy",
    "customer_no_answer",
    "customer_failed",
    "machine",
]
#: How a call that was added ended.
AddedEnding = Literal["answered", "missed", "busy", "caller_gone", "voicemail", "ivr"]

_FACTS = frozenset(
    {
        "sid",
        "direction",
        "customer",
        "agent",
        "exophone",
        "ending",
        "created_at",
        "talk_s",
        "ring_s",
        "recorded",
        "settle_s",
        "custom_field",
        "running",
    }
)
_DIRECTIONS = frozenset({"inbound", "outbound-api", "outbound-dial"})


@dataclass
class ExotelAccount(StandinAccount):
    """One account of Exotel. Whatever is public may be changed while it runs."""

    sid: str = "acme1"
    region: str = "singapore"
    #: Where it is reached, which recordings link to; the first request tells.
    url: str = ""
    api_key: str = "demo_key"
    api_token: str = field(default="demo_token", repr=False)
    #: Requests a minute, over all endpoints; more are answered 429.
    limit: int = 200
    #: Errors as XML although `.json` was asked.
    xml_errors: bool = False
    #: Whether the newer list of ExoPhones is there, and the endpoints of legs.
    has_v2_beta: bool = True
    has_legs: bool = True
    is_active: bool = True
    is_kyc_done: bool = True
    has_credit: bool = True
    #: ExoPhones, E.164 -> friendly name.
    exophones: dict[str, str] = field(default_factory=lambda: {"+918047494574": "Support line"})
    #: Customers that take no calls, E.164.
    dnd: set[str] = field(default_factory=set)
    #: Endings of the next Connects, in order; then `ending`.
    endings: deque[Ending] = field(default_factory=deque)
    ending: Ending = "answered"
    #: Seconds between the steps of a call that Connect originated: rung, answered, talked.
    step_s: float = 0.02
    talk_s: int = 32
    #: Whether what happens to a call is told to the StatusCallback that Connect named.
    sends_callbacks: bool = True
    #: Records say nothing of the end, durations and legs for so long after it; None: they never do.
    settle_s: float | None = 0.0
    #: A recording is 404 for so long after the call's end.
    recording_after_s: float = 0.0
    #: Bytes of a recording.
    recording_size: int = 20_000
    #: `PreSignedRecordingUrl` is offered.
    signed_links: bool = False
    #: Recordings redirect to signed links of this address; None: they are served at once.
    cdn_url: str | None = None
    #: Users as the API shows them: id, email, first_name, last_name, role, active_call, devices.
    users: list[dict[str, Any]] = field(default_factory=list)

    #: What was asked of a call's recording: CallSid and the form.
    recording_requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    #: Callbacks sent: url, content type, fields, status of the answer (0: none came).
    callbacks: list[dict[str, Any]] = field(default_factory=list)
    #: Forms of Connect that originated a call.
    connects: list[dict[str, str]] = field(default_factory=list)

    changeable: ClassVar[frozenset[str]] = frozenset(
        {
            "cdn_url",
            "ending",
            "endings",
            "exophones",
            "has_credit",
            "has_legs",
            "has_v2_beta",
            "is_active",
            "is_kyc_done",
            "limit",
            "recording_after_s",
            "recording_size",
            "sends_callbacks",
            "settle_s",
            "signed_links",
            "step_s",
            "talk_s",
            "users",
            "xml_errors",
        }
    )

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)
        self._calls: dict[str, SimCall] = {}
        self._files: dict[str, SimCall] = {}
        #: (created_at in seconds, CallSid), sorted.
        self._order: list[tuple[int, str]] = []
        self._unsorted = False

    # --- calls ---

    def add_call(self, facts: Mapping[str, Any] | None = None) -> str:
        """Adds a call and returns its CallSid; thousands in a second.

        `facts`, all optional: sid, direction (inbound, outbound-api, outbound-dial), customer, agent, exophone (E.164),
        ending (answered, missed, busy, caller_gone, voicemail, ivr), created_at (Unix seconds; it ends `ring_s` and
        `talk_s` later), recorded, settle_s (None: never), custom_field, running (it is on the line until `end_call`).
        Raises `ValueError` for a fact that is none.
        """
        return self._put(self._call_of(dict(facts or {})))

    def end_call(self, sid: str) -> None:
        """Ends a running call now. Raises `KeyError` where there is none."""
        call = self._calls[sid]
        call.over_at = self.clock()

    def call(self, sid: str) -> SimCall | None:
        """The call of this CallSid."""
        return self._calls.get(sid)

    def call_of_file(self, file: str) -> SimCall | None:
        """The call whose recording this is."""
        return self._files.get(file)

    def record(self, call: SimCall, *, details: bool, link_valid_s: float = 300) -> dict[str, Any]:
        """What Call Details says of a call now."""
        record = record_of(call, self.sid, self.clock(), details=details, files=self.url)
        if self.signed_links and record["RecordingUrl"]:
            record["PreSignedRecordingUrl"] = self.signed(call, link_valid_s)
        return record

    def signed(self, call: SimCall, valid_s: float) -> str:
        """A link to the recording that needs no credentials until it ends."""
        until = int(self.clock() + valid_s)
        return f"{self.cdn_url or self.url}/cdn/{call.file}?Expires={until}&Signature={signature(call.file, until)}"

    def between(self, first: tuple[int, str], last: tuple[int, str], *, newest_first: bool) -> Iterator[SimCall]:
        """Calls whose (created_at, CallSid) is not before `first`, and before `last`."""
        if self._unsorted:
            self._order.sort()
            self._unsorted = False
        begin, end = bisect_left(self._order, first), bisect_left(self._order, last)
        places = range(end - 1, begin - 1, -1) if newest_first else range(begin, end)
        return (self._calls[self._order[place][1]] for place in places)

    def originate(self, form: Mapping[str, str], *, leg1: str, leg2: str | None) -> SimCall:
        """The running call of a Connect."""
        now = self.clock()
        call = SimCall(
            sid=self.new_sid(),
            direction="outbound-api",
            from_number=leg1,
            to_number=leg2 or form["CallerId"],
            exophone=form["CallerId"],
            created_at=now,
            custom_field=form.get("CustomField"),
            recorded=form.get("Record") == "true",
            settle_s=self.settle_s,
            legs=[SimLeg(self.new_sid(), leg1, "outbound", "in-progress")],
        )
        self.connects.append(dict(form))
        self._put(call)
        return call

    def new_sid(self) -> str:
        """A new id in Exotel's own shape: 32 characters, the last of them no hex digit."""
        return f"{next(self._numbers):08x}{zlib.crc32(self.sid.encode()):08x}{'0' * 12}1{'a' * 2}m"

    def _call_of(self, facts: dict[str, Any]) -> SimCall:
        unknown = facts.keys() - _FACTS
        if unknown:
            raise ValueError(f"no such fact of a call: {', '.join(sorted(unknown))}")
        direction, ending = facts.get("direction", "inbound"), facts.get("ending", "answered")
        if direction not in _DIRECTIONS or ending not in get_args(AddedEnding):
            raise ValueError("no such direction or ending of a call")
        customer, agent = facts.get("customer", "+919876543210"), facts.get("agent", "+919711581199")
        exophone = facts.get("exophone") or next(iter(self.exophones))
        talk_s = facts.get("talk_s", self.talk_s) if ending == "answered" else 0
        ring_s = facts.get("ring_s", 8)
        created_at = float(facts.get("created_at", self.clock() - talk_s - ring_s))
        is_inbound = direction == "inbound"
        is_dialled = ending not in ("voicemail", "ivr")
        call = SimCall(
            sid=facts.get("sid") or self.new_sid(),
            direction=direction,
            from_number=customer if is_inbound else agent,
            to_number=(agent if is_dialled else exophone) if is_inbound else customer,
            exophone=exophone,
            created_at=created_at,
            custom_field=facts.get("custom_field"),
            recorded=bool(facts.get("recorded", ending in ("answered", "voicemail"))),
            settle_s=facts.get("settle_s", self.settle_s),
            talk_s=talk_s,
            ring_s=ring_s,
            status="completed" if is_inbound or ending == "answered" else ("busy" if ending == "busy" else "no-answer"),
            leg1_status="completed",
            leg2_status=_LEG2[ending],
        )
        if facts.get("running"):
            call.legs = [SimLeg(self.new_sid(), customer, "inbound" if is_inbound else "outbound", "in-progress")]
        else:
            call.over_at = created_at + talk_s + ring_s
        return call

    def _put(self, call: SimCall) -> str:
        if call.sid in self._calls:
            raise ValueError("there is a call of this CallSid")
        self._calls[call.sid] = self._files[call.file] = call
        place = (int(call.created_at), call.sid)
        # thousands may follow: sorted once, when somebody looks
        self._unsorted |= bool(self._order) and place < self._order[-1]
        self._order.append(place)
        return call.sid

    # --- for the control endpoints ---

    def change(self, values: Mapping[str, Any]) -> None:
        """As the base; `endings` comes as a list. Raises `ValueError`, also for an ending that is none."""
        given = [*values.get("endings", ()), *([values["ending"]] if "ending" in values else [])]
        if {*given} - {*get_args(Ending)}:
            raise ValueError("no such ending of a call")
        super().change({**values, **({"endings": deque(values["endings"])} if "endings" in values else {})})

    def counts(self) -> dict[str, int]:
        """Records by kind."""
        return {
            "calls": len(self._calls),
            "connects": len(self.connects),
            "callbacks": len(self.callbacks),
            "recording_requests": len(self.recording_requests),
        }

    def dump(self) -> dict[str, Any]:
        """Every record, as the API shows it."""
        return {
            "calls": [self.record(call, details=True) for call in self._calls.values()],
            "connects": self.connects,
            "callbacks": self.callbacks,
            "recording_requests": [{"call_sid": sid, **form} for sid, form in self.recording_requests],
            "users": self.users,
        }


def signature(file: str, until: int) -> str:
    """What a signed link carries."""
    return hashlib.sha256(f"standin:{file}:{until}".encode()).hexdigest()[:32]


_LEG2: dict[str, str | None] = {
    "answered": "completed",
    "missed": "no-answer",
    "busy": "busy",
    "caller_gone": "canceled",
    "voicemail": None,
    "ivr": None,
}
