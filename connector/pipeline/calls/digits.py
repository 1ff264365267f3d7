"""What a caller keyed, in order, with the labels that the flow's URLs gave it."""

from collections import Counter
from collections.abc import Iterable

from connector.exotel.model import CallEvent, Digits, Tag


def tag_of(event: CallEvent) -> Tag | None:
    """The tag that labels the event's input: of its own kind, else of the other, as the handbook's gather example."""
    own = next((tag for tag in event.tags if tag[0] == event.kind), None)
    return own or (event.tags[0] if event.tags else None)


def inputs_of(told: Iterable[tuple[CallEvent, int]]) -> tuple[Digits, ...]:
    """Inputs of events in order, each with the second it happened in. Only ivr and gather requests count: others still
    carry the last input's digits (docs/reference/exotel.md §1).

    One input is told twice where kind, digits and second are equal and no tag says otherwise.
    """
    found: dict[tuple[str, str, int, Tag | None], None] = {}
    for event, second in told:
        if event.kind in ("ivr", "gather") and event.digits:
            found[event.kind, event.digits, second, tag_of(event)] = None
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
