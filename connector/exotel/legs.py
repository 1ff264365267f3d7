"""Legs, the attempts to reach somebody: one list in three encodings (docs/reference/exotel.md §2.5)."""

from collections.abc import Mapping
from typing import Any

from connector.exotel.model import Leg
from connector.exotel.wire import count_of, fold_keys, structure_of, text_of, word_of
from connector.phone import parse_number

#: The last leg of a call; indices beyond are nobody's.
_MOST_LEGS = 256


def read_legs(found: Any, country: str, *, keep_places: bool) -> list[Leg]:
    """Legs in their order, from a list or from an object whose names are indices; anything else gives none.

    With `keep_places` a gap before the second leg stays one: in a callback the place says whose leg it is (§4.2).
    """
    numbered: list[tuple[int, Any]]
    if isinstance(found, dict):
        numbered = sorted((int(i), leg) for i, leg in found.items() if i.isascii() and i.isdecimal() and len(i) < 7)
    else:
        numbered = list(enumerate(found)) if isinstance(found, list) else []
    rows = {index: fold_keys(leg) for index, leg in numbered[:_MOST_LEGS] if isinstance(leg, dict)}
    if keep_places and max(rows, default=0) == 1:
        rows = {0: rows.get(0, {}), 1: rows[1]}
    return [_leg(row, country) for row in rows.values()]


def _leg(row: Mapping[str, Any], country: str) -> Leg:
    found = structure_of(row.get("insights"))
    insights = fold_keys(found) if isinstance(found, dict) else {}
    cause, cause_code = _cause(row)
    status = word_of(row.get("status")) or word_of(insights.get("status"))
    ringing = count_of(row.get("ringingduration"))
    answered_by = text_of(row.get("answeredby"))
    return Leg(
        number=number_of(row.get("number"), country),
        status="canceled" if status == "cancelled" else status,
        on_call_duration_s=count_of(row.get("oncallduration")),
        ringing_duration_s=count_of(insights.get("ringingduration")) if ringing is None else ringing,
        cause=cause,
        cause_code=cause_code,
        type=word_of(row.get("type")),
        disconnected_by=side_of(row.get("disconnectedby")) or side_of(insights.get("disconnectedby")),
        # Upper case in payloads, capitalised in a document (docs/reference/exotel.md §11.11).
        answered_by=answered_by.upper() if answered_by else None,
        amd_cause=text_of(row.get("amdcause")),
    )


def _cause(row: Mapping[str, Any]) -> tuple[str | None, int | None]:
    """The cause's name and number, told apart by their looks: one page calls the number `Code`.

    See docs/reference/exotel.md §11.13.
    """
    told = [text for name in ("causecode", "cause", "code") if (text := text_of(row.get(name))) is not None]
    name = next((text for text in told if not text.isdecimal()), None)
    return name, next((code for text in told if (code := count_of(text)) is not None), None)


def side_of(value: Any) -> str | None:
    """Who hung up; None for `NA`, nobody knows."""
    side = text_of(value)
    return None if side is None or side.upper() == "NA" else side


def number_of(value: Any, country: str) -> str | None:
    """`parse_number` of a parameter's value: E.164, a `sip:` address or text; None where nothing is told."""
    text = text_of(value)
    if text is None:
        return None
    # A blank before the digits may have been a plus (docs/reference/exotel.md §2.1).
    return parse_number(f" {text}" if isinstance(value, str) and value[0] == " " else text, country)
