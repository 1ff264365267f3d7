"""What callbacks and records tell of a call that was placed, beyond what any call's events do: who was not reached."""

from collections.abc import Mapping, Sequence
from typing import Final

from connector.exotel.model import CallEvent, Status, Unreached
from connector.exotel.token import is_token

_UNANSWERED: Final[Mapping[str, Status]] = {
    "no-answer": "no-answer",
    "busy": "busy",
    "failed": "failed",
    "canceled": "canceled",
}


def unreached(events: Sequence[CallEvent]) -> Unreached | None:
    """Who of the two was not reached, in a call that nobody had: by the newest end that tells of legs.

    The first leg is the agent's (docs/reference/exotel.md §4.2); of a call into a flow, which names no agent, nothing
    is told. `events` in their order.
    """
    for event in reversed(events):
        if event.event_type != "terminal" or event.agent_number is None or not event.legs:
            continue
        agents, customers = event.legs[0], event.legs[1] if len(event.legs) > 1 else None
        if agents.status is not None and agents.status in _UNANSWERED:
            return Unreached(who="agent", status=_UNANSWERED[agents.status])
        if agents.status == "completed" or agents.on_call_duration_s:
            told = (customers.status if customers is not None else None, event.status)
            found = (_UNANSWERED[word] for word in told if word is not None and word in _UNANSWERED)
            return Unreached(who="customer", status=next(found, "no-answer"))
    return None


def machine_answered(events: Sequence[CallEvent]) -> bool:
    """Whether a machine took the customer's leg of a callback; `NOTSURE` is no machine."""
    callbacks = [event.legs for event in events if event.kind == "status" and len(event.legs) > 1]
    return any((legs[1].answered_by or "").startswith("MACHINE") for legs in callbacks)


def custom_field(events: Sequence[CallEvent]) -> str | None:
    """The newest that is the user's own: of a call that we placed, callbacks bring back our token."""
    told = (event.custom_field for event in reversed(events))
    return next((text for text in told if text and not is_token(text)), None)
