"""What Freshdesk refuses in a body: unknown keys, wrong types, values outside an enumeration, mandatory fields.

Codes and shapes of the answers as in the API's own description (developers.freshdesk.com/api, errors); the words are
close to what clients quote. Lengths and enumerations: the project's Freshdesk reference, sections 3.4, 4.1, 4.2 and 7.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Problem = dict[str, Any]
#: None where the value is fine, else (message, code).
Check = Callable[[Any], tuple[str, str] | None]

_NAMES = {str: "String", int: "Integer", bool: "Boolean", list: "Array", dict: "key/value pair", float: "Number"}


def _wrong_type(value: Any, wanted: str) -> tuple[str, str]:
    given = "Null" if value is None else _NAMES.get(type(value), type(value).__name__)
    return f"{wanted} is expected, not {given}", "datatype_mismatch"


def integer(value: Any) -> tuple[str, str] | None:
    """A whole number; `true` is none."""
    return None if type(value) is int else _wrong_type(value, "Positive Integer")


def number(value: Any) -> tuple[str, str] | None:
    """A whole or a decimal number."""
    return None if type(value) in (int, float) else _wrong_type(value, "Number")


def boolean(value: Any) -> tuple[str, str] | None:
    """`true` or `false`."""
    return None if type(value) is bool else _wrong_type(value, "Boolean")


def text(most: int | None = None, *, blank: bool = True) -> Check:
    """Text of at most so many characters."""

    def check(value: Any) -> tuple[str, str] | None:
        if type(value) is not str:
            return _wrong_type(value, "String")
        if not blank and not value.strip():
            return "It should not be blank as this is a mandatory field", "invalid_value"
        if most is not None and len(value) > most:
            return f"{len(value)} characters are too many, {most} fit", "too_long"
        return None

    return check


def one_of(*values: int) -> Check:
    """One of these numbers."""
    words = ",".join(map(str, values))

    def check(value: Any) -> tuple[str, str] | None:
        if type(value) is int and value in values:
            return None
        return f"It should be one of these values: '{words}'", "invalid_value"

    return check


def texts(most: int) -> Check:
    """A list of texts of at most so many characters each."""

    def check(value: Any) -> tuple[str, str] | None:
        if type(value) is not list:
            return _wrong_type(value, "Array")
        if any(type(item) is not str for item in value):
            return "It should contain elements of type String only", "datatype_mismatch"
        if any(len(item) > most for item in value):
            return f"It should only contain elements that have maximum of {most} characters", "too_long"
        return None

    return check


def pairs(value: Any) -> tuple[str, str] | None:
    """An object; what is in it is checked elsewhere."""
    return None if type(value) is dict else _wrong_type(value, "key/value pair")


def _optional(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


TICKET: Mapping[str, Check] = {
    "subject": text(255, blank=False),
    "description": text(blank=False),
    "requester_id": integer,
    "email": text(255),
    "phone": text(255),
    "name": text(255),
    "unique_external_id": text(255),
    "facebook_id": text(255),
    "twitter_id": text(255),
    "status": integer,
    "priority": one_of(1, 2, 3, 4),
    "source": one_of(1, 2, 3, 5, 6, 7, 9, 10, 11),
    "type": _optional(text(255)),
    "tags": texts(32),
    "cc_emails": texts(255),
    "due_by": text(),
    "fr_due_by": text(),
    "custom_fields": pairs,
    **dict.fromkeys(
        (
            "responder_id",
            "group_id",
            "product_id",
            "company_id",
            "email_config_id",
            "parent_id",
            "internal_agent_id",
            "internal_group_id",
        ),
        _optional(integer),
    ),
}

NOTE: Mapping[str, Check] = {
    "body": text(blank=False),
    "private": boolean,
    "incoming": boolean,
    "user_id": integer,
    "notify_emails": texts(255),
    "attachments": lambda _files: None,
}

CONVERSATION: Mapping[str, Check] = {"body": text(blank=False), "attachments": lambda _files: None}

CONTACT: Mapping[str, Check] = {
    "name": text(255, blank=False),
    **dict.fromkeys(
        (
            "email",
            "phone",
            "mobile",
            "twitter_id",
            "unique_external_id",
            "description",
            "address",
            "job_title",
            "language",
            "time_zone",
        ),
        _optional(text(255)),
    ),
    "company_id": _optional(integer),
    "other_emails": texts(255),
    "tags": texts(32),
    "custom_fields": pairs,
    "view_all_tickets": boolean,
}

_CUSTOM: Mapping[str, Check] = {
    "custom_text": text(255),
    "custom_paragraph": text(),
    "custom_number": integer,
    "custom_decimal": number,
    "custom_checkbox": boolean,
    "custom_multi_select_dropdown": texts(255),
}


def problems(body: Mapping[str, Any], shape: Mapping[str, Check], required: Iterable[str] = ()) -> list[Problem]:
    """All that is wrong with a body, as Freshdesk lists it; one unknown key refuses the whole request."""
    found = []
    for field, value in body.items():
        check = shape.get(field)
        if check is None:
            found.append(problem(field, "Unexpected/invalid field in request", "invalid_field"))
        elif wrong := check(value):
            found.append(problem(field, *wrong))
    found += [problem(field, "A text is expected", "missing_field") for field in required if field not in body]
    return found


def custom_problems(values: Mapping[str, Any], fields: Iterable[Mapping[str, Any]], *, create: bool) -> list[Problem]:
    """What is wrong with `custom_fields`, by the account's own fields; `create` also asks for the mandatory ones."""
    known = {field["name"]: field for field in fields if not field.get("default")}
    found = [
        problem(name, "Unexpected/invalid field in request", "invalid_field") for name in values if name not in known
    ]
    for name, field in known.items():
        value = values.get(name)
        if value is None or value == "":
            if field.get("required_for_agents") and (create or name in values):
                found.append(problem(name, f"{_wanted(field)} is expected", "missing_field"))
        elif wrong := _custom(field)(value):
            found.append(problem(name, *wrong))
    return found


def _custom(field: Mapping[str, Any]) -> Check:
    kind = field["type"]
    if kind == "custom_dropdown":
        choices = list(field.get("choices", ()))
        words = ",".join(choices)
        return lambda value: (
            None if value in choices else (f"It should be one of these values: '{words}'", "invalid_value")
        )
    if kind == "custom_date":
        return lambda value: (
            None
            if type(value) is str and re.fullmatch(r"\d{4}-\d\d-\d\d", value)
            else ("A date like 2025-03-02 is expected", "invalid_date")
        )
    return _CUSTOM[kind]


def _wanted(field: Mapping[str, Any]) -> str:
    return {"custom_number": "Integer", "custom_decimal": "Number", "custom_checkbox": "Boolean"}.get(
        field["type"], "String"
    )


def problem(field: str, message: str, code: str) -> Problem:
    """One line of the answer's `errors`."""
    return {"field": field, "message": message, "code": code}
