"""All events of one CallSid -> one `Call`, the same whatever order they arrived in and however often they were told.

Events come late, doubled, out of order or never (reference exotel.md §1), and a flow that carries two dialects tells
every fact twice. So nothing here counts arrivals: events are sorted by Exotel's clock, and what they tell is merged by
meaning. More events can only move an outcome up: answered, voicemail, missed, ivr, in-progress (design: domain).
What only time can tell (an IVR that was left, a call gone quiet) is the plan's.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from connector.exotel.model import (
    CALLBACKS,
    ORDERS,
    AgentRung,
    Call,
    CallEvent,
    Digits,
    Direction,
    Leg,
    Link,
    Outcome,
    Status,
    Tag,
)
from connector.phone import is_number
from connector.pipeline import placed

Result = Literal["answered", "voicemail", "missed", "completed"]

#: What comes amid a flow, or beside it: it carries what an earlier connect left, and proves nothing of the end.
_AMID: Final = frozenset({"ivr", "gather", "end"}) | ORDERS | CALLBACKS
_UNANSWERED: Final = frozenset({"no-answer", "busy", "failed", "canceled"})
_FINAL: Final = _UNANSWERED | {"completed", "voicemail"}
# An account without Ringing and Answered events has Dial and Terminal alone, told as Status busy and free.
_STAGES: Final = {"dial": 1, "ringing": 2, "answered": 3, "terminal": 4}


@dataclass(frozen=True, slots=True)
class Arrived:
    """One event of a call as the store has it: `received_at` is Unix time (UTC), `id` grows with arrival."""

    event: CallEvent | Link
    received_at: float
    id: int


@dataclass(frozen=True, slots=True)
class Known:
    """The tenant's own numbers, E.164 or `sip:`: they tell who is who where a request cannot (reference §3.2.1)."""

    exophones: frozenset[str] = frozenset()
    agents: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Fact:
    """One call event with what the fold derives from it."""

    event: CallEvent
    received_at: float
    #: Unix second of Exotel's clock, else of arrival.
    second: int
    result: Result | None
    terminal: bool
    customer: str | None
    agent: str | None
    exophone: str | None


@dataclass(slots=True)
class _Rung:
    """An agent while events are read in order."""

    number: str | None
    email: str | None = None
    #: What legs say: talked, or was rung in vain. None while no leg does.
    talked: bool | None = None
    #: A popup said that this agent picked up.
    picked_up: bool = False
    free: bool = False
    open: bool = False


def fold(events: Iterable[Arrived], known: Known) -> Call:
    """The call that `events` tell of, in any order. Without a `CallEvent` among them its `call_sid` is None."""
    arrived = sorted(events, key=_order)
    links = _links(arrived)
    told = [(item, item.event) for item in arrived if isinstance(item.event, CallEvent)]
    if not told:
        moments = [item.received_at for item in arrived] or [0.0]
        return Call(call_sid=None, links=links, last_event_at=max(moments), first_event_at=min(moments))
    calls = [event for _, event in told]
    direction = _direction(calls)
    facts = [_fact(item, event, direction, known) for item, event in told]

    rung = _agents(facts)
    digits = _digits(facts)
    kinds = frozenset(event.kind for event in calls)
    over = any(fact.terminal for fact in facts)
    results = {fact.result for fact in facts if fact.result is not None}
    if _customer_picked_up(facts, over=over):
        results.add("answered")
    input_alone = bool(digits) and "end" in kinds and not rung and over
    outcome = _outcome(results, input_alone=input_alone)

    unreached = placed.unreached(calls) if direction == "outbound" and outcome == "missed" else None
    agents = _agents_rung(rung, settled=over, outcome=outcome)
    recording_url = _recording(facts, outcome)
    promises = [
        e.recording_available_by for e in calls if e.recording_available_by and e.recording_url == recording_url
    ]
    agent_number, agent_email = _who_answered(facts, rung, direction, outcome)
    started_at = min((event.started_at for event in calls if event.started_at is not None), default=None)
    ended_at = next((event.ended_at for event in reversed(calls) if event.ended_at is not None), None)
    return Call(
        call_sid=next((event.call_sid for event in calls if event.call_sid), None),
        direction=direction,
        customer_number=_likeliest([fact.customer for fact in _popups_last(facts)]),
        exophone=_likeliest([fact.exophone for fact in _popups_last(facts)], known.exophones),
        agent_number=agent_number,
        agent_email=agent_email,
        agents=agents,
        outcome=outcome,
        status=unreached.status if unreached is not None else _status(facts, outcome, over=over),
        kinds=kinds,
        missed="missed" in results,
        voicemail="voicemail" in results,
        over=over,
        digits=digits,
        duration_s=_duration(calls),
        recording_url=recording_url,
        recording_available_by=max(promises, default=None),
        legs=_legs(facts),
        started_at=started_at,
        # An end before the start has been seen (reference exotel.md §2.2).
        ended_at=None if ended_at is not None and started_at is not None and ended_at < started_at else ended_at,
        disconnected_by=next((event.disconnected_by for event in reversed(calls) if event.disconnected_by), None),
        custom_field=placed.custom_field(calls),
        unreached=unreached,
        machine=outcome == "answered" and placed.machine_answered(calls),
        agent_open=any(agent.open for agent in rung),
        # What an agent did in the widget says nothing of whether the call goes on.
        last_event_at=max(fact.received_at for fact in facts),
        first_event_at=min(fact.received_at for fact in facts),
        # `end` is the end of the input, from which on the plan may write it down.
        terminal_at=max((f.received_at for f in facts if f.terminal or f.event.kind == "end"), default=None),
        links=links,
    )


