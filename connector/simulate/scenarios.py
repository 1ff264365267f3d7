"""Call flows as data: the requests that Exotel makes for each, and what a help desk should have of them afterwards.

Requests look like captured ones (docs/reference/exotel.md §3, §4, §10): national numbers, naive IST times, the constant
epoch as EndTime, the literal `null`, quoted digits, legs in brackets. Offsets are seconds of the call as it was; who
plays it decides how fast.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

_IST: Final = timezone(timedelta(hours=5, minutes=30))
_UNSET: Final = "1970-01-01 05:30:00"

EXOPHONE: Final = "08047494574"

#: Where Exotel keeps recordings (docs/reference/exotel.md §9).
RECORDINGS: Final = "https://recordings.exotel.com"


@dataclass(frozen=True, slots=True)
class AgentLine:
    """An agent of the tenant that the scenarios ring."""

    number: str
    email: str
    name: str


AGENTS: Final = (
    AgentLine("09711581199", "avnish@acme.example", "Avnish"),
    AgentLine("09810012345", "manish@acme.example", "Manish"),
    AgentLine("09900112233", "priya@acme.example", "Priya"),
)


@dataclass(frozen=True, slots=True)
class Request:
    """One request: `event` is the word of the hook's URL, `query` what that URL itself carries (tags).

    `params` goes into the query of a GET; `is_post` sends it as a multipart form, as StatusCallbacks come.
    """

    at_s: float
    event: str
    params: tuple[tuple[str, str], ...]
    query: tuple[tuple[str, str], ...] = ()
    is_post: bool = False


@dataclass(frozen=True, slots=True)
class Played:
    """A scenario with a CallSid, a caller and times of its own."""

    scenario: "Scenario"
    call_sid: str
    caller: str
    requests: tuple[Request, ...]


@dataclass(frozen=True, slots=True)
class Expected:
    """What a CRM should have of a call, by its families; variants are those of `words.defaults`."""

    #: Which ticket a desk has; None: none.
    ticket: str | None
    #: Whether a note with recording and duration hangs on it.
    note: bool
    #: Which call log a sales CRM has, and which message a chat.
    log: str
    #: Whether a chat has a second message, with what is heard or keyed.
    details: bool


@dataclass(frozen=True, slots=True)
class Scenario:
    """A call flow. `ticket` is what every desk makes of it; `if_asked` what one with `answered: ticket` makes.

    `log` is what call logs and chats say that it was; `heard` and `keyed`: there is a recording, there are digits.
    """

    name: str
    title: str
    script: "Callable[[_Flow], Iterator[Request]]"
    ticket: str | None
    log: str
    if_asked: str | None = None
    heard: bool = False
    keyed: bool = False
    #: Seconds of silence after the last event until the ticket is due.
    quiet_s: float = 0.0

    def expected(self, answered: str) -> Expected:
        """What a CRM whose option `answered` is this should have."""
        ticket = (self.if_asked or self.ticket) if answered == "ticket" else self.ticket
        return Expected(ticket, note=self.heard and ticket is not None, log=self.log, details=self.heard or self.keyed)

    def play(
        self, now: datetime, sid: str = "exotel535", dice: random.Random | None = None, files: str = RECORDINGS
    ) -> Played:
        """The flow with a fresh CallSid and caller, ending about `now` (aware).

        `sid` stands in recording links, and `files` is where they lead.
        """
        flow = _Flow(sid, dice or random.Random(), files)  # noqa: S311 - made-up numbers
        requests = sorted(self.script(flow), key=lambda request: request.at_s)
        began = now.astimezone(_IST) - timedelta(seconds=requests[-1].at_s)
        dated = tuple(_dated(request, began) for request in requests)
        return Played(self, flow.call_sid, flow.caller, dated)


@dataclass(slots=True)
class _Flow:
    """The facts that the requests of one call share."""

    sid: str
    dice: random.Random
    files: str
    call_sid: str = field(init=False)
    caller: str = field(init=False)

    def __post_init__(self) -> None:
        self.call_sid = f"{self.dice.getrandbits(128):032x}"
        self.caller = f"0{self.dice.choice('6789')}{self.dice.randrange(10**9):09d}"

    @property
    def recording(self) -> str:
        return f"{self.files}/exotelrecordings/{self.sid}/{self.call_sid}.mp3"

    def rings(self, at_s: float, agent: AgentLine, *, for_s: float) -> Iterator[Request]:
        """The popups of one attempt: the agent is rung, and free again `for_s` later."""
        for when, status, event_type in ((at_s, "busy", "Dial"), (at_s + for_s, "free", "Terminal")):
            yield self._request(
                when,
                "pop",
                CallFrom=self.caller,
                CallTo=EXOPHONE,
                Direction="incoming",
                DialWhomNumber=agent.number,
                Status=status,
                EventType=event_type,
                AgentEmail=agent.email,
            )

    def passes(self, at_s: float, event: str, facts: Mapping[str, str], tag: str | None = None) -> Request:
        """A passthru; `tag` is the label in its URL's first `<event>_tag_1=`."""
        shared = {
            "CallFrom": self.caller,
            "CallTo": EXOPHONE,
            "Direction": "incoming",
            "ForwardedFrom": "null",
            "DialCallDuration": "0",
            "StartTime": "<start>",
            "EndTime": _UNSET,
            "DialWhomNumber": "",
            "ProcessStatus": "null",
            "flow_id": "545263",
            "tenant_id": "79824",
        }
        query = ((f"{event}_tag_1", tag),) if tag else ()
        return self._request(at_s, event, query=query, **{**shared, **facts})

    def answered(self, at_s: float, tried: Sequence[AgentLine], talk_s: int, event: str = "answered") -> Request:
        """The passthru after a conversation: the last of the agents tried took the call."""
        facts = {
            "CallType": "completed",
            "DialCallStatus": "completed",
            "DialCallDuration": str(talk_s + 4 * len(tried)),
            "DialWhomNumber": tried[-1].number,
            "OutgoingPhoneNumber": EXOPHONE,
            "RecordingUrl": self.recording,
        }
        for place, agent in enumerate(tried):
            took = agent is tried[-1]
            facts |= self._leg(place, agent, str(talk_s if took else 0), *(_PICKED_UP if took else _RANG_OUT))
        return self.passes(at_s, event, facts)

    def unanswered(self, at_s: float, agent: AgentLine, call_type: str, status: str) -> Request:
        """The passthru of the branch for calls that nobody took."""
        facts = {
            "CallType": call_type,
            "DialCallStatus": status,
            "DialCallDuration": "18",
            "DialWhomNumber": agent.number,
            "OutgoingPhoneNumber": EXOPHONE,
        }
        return self.passes(at_s, "missed", facts | self._leg(0, agent, "0", *_RANG_OUT))

    def keyed(self, at_s: float, event: str, digits: str, tag: str | None = None) -> Request:
        """The passthru after an IVR's or a Gather's input; Exotel quotes the digits."""
        return self.passes(at_s, event, {"CallType": "call-attempt", "digits": f'"{digits}"'}, tag)

    def ended(self, at_s: float) -> Request:
        """The passthru after the last input."""
        return self.passes(at_s, "end", {"CallType": "call-attempt"})

    def called_back(
        self, at_s: float, agent: AgentLine, event_type: str, legs: tuple[str, str], talk_s: int
    ) -> Request:
        """A StatusCallback of a call that the API placed: leg 0 is the agent's, leg 1 the customer's."""
        over = event_type == "terminal"
        facts = {
            "EventType": event_type,
            "Status": "completed" if over else "in-progress",
            "DateCreated": "<start>",
            "DateUpdated": "<now>",
            "From": agent.number,
            "To": self.caller,
            "PhoneNumberSid": EXOPHONE,
            "StartTime": "<start>",
            "EndTime": "<now>" if over else _UNSET,
            "Direction": "outbound-api",
            "CustomField": "demo",
        }
        if over:
            facts |= {"ConversationDuration": str(talk_s), "RecordingUrl": self.recording}
        for place, status in enumerate(legs):
            facts |= {f"Legs[{place}][Status]": status, f"Legs[{place}][OnCallDuration]": str(talk_s if over else 0)}
        params = (("CallSid", self.call_sid), *facts.items())
        return Request(at_s, "status", params, is_post=True)

    def _leg(self, place: int, agent: AgentLine, on_call_s: str, cause: str, code: str, left_by: str) -> dict[str, str]:
        facts = {
            "Number": agent.number,
            "Type": "single",
            "OnCallDuration": on_call_s,
            "CallerId": EXOPHONE,
            "CauseCode": cause,
            "Cause": code,
            "DisconnectedBy": left_by,
        }
        return {f"Legs[{place}][{name}]": value for name, value in facts.items()}

    def _request(self, at_s: float, event: str, query: tuple[tuple[str, str], ...] = (), **facts: str) -> Request:
        who = {"From": facts["CallFrom"], "To": facts["CallTo"]}
        params = {"CallSid": self.call_sid, **facts, **who, "Created": "<created>", "CurrentTime": "<now>"}
        return Request(at_s, event, tuple(params.items()), query)


