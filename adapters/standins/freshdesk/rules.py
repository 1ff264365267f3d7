"""What Freshdesk refuses in a body: unknown keys, wrong types, values outside an enumeration, mandatory fields.

Codes and shapes of the answers as in the API's own description (developers.freshdesk.com/api, errors); the words are
close to what clients quote. Lengths and enumerations: docs/reference/freshdesk.md §3.4, §4.1, §4.2 and §7.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from connector.kit.standin import checks
from connector.kit.standin.checks import Check, Fits, Shape, all_of, among, must, optional

Problem = dict[str, Any]
#: Message and code.
Wrong = tuple[str, str]

_NAMES = {str: "String", int: "Integer", bool: "Boolean", list: "Array", dict: "key/value pair", float: "Number"}
_UNKNOWN = ("Unexpected/invalid field in request", "invalid_field")
_MISSING = ("A text is expected", "missing_field")


def _typed(fits: Fits, wanted: str) -> Check[Wrong]:
    """A value of this type; the words tell the one that was given."""

    def check(value: Any) -> Wrong | None:
        given = "Null" if value is None else _NAMES.get(type(value), type(value).__name__)
        return None if fits(value) else (f"{wanted} is expected, not {given}", "datatype_mismatch")

    return check


integer = _typed(checks.whole(), "Positive Integer")
number = _typed(lambda value: type(value) in (int, float), "Number")
boolean = _typed(checks.boolean, "Boolean")
pairs = _typed(checks.mapping, "key/value pair")
_string = _typed(checks.text(), "String")


def text(most: int | None = None, *, blank: bool = True) -> Check[Wrong]:
    """Text of at most so many characters."""

    def check(value: str) -> Wrong | None:
        if not blank and not value.strip():
            return "It should not be blank as this is a mandatory field", "invalid_value"
        if most is not None and len(value) > most:
            return f"{len(value)} characters are too many, {most} fit", "too_long"
        return None

    return all_of(_string, check)


def one_of(fits: Fits, values: Iterable[object]) -> Check[Wrong]:
    """One of these; `fits` compares."""
    return must(fits, (f"It should be one of these values: '{','.join(map(str, values))}'", "invalid_value"))


def _numbers(*values: int) -> Check[Wrong]:
    return one_of(lambda value: type(value) is int and value in values, values)


def texts(most: int) -> Check[Wrong]:
    """A list of texts of at most so many characters each."""
    long = f"It should only contain elements that have maximum of {most} characters"
    return all_of(
        _typed(lambda value: type(value) is list, "Array"),
        must(checks.list_of(checks.text()), ("It should contain elements of type String only", "datatype_mismatch")),
        must(checks.list_of(checks.text(most)), (long, "too_long")),
    )


_FILES = must(lambda _files: True, _UNKNOWN)
_IDS = ("responder_id", "group_id", "product_id", "company_id", "email_config_id", "parent_id")

TICKET: Shape[Wrong] = {
    "subject": text(255, blank=False),
    "description": text(blank=False),
    "requester_id": integer,
    **dict.fromkeys(("email", "phone", "name", "unique_external_id", "facebook_id", "twitter_id"), text(255)),
    "status": integer,
    "priority": _numbers(1, 2, 3, 4),
    "source": _numbers(1, 2, 3, 5, 6, 7, 9, 10, 11),
    "type": optional(text(255)),
    "tags": texts(32),
    "cc_emails": texts(255),
    **dict.fromkeys(("due_by", "fr_due_by"), text()),
    "custom_fields": pairs,
    **dict.fromkeys((*_IDS, "internal_agent_id", "internal_group_id"), optional(integer)),
}

NOTE: Shape[Wrong] = {
    "body": text(blank=False),
    **dict.fromkeys(("private", "incoming"), boolean),
    "user_id": integer,
    "notify_emails": texts(255),
    "attachments": _FILES,
}

CONVERSATION: Shape[Wrong] = {"body": text(blank=False), "attachments": _FILES}

CONTACT: Shape[Wrong] = {
    "name": text(255, blank=False),
    **dict.fromkeys(("email", "phone", "mobile", "twitter_id", "unique_external_id"), optional(text(255))),
    **dict.fromkeys(("description", "address", "job_title", "language", "time_zone"), optional(text(255))),
    "company_id": optional(integer),
    "other_emails": texts(255),
    "tags": texts(32),
    "custom_fields": pairs,
    "view_all_tickets": boolean,
}

_CUSTOM: Shape[Wrong] = {
    "custom_text": text(255),
    "custom_paragraph": text(),
    "custom_number": integer,
    "custom_decimal": number,
    "custom_checkbox": boolean,
    "custom_multi_select_dropdown": texts(255),
    "custom_date": must(checks.like(r"\d{4}-\d\d-\d\d"), ("A date like 2025-03-02 is expected", "invalid_date")),
}
_WANTED = {"custom_number": "Integer", "custom_decimal": "Number", "custom_checkbox": "Boolean"}


def problems(body: Mapping[str, Any], shape: Shape[Wrong], required: Iterable[str] = ()) -> list[Problem]:
    """All that is wrong with a body, as Freshdesk lists it; one unknown key refuses the whole request."""
    found = checks.problems(body, shape, required, unknown=_UNKNOWN, missing=_MISSING)
    return [problem(field, *wrong) for field, wrong in found]


def custom_problems(values: Mapping[str, Any], fields: Iterable[Mapping[str, Any]], *, create: bool) -> list[Problem]:
    """What is wrong with `custom_fields`, by the account's own fields; `create` also asks for the mandatory ones."""
    known = {field["name"]: field for field in fields if not field.get("default")}
    found = [problem(name, *_UNKNOWN) for name in values if name not in known]
    for name, field in known.items():
        value = values.get(name)
        if value is None or value == "":
            if field.get("required_for_agents") and (create or name in values):
                found.append(problem(name, f"{_WANTED.get(field['type'], 'String')} is expected", "missing_field"))
        elif wrong := _custom(field)(value):
            found.append(problem(name, *wrong))
    return found


def _custom(field: Mapping[str, Any]) -> Check[Wrong]:
    if field["type"] != "custom_dropdown":
        return _CUSTOM[field["type"]]
    choices = list(field.get("choices", ()))
    return one_of(among(*choices), choices)


def problem(field: str, message: str, code: str) -> Problem:
    """One line of the answer's `errors`."""
    return {"field": field, "message": message, "code": code}
