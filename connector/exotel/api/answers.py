"""Exotel's answers to plain values: JSON or XML, chosen by content, since errors come as XML where JSON was asked.

Nothing here raises, whatever comes (docs/reference/exotel.md §6, §8).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from connector.exotel.wire import count_of, read_json, text_of

#: Deepest that an answer nests is a leg's field in a page of calls, some six levels down.
_DEEPEST: Final = 16
_LONGEST_WORDS: Final = 300
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,40}")


class Unreadable:
    """An answer that is neither JSON nor XML of Exotel's: somebody's page on the way, or half of it."""


UNREADABLE: Final = Unreadable()


@dataclass(frozen=True, slots=True)
class Problem:
    """What an error's body says. `status` where it names one; `code` is Exotel's own number or word."""

    status: int | None = None
    code: str | None = None
    words: str = ""


def decode(raw: bytes) -> Any:
    """An object or a list; XML as objects, whose repeated elements are lists; `UNREADABLE` for everything else."""
    text = raw.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if text[:1] in ("{", "["):
        found = read_json(text)
        return UNREADABLE if found is None else found
    if text[:1] == "<" and not re.match(r"<(?:!doctype\s+)?html\b", text, re.IGNORECASE):
        try:
            return _value(fromstring(raw.lstrip(b"\xef\xbb\xbf \t\r\n")), 0)
        except (ParseError, DefusedXmlException, ValueError, LookupError):  # LookupError: an encoding that is none
            return UNREADABLE
    return UNREADABLE


def _value(element: Element, depth: int) -> Any:
    """An element's children by name, or its text; None where it is empty. Raises `ValueError`: nested too deep."""
    if depth > _DEEPEST:
        raise ValueError("nested too deep")
    found: dict[str, Any] = {}
    for child in element:
        name, value = str(child.tag).rpartition("}")[2], _value(child, depth + 1)
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    return found if len(element) else text_of(element.text)


def object_of(value: Any, *names: str) -> Mapping[str, Any]:
    """The object under the first of `names` that holds one, in `value`; `value` itself where no name is given."""
    if not isinstance(value, Mapping):
        return {}
    if not names:
        return value
    return next((value[name] for name in names if isinstance(value.get(name), Mapping)), {})


def rows_of(value: Any, *names: str) -> list[Mapping[str, Any]]:
    """The objects under the first of `names` that is there: of a list, or the only one, as XML has it."""
    for name in names:
        found = value.get(name) if isinstance(value, Mapping) else None
        if isinstance(found, Mapping):
            return [found]
        if isinstance(found, list):
            return [row for row in found if isinstance(row, Mapping)]
    return []


def problem_of(body: Any) -> Problem | None:
    """What went wrong, in any of the shapes of docs/reference/exotel.md §8; None where the body tells of nothing
    wrong.
    """
    told = object_of(body, "RestException")
    if told:
        number = count_of(told.get("Status")) or count_of(told.get("Code"))
        status = number if number is not None and 100 <= number < 600 else None
        code = _code(told.get("Code")) if told.get("Code") != told.get("Status") else None
        return Problem(status, None if code == str(status) else code, _words(told, "Message", "Description"))
    if not isinstance(body, Mapping):
        return None
    return _newer(body)


def _newer(body: Mapping[str, Any]) -> Problem | None:
    """The shapes of v2 and ExoML: `response` holds `error_data`, `error`, or a list of such."""
    responses = rows_of(body, "response") or [body]
    for response in responses:
        told = object_of(response, "error_data", "error")
        status = count_of(response.get("code")) or count_of(body.get("http_code"))
        failed = text_of(response.get("status")) == "failure" or (status is not None and status >= 400)
        if told or failed:
            words = _words(told, "message", "description") or _words(response, "message", "error")
            return Problem(status, _code(told.get("code")), words)
    return None


def _code(value: Any) -> str | None:
    text = text_of(value)
    return text if text is not None and _CODE.fullmatch(text) else None


def _words(told: Mapping[str, Any], *names: str) -> str:
    found = (text_of(told.get(name)) for name in names)
    said = dict.fromkeys(text.rstrip(";. ") for text in found if text is not None)
    return ": ".join(said)[:_LONGEST_WORDS]