_PICKED_UP: Final = ("NORMAL_CLEARING", "16", "Callee")
_RANG_OUT: Final = ("RING_TIMEOUT", "1003", "NA")


def _dated(request: Request, began: datetime) -> Request:
    """The request with its placeholders of time filled in."""
    stamps = {
        "<start>": began.strftime("%Y-%m-%d %H:%M:%S"),
        "<now>": (began + timedelta(seconds=request.at_s)).strftime("%Y-%m-%d %H:%M:%S"),
        "<created>": began.strftime("%a, %d %b %Y %H:%M:%S"),
    }
    params = tuple((name, stamps.get(value, value)) for name, value in request.params)
    return Request(request.at_s, request.event, params, request.query, request.is_post)


def _answered(flow: _Flow) -> Iterator[Request]:
    yield from flow.rings(2, AGENTS[0], for_s=48)
    yield flow.answered(50, AGENTS[:1], talk_s=44)


def _answered_automatic(flow: _Flow) -> Iterator[Request]:
    yield from flow.rings(2, AGENTS[1], for_s=33)
    yield flow.answered(35, AGENTS[1:2], talk_s=29, event="automated_answered")


def _missed(flow: _Flow) -> Iterator[Request]:
    yield from flow.rings(2, AGENTS[0], for_s=30)
    yield flow.unanswered(33, AGENTS[0], "incomplete", "no-answer")


