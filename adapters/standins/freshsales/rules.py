"""What a record may consist of: field -> check, as docs/reference/freshsales.md has it (§4 to §7).

The real API passes over members that it does not know; here they are refused, since what it ignores is a mistake too.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from connector.kit.standin import checks
from connector.kit.standin.checks import Check, Shape, must


def moment(value: Any) -> str | None:
    """ISO 8601 with an offset."""
    if type(value) is not str or "T" not in value:
        return "is not a valid date"
    try:
        return None if datetime.fromisoformat(value).tzinfo else "has no offset"
    except ValueError:
        return "is not a valid date"


def one_of(*values: str) -> Check[str]:
    """One of these words."""
    return must(checks.among(*values), "is not included in the list")


# an empty e-mail address, for one, is refused; the real API stores a text such as `incoming` as false
text = must(checks.text(blank=False), "can't be blank")
integer = must(checks.whole(1), "is not a number")
boolean = must(checks.boolean, "is not a boolean")
phone = must(checks.like(r"\+?[0-9 ().-]{4,20}"), "is invalid")
record = must(checks.mapping, "is invalid")

_CONTACT_TEXTS = (
    *("first_name", "last_name", "external_id", "email", "job_title", "address", "city", "state", "zipcode"),
    *("country", "time_zone", "medium", "keyword", "facebook", "twitter", "linkedin"),
)
_CONTACT_IDS = ("owner_id", "lead_source_id", "lifecycle_stage_id", "contact_status_id", "territory_id", "campaign_id")

CONTACT: Shape[str] = {
    **dict.fromkeys(_CONTACT_TEXTS, text),
    **dict.fromkeys(_CONTACT_IDS, integer),
    **dict.fromkeys(("mobile_number", "work_number"), phone),
    "custom_field": record,
}


def shapes(*, classic: bool) -> Mapping[str, Shape[str]]:
    """Root of a body -> its fields. Targets are written in small letters in call logs, and in Pascal case elsewhere."""
    kinds = ("Contact", "SalesAccount", "Deal", *(("Lead",) if classic else ()))
    target = {"targetable_type": one_of(*kinds), "targetable_id": integer}
    return {
        "contact": CONTACT,
        "phone_call": {
            "call_direction": boolean,
            "targetable_type": one_of("contact", "sales_account", "deal", *(("lead",) if classic else ())),
            "targetable": record,
            "note": record,
            "number": text,
            "source": text,
            "user_id": integer,
        },
        "note": {"description": text, **target},
        "sales_activity": {
            **target,
            **dict.fromkeys(("title", "notes"), text),
            **dict.fromkeys(("owner_id", "sales_activity_type_id", "sales_activity_outcome_id"), integer),
            **dict.fromkeys(("start_date", "end_date"), moment),
            "custom_field": record,
        },
        "task": {**target, "title": text, "description": text, "due_date": moment, "owner_id": integer},
    }


REQUIRED: Mapping[str, tuple[str, ...]] = {
    "contact": ("last_name",),
    "phone_call": ("call_direction", "targetable_type", "targetable"),
    "note": ("description", "targetable_type", "targetable_id"),
    "sales_activity": ("title", "targetable_type", "targetable_id", "owner_id", "sales_activity_type_id"),
    "task": ("title", "due_date", "targetable_type", "targetable_id"),
}


def problems(values: Mapping[str, Any], shape: Shape[str], required: tuple[str, ...] = ()) -> list[str]:
    """All that is wrong with a record, in words."""
    found = checks.problems(values, shape, required, unknown="is not permitted", missing="can't be blank")
    return [f"{name} {wrong}" for name, wrong in found]
