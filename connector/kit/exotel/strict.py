"""What the stand-in of Exotel makes of parameters: unknown ones and wrong values are refused, in JSON or in XML."""

import json
import re
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from aiohttp import web

from connector.kit.standin import Refused

#: Parameter -> whether a value of it is taken.
Rules = Mapping[str, Callable[[str], bool]]


def refused(status: int, message: str, code: int | None = None) -> Refused:
    """How voice and SMS refuse (docs/reference/exotel.md §8)."""
    told: dict[str, Any] = {"Status": status, "Message": message}
    if code is not None:
        told["Code"] = code
    return Refused(status, {"RestException": told})


def taken(given: Mapping[str, str], rules: Rules, *, needs: tuple[str, ...] = ()) -> dict[str, str]:
    """`given`, where each of it is known and right. Raises `Refused` (400) that names the parameter."""
    for name in needs:
        if not given.get(name):
            raise refused(400, f"Invalid Call Parameters: No '{name}' specified")
    for name, value in given.items():
        rule = rules.get(re.sub(r"\[\d\]$", "[]", name))
        if rule is None or not rule(value):
            raise refused(
                400, f"Invalid Parameter: {name} is not known" if rule is None else f"Invalid Parameter: {name}"
            )
    return dict(given)


async def form_of(request: web.Request) -> dict[str, str]:
    """The body's fields: urlencoded, multipart or JSON. Raises `Refused` (400) for a field that comes twice."""
    if request.content_type == "application/json":
        try:
            body = await request.json()
        except json.JSONDecodeError:
            body = None
        if not isinstance(body, dict) or not all(isinstance(value, str) for value in body.values()):
            raise refused(400, "Bad or missing parameters in request.")
        return body
    fields: dict[str, str] = {}
    for name, value in (await request.post()).items():
        if name in fields or not isinstance(value, str):
            raise refused(400, f"Invalid Parameter: {name}")
        fields[name] = value
    return fields


def query_of(request: web.Request) -> dict[str, str]:
    """The query's parameters. Raises `Refused` (400) for one that comes twice."""
    if len(set(request.query)) < len(request.query):
        raise refused(400, "Invalid Parameters: one is there twice")
    return dict(request.query)


def one_of(*words: str) -> Callable[[str], bool]:
    """One word of these."""
    return lambda value: value in words


def listed(rule: Callable[[str], bool], most: int) -> Callable[[str], bool]:
    """Values between commas."""
    return lambda value: 0 < len(value.split(",")) <= most and all(map(rule, value.split(",")))


def number_up_to(most: int, least: int = 1) -> Callable[[str], bool]:
    """A whole number."""
    return lambda value: value.isdecimal() and least <= int(value) <= most


def text_up_to(most: int) -> Callable[[str], bool]:
    """Text."""
    return lambda value: 0 < len(value) <= most


def is_url(value: str) -> bool:
    """An address that a callback can go to."""
    return re.fullmatch(r"https?://[^\s/]+(/\S*)?", value) is not None


def is_sid(value: str) -> bool:
    """An id of Exotel's."""
    return re.fullmatch(r"[A-Za-z0-9]{8,40}", value) is not None


def xml_of(body: Mapping[str, Any]) -> str:
    """An answer as XML: `<TwilioResponse>` around its fields."""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<TwilioResponse>{_elements(body)}</TwilioResponse>'


def _elements(body: Mapping[str, Any]) -> str:
    parts = []
    for name, value in body.items():
        if name == "Calls":  # repeated, without a list around them
            parts += [f"<Call>{_elements(call)}</Call>" for call in value]
        elif isinstance(value, list):
            parts.append(f"<{name}>{''.join(_wrapped(row) for row in value)}</{name}>")
        elif isinstance(value, Mapping):
            parts.append(f"<{name}>{_elements(value)}</{name}>")
        else:
            parts.append(f"<{name}/>" if value in (None, "") else f"<{name}>{escape(str(value))}</{name}>")
    return "".join(parts)


def _wrapped(row: Mapping[str, Any]) -> str:
    return _elements(row) if set(row) == {"Leg"} else f"<Leg>{_elements(row)}</Leg>"
