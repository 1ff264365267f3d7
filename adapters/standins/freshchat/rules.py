"""What Freshchat refuses in a body: unknown members, wrong types, values outside an enumeration, missing members.

Members and enumerations: docs/reference/freshchat.md §3.2, §4.1, §4.4 and §5; the error object: §7.
Where sources disagree, the stricter reading is taken.
"""

from collections.abc import Iterable
from typing import Any

from connector.kit.standin import Refused, checks
from connector.kit.standin.checks import Check, Shape, all_of, must

LONGEST_TEXT = 4000
_STATUSES = ("new", "assigned", "resolved", "reopened", "waiting on customer", "waiting on internal team")


def refusal(status: int, name: str, message: str) -> Refused:
    """A refusal in the API's shape."""
    return Refused(status, {"code": status, "status": name, "message": message})


def invalid(message: str) -> Refused:
    """A body or query that is not valid."""
    return refusal(400, "INVALID_VALUE", message)


def _text(most: int = 255) -> Check[str]:
    return all_of(
        must(checks.text(), "is not a string"),
        must(checks.text(blank=False), "is empty"),
        must(checks.text(most), "is too long"),
    )


def _one_of(*values: str) -> Check[str]:
    return must(checks.among(*values), f"is none of {', '.join(values)}")


def _list_of(shape: Shape[str], required: Iterable[str], *, least: int = 1, most: int = 50) -> Check[str]:
    def check(value: Any) -> str | None:
        if type(value) is not list or not least <= len(value) <= most:
            return f"is no list of {least} to {most}"
        return next(filter(None, (_wrong(one, shape, required) for one in value)), None)

    return check


def _object(shape: Shape[str], required: Iterable[str]) -> Check[str]:
    return lambda value: _wrong(value, shape, required)


def _wrong(value: Any, shape: Shape[str], required: Iterable[str]) -> str | None:
    if type(value) is not dict:
        return "is no object"
    found = checks.problems(value, shape, required, unknown="is not known", missing="is missing")
    return next((f"{name} {problem}" for name, problem in found), None)


_uuid = must(checks.like(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "is no UUID")


def _properties(value: Any) -> str | None:
    if type(value) is not dict:
        return "Conversation payload not valid"  # the list form (§4.4)
    for name, each in value.items():
        if type(each) is not str:
            return f"{name} is not a string"
        if name == "priority" and each not in ("Low", "Medium", "High", "Urgent"):
            return "priority is none of Low, Medium, High, Urgent"
    return None


def _part(value: Any) -> str | None:
    if type(value) is not dict or len(value) != 1:
        return "has a part that is not one of text, url_button"
    return _wrong(value, _PART, ())


_PART: Shape[str] = {
    "text": _object({"content": _text(LONGEST_TEXT)}, ("content",)),
    "url_button": _object(
        {
            "label": _text(),
            "url": must(checks.like(r"https?://\S+"), "is no address"),
            "target": _one_of("_self", "_blank"),
        },
        ("label", "url"),
    ),
}

USER: Shape[str] = {
    **dict.fromkeys(("first_name", "last_name", "email", "reference_id"), _text()),
    "phone": must(checks.like(r"\+?[0-9]{3,20}"), "is no phone number"),
    "avatar": _object({"url": _text(2048)}, ("url",)),
    "properties": _list_of({"name": _text(), "value": _text()}, ("name", "value"), least=0),
}
MESSAGE: Shape[str] = {
    "actor_type": _one_of("agent", "user", "bot", "system"),
    "actor_id": _uuid,
    "user_id": _uuid,
    "channel_id": _uuid,
    "message_type": _one_of("normal", "private"),
    "message_parts": lambda value: (
        next(filter(None, map(_part, value)), None) if type(value) is list and value else "is no list of parts"
    ),
}
CONVERSATION: Shape[str] = {
    "status": _one_of("new", "assigned"),
    **dict.fromkeys(("channel_id", "app_id", "assigned_agent_id", "assigned_group_id"), _uuid),
    "users": _list_of({"id": _uuid}, ("id",), most=1),
    "messages": _list_of(MESSAGE, ("actor_type", "message_type", "message_parts")),
    "properties": _properties,
}
CHANGES: Shape[str] = {
    "status": _one_of(*_STATUSES),
    "assigned_agent_id": lambda value: None if value == " " else _uuid(value),
    **dict.fromkeys(("assigned_group_id", "channel_id"), _uuid),
    "properties": _properties,
}


def demand(body: Any, shape: Shape[str], required: Iterable[str]) -> None:
    """Raises `Refused` where a body has not this shape."""
    problem = _wrong(body, shape, required)
    if problem:
        raise invalid(problem)
