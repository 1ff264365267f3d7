"""Between the entry's words and Freshdesk's fields: types out, names of what was refused and of what is missing in."""

import json
import re
from collections.abc import Mapping
from typing import Any

from connector.errors import Rejected

_NUMBERS = frozenset(
    {"status", "priority", "source", "responder_id", "group_id", "product_id", "company_id", "email_config_id"}
    | {"parent_id", "internal_agent_id", "internal_group_id"}
)
_LISTS = frozenset({"tags", "cc_emails"})
#: A typed value: true, false, a number, or a list of texts.
_TYPED = re.compile(r'json:\s*(true|false|-?(?:0|[1-9]\d{0,14})(?:\.\d{1,9})?|\[(?:"[^"\\]*"(?:,\s*"[^"\\]*")*)?\])')

#: Freshdesk's field -> the part of the entry that it holds; any other is an entry of `fields`.
_PARTS = {
    **dict.fromkeys(("responder_id", "user_id"), "agent"),
    **dict.fromkeys(("requester_id", "name", "email", "phone", "mobile", "unique_external_id"), "contact"),
    **dict.fromkeys(("description", "body"), "html"),
    "subject": "subject",
    "tags": "tags",
    "attachments": "recording",
}

#: Standard fields of `GET /ticket_fields` that every ticket of ours has.
_SENT = frozenset({"requester", "subject", "source", "status", "priority", "description"})
#: Names of `GET /ticket_fields` that a ticket's JSON spells otherwise.
_SPELLED = {
    "ticket_type": "type",
    "group": "group_id",
    "agent": "responder_id",
    "product": "product_id",
    "company": "company_id",
}
_EXAMPLES = {
    "custom_number": "a number, as json:3",
    "custom_decimal": "a number, as json:2.5",
    "custom_checkbox": "json:true or json:false",
    "custom_date": "a date, as 2025-03-02",
}


def ticket_fields(fields: Mapping[str, str]) -> dict[str, Any]:
    """The tenant's `fields` as a part of a ticket's JSON; an empty value leaves its field alone.

    Names that begin with `cf_` are custom fields. Their values are texts, unless written as `json:3`, `json:true` or
    `json:["a", "b"]`: whether `919876543210` is a number or the text of one cannot be seen from the value. Numbers and
    lists among the standard fields become such by their name, a list from text parted by commas. Raises `Rejected`.
    """
    written: dict[str, Any] = {}
    custom: dict[str, Any] = {}
    for name, value in fields.items():
        text = value.strip()
        if not text:
            continue
        if name.startswith("cf_"):
            custom[name] = _typed(name, text)
        elif name in _NUMBERS:
            written[name] = number_of(f"fields.{name}", text)
        elif name in _LISTS:
            written[name] = [item.strip() for item in text.split(",") if item.strip()]
        else:
            written[name] = text
    return written | ({"custom_fields": custom} if custom else {})


def number_of(part: str, text: str) -> int:
    """`text` as the number that Freshdesk wants for this part of the entry. Raises `Rejected`."""
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise Rejected(f"Freshdesk takes a number for {part}.", parts=(part,))
    return int(text)


def _typed(name: str, text: str) -> Any:
    if not text.startswith("json:"):
        return text
    found = _TYPED.fullmatch(text)
    if found is None:
        words = "after json: comes true, false, a number or a list of texts"
        raise Rejected(f"{name}: {words}.", parts=(f"fields.{name}",), words={f"fields.{name}": words})
    return json.loads(found[1])


def part_of(field: str) -> str:
    """Freshdesk's name of a field -> the part of the entry that was refused."""
    name = field.removeprefix("custom_fields.").removesuffix("[]")
    return _PARTS.get(name) or (f"fields.{name}" if name and name != "base" else "")


def mandatory(row: Mapping[str, Any]) -> str | None:
    """What to do about a row of `GET /ticket_fields` that every new ticket must fill; None where nothing."""
    name = str(row["name"])
    if not row.get("required_for_agents") or name in _SENT:
        return None
    example = _EXAMPLES.get(str(row.get("type")), "")
    choices = row.get("choices")
    if not example and choices and isinstance(choices, list | dict):
        example = "one of " + ", ".join(f"`{choice}`" for choice in list(choices)[:5])
    return (
        f"Every ticket must have the field {row.get('label') or name}: "
        f"options.fields.{_SPELLED.get(name, name)} has to fill it" + (f" ({example})." if example else ".")
    )