def _order(item: Arrived) -> tuple[float, int, int, int]:
    """By Exotel's clock, then by a tag's step, then by a popup's stage, then by arrival.

    A flow's terminal passthru goes before popups of its second: what rings then is the next connect.
    """
    event = item.event
    if isinstance(event, Link):
        return item.received_at, 0, 0, item.id
    at = item.received_at if event.occurred_at is None else event.occurred_at.timestamp()
    tag = _tag(event)
    return at, 0 if tag is None else tag[1], _stage(event), item.id


def _stage(event: CallEvent) -> int:
    if event.kind != "popup":
        return 0
    if event.event_type is not None:
        return _STAGES[event.event_type]
    return _STAGES["terminal" if event.agent_state == "free" else "dial"]


def _links(arrived: Sequence[Arrived]) -> tuple[Link, ...]:
    newest_first = sorted(arrived, key=lambda item: (item.received_at, item.id), reverse=True)
    links: dict[tuple[str, str], Link] = {}
    for item in newest_first:
        if isinstance(item.event, Link):
            links.setdefault((item.event.connection, item.event.id), item.event)
    return tuple(links.values())


def _direction(events: Sequence[CallEvent]) -> Direction:
    """As told, by popups least (reference §11.1); callbacks alone belong to an API call, which is outbound (§4)."""
    told = sorted((e for e in events if e.direction is not None), key=lambda event: event.kind == "popup")
    if told:
        return told[0].direction or "inbound"
    return "outbound" if any(event.kind == "status" for event in events) else "inbound"


def _fact(item: Arrived, event: CallEvent, direction: Direction, known: Known) -> _Fact:
    customer, agent, exophone = _parties(event, direction, known)
    at = item.received_at if event.occurred_at is None else event.occurred_at.timestamp()
    return _Fact(
        event=event,
        received_at=item.received_at,
        second=int(at),
        result=_result(event),
        terminal=_is_terminal(event),
        customer=customer,
        agent=agent,
        exophone=exophone,
    )


def _parties(event: CallEvent, direction: Direction, known: Known) -> tuple[str | None, str | None, str | None]:
    """Customer, agent, ExoPhone, put right by the tenant's own numbers (reference exotel.md §3.2.1).

    Incoming requests and popups say surely who calls, so there only an ExoPhone in the customer's place is moved:
    an agent who rings the support line from the mapped mobile is the customer of that call.
    """
    customer, agent, exophone = event.customer_number, event.agent_number, event.exophone
    if customer in known.exophones and exophone is not None and exophone not in known.exophones:
        customer, exophone = exophone, customer
    if direction == "inbound" or event.kind == "popup":
        return customer, agent, exophone
    named = [n for n in dict.fromkeys((exophone, agent, customer, *event.other_numbers)) if n is not None]
    exophone = next((number for number in named if number in known.exophones), exophone)
    mapped = next((number for number in named if number in known.agents and number != exophone), agent)
    rest = [n for n in named if n not in (exophone, mapped) and n not in known.exophones]
    if customer in (exophone, mapped):
        # With nobody else named the request's own reading stands.
        return (rest[0], mapped, exophone) if rest else (customer, agent, exophone)
    return customer, mapped, exophone