def _gone_while_ringing(flow: _Flow) -> Iterator[Request]:
    yield from flow.rings(2, AGENTS[1], for_s=9)
    yield flow.unanswered(12, AGENTS[1], "client-hangup", "canceled")


def _ivr_then_agent(flow: _Flow) -> Iterator[Request]:
    yield flow.keyed(6, "ivr", "1", "lang_english")
    yield flow.keyed(14, "ivr", "2")
    yield flow.ended(15)
    yield from flow.rings(17, AGENTS[0], for_s=61)
    yield flow.answered(78, AGENTS[:1], talk_s=57)


def _gather(flow: _Flow) -> Iterator[Request]:
    yield flow.keyed(18, "gather", "00415246", "customer_account_number")
    yield flow.ended(19)


def _voicemail(flow: _Flow) -> Iterator[Request]:
    yield from flow.rings(2, AGENTS[0], for_s=30)
    facts = {"CallType": "voicemail", "RecordingUrl": flow.recording}
    yield flow.passes(58, "voicemail", facts)


def _gone_in_ivr(flow: _Flow) -> Iterator[Request]:
    yield flow.keyed(7, "ivr", "3", "lang_hindi")


def _several_agents(flow: _Flow) -> Iterator[Request]:
    yield from flow.rings(2, AGENTS[0], for_s=20)
    yield from flow.rings(23, AGENTS[1], for_s=20)
    yield from flow.rings(44, AGENTS[2], for_s=75)
    yield flow.answered(119, AGENTS, talk_s=71)


def _click_to_call(flow: _Flow) -> Iterator[Request]:
    yield flow.called_back(4, AGENTS[0], "answered", ("in-progress", ""), 0)
    yield flow.called_back(15, AGENTS[0], "answered", ("in-progress", "in-progress"), 0)
    yield flow.called_back(80, AGENTS[0], "terminal", ("completed", "completed"), 64)


_ALL: Final = (
    Scenario("answered", "Answered", _answered, None, "answered", if_asked="answered", heard=True),
    Scenario(
        "automatic", "Answered, ticket asked for by the flow", _answered_automatic, "answered", "answered", heard=True
    ),
    Scenario("missed", "Missed", _missed, "missed", "missed"),
    Scenario("ringing", "Caller gone while it rang", _gone_while_ringing, "missed", "missed"),
    Scenario(
        "ivr", "IVR, then an agent", _ivr_then_agent, "ivr", "answered", if_asked="answered", heard=True, keyed=True
    ),
    Scenario("gather", "Gather", _gather, "ivr", "ivr", keyed=True, quiet_s=120),
    Scenario("voicemail", "Voicemail", _voicemail, "voicemail", "voicemail", heard=True),
    Scenario("gone", "Caller gone in the IVR", _gone_in_ivr, "ivr", "ivr", keyed=True, quiet_s=120),
    Scenario("several", "Several agents in turn", _several_agents, None, "answered", if_asked="answered", heard=True),
    Scenario("outbound", "Click to call", _click_to_call, "outbound", "outbound", heard=True),
)

SCENARIOS: Final[Mapping[str, Scenario]] = {scenario.name: scenario for scenario in _ALL}


def utc_now() -> datetime:
    """Now, aware."""
    return datetime.now(UTC)
