"""How Zoho CRM writes numbers, searches, refusals and quota headers."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from connector.adapter import Quota, count
from connector_zoho_crm.fields import FIELDS

#: What counts as a number of a person's.
NUMBER: Final = re.compile(r"\+?[\d\s().\-/]+")
#: Terms of one search (docs/reference/zoho_crm.md §3.1: ten by the documentation, fifteen by the error text).
_TERMS = 10
_ENDING, _ESCAPED = re.compile(r"([\\(),])"), r"\\\1"
_LISTS = ("data", "users", "fields", "org")

#: Zoho's word -> the status that says the same. It is the code that counts, not the HTTP status
#: (docs/reference/zoho_crm.md §10).
_STATUS = {
    **dict.fromkeys(("INVALID_TOKEN", "AUTHENTICATION_FAILURE"), 401),
    # 403 and not 401: a fresh token would lack the same scope
    **dict.fromkeys(("OAUTH_SCOPE_MISMATCH", "NO_PERMISSION", "PERMISSION_DENIED"), 403),
    "DUPLICATE_DATA": 409,
    **dict.fromkeys(("RECORD_LOCKED", "RECORD_IN_BLUEPRINT"), 423),
    **dict.fromkeys(("TOO_MANY_REQUESTS", "LIMIT_EXCEEDED"), 429),
    **dict.fromkeys(("INTERNAL_ERROR", "INTERNAL_SERVER_ERROR"), 500),
}
#: A lead that became a contact: whoever holds it has to look the caller up again.
_CONVERTED = frozenset({"ID_ALREADY_CONVERTED", "CONVERTED_RECORD"})


def item_of(body: Any) -> dict[str, Any]:
    """What an answer says of the one record that was sent, or of the whole request; empty where it says nothing."""
    if not isinstance(body, dict):
        return {}
    for name in _LISTS:
        rows = body.get(name)
        if isinstance(rows, list) and rows and isinstance(rows[0], dict) and "code" in rows[0]:
            found: dict[str, Any] = rows[0]
            return found
    return body


def details_of(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """The details of such an item."""
    details = item.get("details")
    return details if isinstance(details, dict) else {}


def code_of(body: Any) -> str | None:
    """Zoho's word for what happened."""
    code = item_of(body).get("code")
    return code if isinstance(code, str) else None


def verdict_of(status: int, body: Any) -> int:
    """The status that an answer amounts to: refusals of single records come with 200 and 202.

    See docs/reference/zoho_crm.md §2.
    """
    item = item_of(body)
    if status >= 500 or item.get("status") != "error":
        return status
    details = details_of(item)
    # a record of the path, or of the body's `id`, that is not there
    if item.get("code") == "INVALID_DATA" and (details.get("api_name") == "id" or "resource_path_index" in details):
        return 404
    known = _STATUS.get(str(item.get("code")))
    if known is not None:
        return known
    # INVALID_MODULE and INVALID_URL_PATTERN come with 404, though no record of ours is gone
    return 400 if status < 400 or status in (404, 405) else status


def words_of(body: Any) -> Mapping[str, str]:
    """A refusal's words, under the part of the entry that it objects to."""
    item = item_of(body)
    details = details_of(item)
    code, message = item.get("code"), item.get("message")
    if not isinstance(message, str):
        return {}
    field = str(details.get("api_name", ""))
    named = re.fullmatch(r"[A-Za-z]\w{0,60}", field)
    part = "contact" if code in _CONVERTED else FIELDS.part_of(field) if named else ""
    wanted = {name: details[name] for name in ("expected_data_type", "maximum_length") if name in details}
    told = ", ".join([str(code), *(f"{name} {value}" for name, value in wanted.items())])
    return {part: f"{message} ({told})"}


def is_dialable(text: str) -> bool:
    """Whether a phone field takes this: letters are refused there (docs/reference/zoho_crm.md §4), thirty characters
    fit.
    """
    return bool(re.fullmatch(r"\+?\d{2,29}", text))


def term(field: str, value: str) -> str:
    """One term of a search; what would end it is escaped (docs/reference/zoho_crm.md §3.1)."""
    return f"({field}:equals:{_ENDING.sub(_ESCAPED, value)})"


def search_for(spellings: Sequence[str]) -> str:
    """A search for a caller by any of these, likeliest first; empty for none.

    Numbers are looked for as phone and mobile, other text (`sip:`) as the name that `create_contact` gives.
    """
    terms: list[str] = []
    for spelling in spellings:
        fields = ("Phone", "Mobile") if is_dialable(spelling) else ("Last_Name",)
        if len(terms) + len(fields) <= _TERMS:
            terms += [term(field, spelling) for field in fields]
    joined = "or".join(terms)
    return f"({joined})" if len(terms) > 1 else joined


def quota_of(headers: Mapping[str, str]) -> Mapping[str, Quota]:
    """Credits left of the rolling day, which the header tells once half of them are gone.

    See docs/reference/zoho_crm.md §9.

    What is left is shared out: no hour takes more than a sixth of it, so that it lasts until credits come back.
    """
    left = count(headers.get("X-API-CREDITS-REMAINING"))
    if left is None:
        return {}
    return {"all": Quota(limit=max(1, left // 6), per_s=3600.0, blocked_s=None if left else 900.0)}
