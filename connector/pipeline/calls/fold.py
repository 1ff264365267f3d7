"""All events of one CallSid -> one `Call`, the same whatever order they arrived in and however often they were told.

Events come late, doubled, out of order or never (docs/reference/exotel.md §1), and a flow that carries two dialects
tells every fact twice. So nothing here counts arrivals: events are sorted by Exotel's clock, and what they tell is
merged by meaning. More events can only move an outcome up: answered, voicemail, missed, ivr, in-progress
(docs/design.md §4). What only time can tell (an IVR that was left, a call gone quiet) is the plan's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from connector.exotel.model import (
    AgentRung,
    Call,
    CallEvent,
    Direction,
    Leg,
    Link,
    NoRecording,
    Outcome,
    Status,
)
from connector.phone import is_number
from connector.pipeline.calls.digits import inputs_of
from connector.pipeline.calls.facts import UNANSWERED, Arrived, Fact, Known, Result, fact_of, order_of
from connector.pipeline.calls.unreached import custom_field, machine_answered, unreached

__all__ = ["Arrived", "Known", "fold"]

#: How sure an event's word is of who is who: records of Call Details drift, popups may name another ExoPhone than the
#: one called (docs/reference/exotel.md §3.1, §6.3).
_LEAST_SURE: Final = {"details": 1, "popup": 2}


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
    arrived = sorted(events, key=order_of)
    links = _links(arrived)
    told = [(item, item.event) for item in arrived if isinstance(item.event, CallEvent)]
    if not told:
        moments = [item.received_at for item in arrived] or [0.0]
        return Call(call_sid=None, links=links, last_event_at=max(moments), first_event_at=min(moments))
    calls = [event for _, event in told]
    direction = _direction(calls)
    facts = [fact_of(item, event, direction, known) for item, event in told]

    rung = _agents(facts)
    digits = inputs_of((fact.event, fact.second) for fact in facts)
    kinds = frozenset(event.kind for event in calls)
    over = any(fact.terminal for fact in facts)
    results = _results(facts)
    if _customer_picked_up(facts, over=over):
        results.add("answered")
    input_alone = bool(digits) and "end" in kinds and not rung and over
    outcome = _outcome(results, input_alone=input_alone)

    nobody = unreached(calls) if direction == "outbound" and outcome == "missed" else None
    recording_url = _recording(facts, outcome)
    promises = [
        e.recording_available_by for e in calls if e.recording_available_by and e.recording_url == recording_url
    ]
    surest, heard_at = _surest_first(facts), _heard_at(facts)
    agents = _agents_rung(rung, settled=over, outcome=outcome)
    agent_number, agent_email = _who_answered(facts, rung, direction, outcome)
    started_at = min((event.started_at for event in calls if event.started_at is not None), default=None)
    ended_at = next((event.ended_at for event in reversed(calls) if event.ended_at is not None), None)
    return Call(
        call_sid=next((event.call_sid for event in calls if event.call_sid), None),
        direction=direction,
        customer_number=_likeliest([fact.customer for fact in surest]),
        exophone=_likeliest([fact.exophone for fact in surest], known.exophones),
        agent_number=agent_number,
        agent_email=agent_email,
        agents=agents,
        outcome=outcome,
        status=nobody.status if nobody is not None else _status(facts, outcome, over=over),
        kinds=kinds,
        missed="missed" in results,
        voicemail="voicemail" in results,
        over=over,
        closed=any(event.kind == "details" and event.event_type == "terminal" for event in calls),
        digits=digits,
        duration_s=_duration(calls),
        recording_url=recording_url,
        recording_available_by=max(promises, default=None),
        legs=_legs(facts),
        started_at=started_at,
        # An end before the start has been seen (docs/reference/exotel.md §2.2).
        ended_at=None if ended_at is not None and started_at is not None and ended_at < started_at else ended_at,
        disconnected_by=next((event.disconnected_by for event in reversed(calls) if event.disconnected_by), None),
        custom_field=custom_field(calls),
        unreached=nobody,
        machine=outcome == "answered" and machine_answered(calls),
        agent_open=any(agent.open for agent in rung),
        # What an agent did in the widget, or we asked for, says nothing of whether the call goes on.
        last_event_at=max(heard_at),
        first_event_at=min(heard_at),
        # `end` is the end of the input, from which on the plan may write it down.
        terminal_at=max(
            (f.received_at for f in facts if f.event.kind == "end" or (f.terminal and f.event.kind != "details")),
            default=None,
        ),
        links=links,
        recording_missing=recording_url is None and any(isinstance(item.event, NoRecording) for item in arrived),
    )


def _links(arrived: Sequence[Arrived]) -> tuple[Link, ...]:
    newest_first = sorted(arrived, key=lambda item: (item.received_at, item.id), reverse=True)
    links: dict[tuple[str, str], Link] = {}
    for item in newest_first:
        if isinstance(item.event, Link):
            links.setdefault((item.event.connection, item.event.id), item.event)
    return tuple(links.values())


def _direction(events: Sequence[CallEvent]) -> Direction:
    """As told, by popups least (docs/reference/exotel.md §11.1); callbacks alone belong to an API call, which is
    outbound (§4).
    """
    told = sorted((e for e in events if e.direction is not None), key=lambda event: _LEAST_SURE.get(event.kind, 0))
    if told:
        return told[0].direction or "inbound"
    return "outbound" if any(event.kind == "status" for event in events) else "inbound"


def _results(facts: Sequence[Fact]) -> set[Result]:
    """How the call ended, by all that was told. Of several records of Call Details, which settle, the best word counts;
    a recording in them is no voicemail where anybody says that the call was answered."""
    told = {fact.result for fact in facts if fact.result is not None and fact.event.kind != "details"}
    records = {fact.result for fact in facts if fact.result is not None and fact.event.kind == "details"}
    if "answered" in records:
        return told | {"answered"}
    if "voicemail" in records and "answered" in told:
        return told | {"missed"}
    return told | records


def _heard_at(facts: Sequence[Fact]) -> list[float]:
    """When the call was heard of (Unix times); of a call that records alone tell of, when it was by their word."""
    heard = [fact.received_at for fact in facts if fact.event.kind != "details"]
    if heard:
        return heard
    ends = [(fact.event.ended_at, fact.received_at) for fact in facts]
    return [min(ended_at.timestamp(), received_at) if ended_at else received_at for ended_at, received_at in ends]


def _customer_picked_up(facts: Sequence[Fact], *, over: bool) -> bool:
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


def _status(facts: Sequence[Fact], outcome: Outcome, *, over: bool) -> Status:
    """The status that goes with the outcome; an unknown one never replaces a known one.

    See docs/reference/exotel.md §2.3.
    """
    if outcome == "answered":
        return "completed" if over else "in-progress"
    if outcome == "voicemail":
        return "voicemail"
    if outcome == "missed":
        reasons = [f.event.status for f in facts if f.result == "missed" and f.event.status in UNANSWERED]
        return reasons[-1] if reasons else "no-answer"
    return next((fact.event.status for fact in reversed(facts) if fact.event.status != "unknown"), "unknown")


def _agents(facts: Sequence[Fact]) -> list[_Rung]:
    """Agents in the order they were rung."""
    rung: dict[str, _Rung] = {}

    def agent(number: str | None, email: str | None = None) -> _Rung:
        found = rung.setdefault(number or email or "", _Rung(number, email))
        found.email = found.email or email
        return found

    records = [fact for fact in facts if fact.event.kind == "details"]
    for fact in facts:
        event = fact.event
        if event.kind == "details":
            continue
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
    for fact in records:
        if fact.agent is not None:
            named = agent(fact.agent)
            if fact.event.direction == "outbound":
                named.talked = _callback_agent_talked(fact.event.legs, named.talked)
            elif fact.event.answered and not any(one.talked or one.picked_up for one in rung.values()):
                named.talked = True
        if fact.event.event_type == "terminal":
            for one in rung.values():
                one.open = False
    return list(rung.values())


def _callback_agent_talked(legs: Sequence[Leg], before: bool | None) -> bool | None:
    """Whether the agent of a call that we placed picked up, by the first leg (docs/reference/exotel.md §4.2)."""
    if before or not legs:
        return before
    first = legs[0]
    if first.on_call_duration_s or first.status in ("in-progress", "completed"):
        return True
    return False if first.status in UNANSWERED else before


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
    facts: Sequence[Fact], rung: Sequence[_Rung], direction: Direction, outcome: Outcome
) -> tuple[str | None, str | None]:
    """Number and e-mail of the agent who had the call; of a call that we placed, the agent it was placed for."""
    callers = ("status", "details") if direction == "outbound" else ()
    placed_for = [f.agent for f in facts if f.event.kind in callers and f.agent]
    winner = next((one for one in rung if one.talked and one.number not in placed_for), None)
    winner = winner or next((one for one in rung if one.number in placed_for), None)
    if winner is None and outcome == "answered":
        winner = next((one for one in rung if one.picked_up), None)
        if winner is None:
            # Who of several had it is not told: the one dialled last (docs/reference/exotel.md §3.2).
            last = next((f.agent for f in reversed(facts) if f.result == "answered" and f.agent), None)
            winner = next((one for one in rung if last is not None and one.number == last), None)
    return (winner.number, winner.email) if winner else (None, None)


def _surest_first(facts: Sequence[Fact]) -> list[Fact]:
    """Facts in their order, those whose word on who is who counts least behind."""
    return sorted(facts, key=lambda fact: _LEAST_SURE.get(fact.event.kind, 0))


def _likeliest(numbers: Sequence[str | None], known: frozenset[str] = frozenset()) -> str | None:
    """The first known number, else the first number, else the first other text."""
    told = [number for number in numbers if number is not None]
    return next((n for n in told if n in known), None) or next(filter(is_number, told), next(iter(told), None))


def _duration(events: Sequence[CallEvent]) -> int | None:
    """The newest talk time that is one; 0 only where nothing else was told."""
    told = [event.duration_s for event in events if event.duration_s is not None]
    return next((duration for duration in reversed(told) if duration), told[-1] if told else None)


def _recording(facts: Sequence[Fact], outcome: Outcome) -> str | None:
    """The newest link; of a voicemail the message's own, since a connect's may be carried along."""
    told = [(fact.result, fact.event.recording_url) for fact in reversed(facts) if fact.event.recording_url]
    if outcome == "voicemail":
        told.sort(key=lambda pair: pair[0] != "voicemail")
    return told[0][1] if told else None


def _legs(facts: Sequence[Fact]) -> tuple[Leg, ...]:
    """The legs that say most: of the answered connect, else of a terminal event, else the newest."""
    ranked = [((f.result == "answered", f.terminal, place), f.event.legs) for place, f in enumerate(facts)]
    return tuple(max((pair for pair in ranked if pair[1]), default=((), []), key=lambda pair: pair[0])[1])