def _is_terminal(event: CallEvent) -> bool:
    """Whether the event tells that the conversation, or the flow's last applet, is over."""
    if event.kind == "status":
        return event.event_type == "terminal" or (event.event_type is None and event.status in _FINAL)
    return event.kind != "popup" and event.kind not in _AMID


def _result(event: CallEvent) -> Result | None:
    """How the call ended, by this event alone. `completed` is a callback's word that does not tell whether they talked.

    The facts of the request beat the word in its URL (reference exotel.md §3.2.2); without facts the word stands, since
    the flow's branch was chosen by Exotel. Input requests carry what an earlier connect left and prove nothing (§1).
    """
    if event.kind == "popup" or event.kind in _AMID:
        return None
    if event.status == "voicemail":
        return "voicemail"
    if event.answered is not None:
        return "answered" if event.answered else "missed"
    if event.kind != "status":
        return "missed" if event.kind == "missed" else "answered"
    if not _is_terminal(event):
        return None
    if event.status in _UNANSWERED or any(leg.status in _UNANSWERED for leg in event.legs):
        return "missed"
    return "completed" if event.status == "completed" else None


def _customer_picked_up(facts: Sequence[_Fact], *, over: bool) -> bool:
    """Whether a second `answered` callback came: the first is the agent's leg, and legs may be missing (§4.2)."""
    answers = [f.event for f in facts if f.event.kind == "status" and f.event.event_type == "answered"]
    # Old callbacks have no EventTime; DateUpdated tells a second one from a doubled one.
    moments = {event.occurred_at or str(event.raw.get("DateUpdated")) for event in answers}
    return not over and len(moments) > 1 and not all(event.legs for event in answers)


def _outcome(results: set[Result], *, input_alone: bool) -> Outcome:
    if "answered" in results:
        return "answered"
    if "voicemail" in results:
        return "voicemail"
    if "missed" in results:
        return "missed"
    if input_alone:
        return "ivr"
    # The basic callback of a call whose flow told nothing: somebody picked up, no more is known.
    return "answered" if "completed" in results else "in-progress"


def _status(facts: Sequence[_Fact], outcome: Outcome, *, over: bool) -> Status:
    """The status that goes with the outcome; an unknown one never replaces a known one (reference exotel.md §2.3)."""
    if outcome == "answered":
        return "completed" if over else "in-progress"
    if outcome == "voicemail":
        return "voicemail"
    if outcome == "missed":
        reasons = [f.event.status for f in facts if f.result == "missed" and f.event.status in _UNANSWERED]
        return reasons[-1] if reasons else "no-answer"
    return next((fact.event.status for fact in reversed(facts) if fact.event.status != "unknown"), "unknown")


def _tag(event: CallEvent) -> Tag | None:
    """The tag that labels the event's input: of its own kind, else of the other, as the handbook's gather example."""
    own = next((tag for tag in event.tags if tag[0] == event.kind), None)
    return own or (event.tags[0] if event.tags else None)


def _digits(facts: Sequence[_Fact]) -> tuple[Digits, ...]:
    """Inputs in order. Only ivr and gather requests count: others still carry the last input's digits (§1).

    One input is told twice where kind, digits and second are equal and no tag says otherwise.
    """
    found: dict[tuple[str, str, int, Tag | None], None] = {}
    for fact in facts:
        event = fact.event
        if event.kind in ("ivr", "gather") and event.digits:
            found[event.kind, event.digits, fact.second, _tag(event)] = None
    tagged = {key[:3] for key in found if key[3] is not None}
    inputs = []
    counted: Counter[str] = Counter()
    for kind, digits, second, tag in found:
        if tag is None and (kind, digits, second) in tagged:
            continue
        kind = kind if tag is None else tag[0]
        counted[kind] += 1
        inputs.append(Digits(label=f"{kind}_tag_{counted[kind]}" if tag is None else tag[2], digits=digits))
    return tuple(inputs)


