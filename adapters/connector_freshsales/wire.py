"""How Freshsales writes forms, errors and quota headers, and how its numbers compare."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from connector.adapter import QuotaHeaders, has_number

#: A 400 that passes on another service's 429 (docs/reference/freshsales.md §9).
_HIDDEN_429 = re.compile(r"response_code\W{1,6}429\b")
#: English only, and so no more than a hint: accounts answer in their own language.
_DUPLICATE = re.compile(r"not unique|already (?:been taken|exists)", re.IGNORECASE)
_DUPLICATE_CODE = "3002"


def _per_s(total: int) -> float:
    # Classic's limit is of a minute, all other documented ones are of an hour (§9)
    return 60.0 if total == 400 else 3600.0


#: Where there are any: none is documented, other products of Freshworks have these.
QUOTA: Final = QuotaHeaders(("X-RateLimit-Total", "X-RateLimit-Limit"), per=_per_s)


def with_number(rows: Sequence[dict[str, Any]], spellings: Sequence[str]) -> list[dict[str, Any]]:
    """The rows that have one of these numbers indeed (a filter may be passed over), newest first."""
    found = [row for row in rows if "mobile_number" not in row or has_number(row, spellings, "mobile_number")]
    return sorted(found, key=lambda row: (str(row.get("updated_at") or ""), int(row["id"])), reverse=True)


def form_of(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A JSON body as fields of a form: `phone_call[targetable][id]`."""
    return list(_flat(body, ""))


def _flat(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for inner, below in value.items():
            yield from _flat(below, f"{name}[{inner}]" if name else inner)
    elif isinstance(value, bool):
        yield name, "true" if value else "false"
    else:
        # "replace": a lone surrogate, which some client's text may hold, is no UTF-8
        yield name, str(value).encode("utf-8", "replace").decode()


def messages(body: Any) -> list[str]:
    """An error body's words: `errors` is an object or a list, `message` a text or a list (§10)."""
    if not isinstance(body, dict):
        return []
    errors = body.get("errors", body)
    found: list[str] = []
    for error in errors if isinstance(errors, list) else [errors]:
        said = error.get("message") if isinstance(error, dict) else error
        found += [str(text) for text in (said if isinstance(said, list) else [said]) if text]
    return found


def hides_429(body: Any) -> bool:
    """Whether a 400 says in its words that some service behind was asked too often."""
    return any(map(_HIDDEN_429.search, messages(body)))


def code_of(body: Any) -> str | None:
    """The `error_code` of a body, where it has one."""
    errors = body.get("errors", body) if isinstance(body, dict) else None
    code = errors.get("error_code", body.get("error_code")) if isinstance(errors, dict) else None
    return None if code is None else str(code)


def is_duplicate(body: Any) -> bool:
    """Whether a 400 certainly tells of a duplicate; False tells nothing."""
    return code_of(body) == _DUPLICATE_CODE or any(_DUPLICATE.search(text) for text in messages(body))
