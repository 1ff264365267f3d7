"""Facts: what one event of a call tells by itself: its place among others, who is who, how the call ended."""

from dataclasses import dataclass
from typing import Final, Literal

from connector.exotel.model import CALLBACKS, ORDERS, CallEvent, Direction, Link, NoRecording
from connector.pipeline.calls.digits import tag_of

Result = Literal["answered", "voicemail", "missed", "completed"]

#: What comes amid a flow, or beside it: it carries what an earlier connect left, and proves nothing of the end.
_AMID: Final = frozenset({"ivr", "gather", "end"}) | ORDERS | CALLBACKS
UNANSWERED: Final = frozenset({"no-answer", "busy", "failed", "canceled"})
_FINAL: Final = UNANSWERED | {"completed", "voicemail"}
# An account without Ringing and Answered events has Dial and Terminal alone, told as Status busy and free.
_STAGES: Final = {"dial": 1, "ringing": 2, "answered": 3, "terminal": 4}


@dataclass(frozen=True, slots=True)
class Arrived:
    """One event of a call as the store has it: `received_at` is Unix time (UTC), `id` grows with arrival."""

    event: CallEvent | Link | NoRecording
    received_at: float
    id: int


@dataclass(frozen=True, slots=True)
class Known:
    """The tenant's own numbers, E.164 or `sip:`: they tell who is who where a request cannot.

    See docs/reference/exotel.md §3.2.1.
    """

    exophones: frozenset[str] = frozenset()
    agents: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Fact:
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


def order_of(item: Arrived) -> tuple[float, int, int, int]:
    """By Exotel's clock, then by a tag's step, then by a popup's stage, then by arrival.

    A flow's terminal passthru goes before popups of its second: what rings then is the next connect. Records of Call
    Details go first: they fill in what requests leave open, and what a request told stands against their drift.
    """
    event = item.event
    if not isinstance(event, CallEvent):
        return item.received_at, 0, 0, item.id
    if event.kind == "details":
        return 0.0, 0, 0, item.id
    at = item.received_at if event.occurred_at is None else event.occurred_at.timestamp()
    tag = tag_of(event)
    return at, 0 if tag is None else tag[1], _stage(event), item.id


def _stage(event: CallEvent) -> int:
    if event.kind != "popup":
        return 0
    if event.event_type is not None:
        return _STAGES[event.event_type]
    return _STAGES["terminal" if event.agent_state == "free" else "dial"]


def fact_of(item: Arrived, event: CallEvent, direction: Direction, known: Known) -> Fact:
    customer, agent, exophone = _parties(event, direction, known)
    at = item.received_at if event.occurred_at is None else event.occurred_at.timestamp()
    return Fact(
        event=event,
        received_at=item.received_at,
        second=int(at),
        result=result_of(event),
        terminal=is_terminal(event),
        customer=customer,
        agent=agent,
        exophone=exophone,
    )


def _parties(event: CallEvent, direction: Direction, known: Known) -> tuple[str | None, str | None, str | None]:
    """Customer, agent, ExoPhone, put right by the tenant's own numbers (docs/reference/exotel.md §3.2.1).

    Incoming requests and popups say surely who calls, so there only an ExoPhone in the customer's place is moved:
    an agent who rings the support line from the mapped mobile is the customer of that call.
    """
    customer, agent, exophone = event.customer_number, event.agent_number, event.exophone
    if customer in known.exophones and exophone is not None and exophone not in known.exophones:
        customer, exophone = exophone, customer
    if event.kind == "details" and agent in known.exophones:
        # A young record's `To` is the ExoPhone still; where its own field has an id, only the tenant's list tells.
        agent, exophone = None, exophone or agent
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


def is_terminal(event: CallEvent) -> bool:
    """Whether the event tells that the conversation, or the flow's last applet, is over."""
    if event.kind == "status":
        return event.event_type == "terminal" or (event.event_type is None and event.status in _FINAL)
    if event.kind == "details":
        return event.event_type == "terminal" and event.answered is not None
    return event.kind != "popup" and event.kind not in _AMID


def result_of(event: CallEvent) -> Result | None:
    """How the call ended, by this event alone. `completed` is a callback's word that does not tell whether they talked.

    The facts of the request beat the word in its URL (docs/reference/exotel.md §3.2.2); without facts the word stands,
    since the flow's branch was chosen by Exotel. Input requests carry what an earlier connect left and prove nothing
    (§1).
    """
    if event.kind == "popup" or event.kind in _AMID:
        return None
    if event.status == "voicemail":
        return "voicemail"
    if event.answered is not None:
        return "answered" if event.answered else "missed"
    if event.kind == "details":
        return None
    if event.kind != "status":
        return "missed" if event.kind == "missed" else "answered"
    if not is_terminal(event):
        return None
    if event.status in UNANSWERED or any(leg.status in UNANSWERED for leg in event.legs):
        return "missed"
    return "completed" if event.status == "completed" else None