def _agents(facts: Sequence[_Fact]) -> list[_Rung]:
    """Agents in the order they were rung."""
    rung: dict[str, _Rung] = {}

    def agent(number: str | None, email: str | None = None) -> _Rung:
        found = rung.setdefault(number or email or "", _Rung(number, email))
        found.email = found.email or email
        return found

    for fact in facts:
        event = fact.event
        if event.kind == "popup":
            popped = agent(fact.agent, event.agent_email)
            popped.free = popped.free if event.status == "unknown" else event.status == "agent-free"
            popped.open = not popped.free
            popped.picked_up |= event.event_type == "answered"
            continue
        # A callback's legs are From and To; a passthru's are the agents whom the flow dialled.
        legs = [leg for leg in event.legs if leg.number] if event.kind != "status" else []
        for leg in legs:
            if leg.number != fact.customer and leg.on_call_duration_s is not None:
                dialled = agent(leg.number)
                dialled.talked = dialled.talked or leg.on_call_duration_s > 0
            elif leg.number != fact.customer:
                agent(leg.number)
        if fact.agent is not None:
            last = agent(fact.agent, event.agent_email)
            if event.kind == "status":
                last.talked = _callback_agent_talked(event.legs, last.talked)
                last.open = event.status in ("ringing", "in-progress")
            elif event.answered and len(event.legs) < 2 and not any(leg.on_call_duration_s for leg in legs):
                last.talked = True
        if fact.terminal:
            for one in rung.values():
                one.open = False
    return list(rung.values())


def _callback_agent_talked(legs: Sequence[Leg], before: bool | None) -> bool | None:
    """Whether the agent of a call that we placed picked up, by the first leg (reference exotel.md §4.2)."""
    if before or not legs:
        return before
    first = legs[0]
    if first.on_call_duration_s or first.status in ("in-progress", "completed"):
        return True
    return False if first.status in _UNANSWERED else before


def _agents_rung(rung: Sequence[_Rung], *, settled: bool, outcome: Outcome) -> tuple[AgentRung, ...]:
    verdicts = [one.talked if one.talked is not None else (one.picked_up or None) for one in rung]
    # Once the call is over and it is known who had it, or that nobody had, the others were rung in vain.
    if settled and (any(verdicts) or outcome != "answered"):
        verdicts = [bool(verdict) for verdict in verdicts]
    return tuple(
        AgentRung(number=one.number, email=one.email, answered=verdict, free=one.free)
        for one, verdict in zip(rung, verdicts, strict=True)
    )


def _who_answered(
    facts: Sequence[_Fact], rung: Sequence[_Rung], direction: Direction, outcome: Outcome
) -> tuple[str | None, str | None]:
    """Number and e-mail of the agent who had the call; of a call that we placed, the agent it was placed for."""
    placed_for = [f.agent for f in facts if f.event.kind == "status" and f.agent] if direction == "outbound" else []
    winner = next((one for one in rung if one.talked and one.number not in placed_for), None)
    winner = winner or next((one for one in rung if one.number in placed_for), None)
    if winner is None and outcome == "answered":
        winner = next((one for one in rung if one.picked_up), None)
        if winner is None:
            # Who of several had it is not told: the one dialled last (reference exotel.md §3.2).
            last = next((f.agent for f in reversed(facts) if f.result == "answered" and f.agent), None)
            winner = next((one for one in rung if last is not None and one.number == last), None)
    return (winner.number, winner.email) if winner else (None, None)


def _popups_last(facts: Sequence[_Fact]) -> list[_Fact]:
    """Popups may name another ExoPhone than the one called (reference exotel.md §3.1)."""
    return sorted(facts, key=lambda fact: fact.event.kind == "popup")


def _likeliest(numbers: Sequence[str | None], known: frozenset[str] = frozenset()) -> str | None:
    """The first known number, else the first number, else the first other text."""
    told = [number for number in numbers if number is not None]
    return next((n for n in told if n in known), None) or next(filter(is_number, told), next(iter(told), None))


def _duration(events: Sequence[CallEvent]) -> int | None:
    """The newest talk time that is one; 0 only where nothing else was told."""
    told = [event.duration_s for event in events if event.duration_s is not None]
    return next((duration for duration in reversed(told) if duration), told[-1] if told else None)


def _recording(facts: Sequence[_Fact], outcome: Outcome) -> str | None:
    """The newest link; of a voicemail the message's own, since a connect's may be carried along."""
    told = [(fact.result, fact.event.recording_url) for fact in reversed(facts) if fact.event.recording_url]
    if outcome == "voicemail":
        told.sort(key=lambda pair: pair[0] != "voicemail")
    return told[0][1] if told else None


def _legs(facts: Sequence[_Fact]) -> tuple[Leg, ...]:
    """The legs that say most: of the answered connect, else of a terminal event, else the newest."""
    ranked = [((f.result == "answered", f.terminal, place), f.event.legs) for place, f in enumerate(facts)]
    return tuple(max((pair for pair in ranked if pair[1]), default=((), []), key=lambda pair: pair[0])[1])
