"""`POST /crm/v3/objects/contacts/search`, with its limits (docs/reference/hubspot.md §4.1)."""

from collections.abc import Mapping
from typing import Any, Final

from standins.hubspot import rules
from standins.hubspot.limits import failed
from standins.hubspot.state import Account, Record

from connector.kit.standin import Refused

KEYS: Final = frozenset({"filterGroups", "properties", "sorts", "limit", "after", "query"})
_LONGEST: Final = 3000
_GROUPS, _FILTERS, _ALL_FILTERS, _LIMIT, _TOTAL = 5, 6, 18, 200, 10_000
#: Operator -> keys of its filter beside name and operator.
_OPERATORS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("EQ", "NEQ", "LT", "LTE", "GT", "GTE", "CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN"), ("value",)),
    **dict.fromkeys(("IN", "NOT_IN"), ("values",)),
    **dict.fromkeys(("HAS_PROPERTY", "NOT_HAS_PROPERTY"), ()),
    "BETWEEN": ("value", "highValue"),
}


def search(account: Account, body: dict[str, Any], size: int) -> list[tuple[Record, Record]]:
    """What was found, in order: records, and their properties as they were indexed. Raises `Refused`."""
    if size > _LONGEST:
        raise _wrong(f"the body has {size} characters, {_LONGEST} are allowed")
    groups = body.get("filterGroups", [])
    filters = [one for group in groups for one in group.get("filters", [])]
    if len(groups) > _GROUPS or len(filters) > _ALL_FILTERS or any(len(g["filters"]) > _FILTERS for g in groups):
        raise _wrong("too many filter groups or filters")
    for one in filters:
        _check(account, one)
    if not 0 < body.get("limit", 10) <= _LIMIT or not str(body.get("after", "0")).isdecimal():
        raise _wrong("limit is 1 to 200, after a whole number as text")
    if int(body.get("after", "0")) + body.get("limit", 10) > _TOTAL:
        raise _wrong("a search goes to 10,000 results")
    unknown = set(body.get("properties", [])) - rules.PROPERTIES["contacts"].keys() - account.custom.keys()
    if unknown:
        raise _wrong(f"no such properties: {', '.join(sorted(unknown))}")
    sorts = body.get("sorts", [])
    if len(sorts) > 1 or any(not isinstance(one, dict) or set(one) - {"propertyName", "direction"} for one in sorts):
        raise _wrong("sorts has one entry, with propertyName and direction")
    # what is compared for equality is looked up, so that a search costs the same in a large account
    values = [value for one in filters for value in (one.get("values") or [one.get("value")]) if value]
    quick = all(one["operator"] in ("EQ", "IN") and "phone" in one["propertyName"] for one in filters)
    found = [
        (row, seen)
        for row, seen in account.indexed(values if quick else None)
        if not groups or any(all(_fits(one, seen) for one in group["filters"]) for group in groups)
    ]
    for sort in sorts:
        name, down = sort["propertyName"], sort.get("direction") == "DESCENDING"
        found.sort(key=lambda pair: (pair[1].get(name) or "", int(pair[0]["id"])), reverse=down)
    return found


def _check(account: Account, one: dict[str, Any]) -> None:
    keys = _OPERATORS.get(one.get("operator", ""))
    if keys is None or set(one) != {"propertyName", "operator", *keys}:
        raise _wrong(f"a filter has propertyName, operator and {', '.join(keys or ('a known operator',))}")
    name = one["propertyName"]
    if name not in rules.PROPERTIES["contacts"] and name not in account.custom:
        raise _wrong(f"there was a problem with the request: no property {name}")
    if one["operator"] == "IN" and any(value != value.lower() for value in one["values"]):
        raise _wrong("values of IN are lower-case")


def _fits(one: dict[str, Any], seen: Record) -> bool:
    value = (seen.get(one["propertyName"]) or "").lower()
    match one["operator"]:
        case "EQ":
            return bool(value == one["value"].lower())
        case "IN":
            return value in one["values"]
        case "HAS_PROPERTY":
            return bool(value)
    raise _wrong(f"the stand-in does not know {one['operator']}")


def _wrong(words: str) -> Refused:
    return failed(400, "VALIDATION_ERROR", f"Invalid search: {words}")
