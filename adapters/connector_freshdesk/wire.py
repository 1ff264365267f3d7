"""How Freshdesk writes lines, searches and quota headers."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from connector.adapter import Quota

_QUERY = 512
_MINUTE, _HOUR = 60.0, 3600.0
#: Totals of the older plans, which count by the hour and know no lower limits.
_HOURLY = (3000, 5000)
#: Total of a plan -> its limits of ticket creation and update, and of lists: Growth, Pro, Enterprise.
_PLANS = {200: (80, 20), 400: (160, 100), 700: (280, 200)}


def one_line(text: str) -> str:
    """One line of at most 255 characters: more is refused, not cut (Tickets, Contacts)."""
    return " ".join(text.split())[:255].rstrip()


def subject_of(text: str) -> str:
    """A ticket's subject; a blank one would be refused."""
    return one_line(text) or "(no subject)"


def search_for(spellings: Sequence[str]) -> str:
    """A search for any of these as mobile or phone, likeliest first, as long as a query may be; empty for none.

    Nothing tells how a quote is escaped in a query, so a spelling that has one is left out.
    """
    query = ""
    for spelling in spellings:
        terms = f"mobile:'{spelling}' OR phone:'{spelling}'"
        longer = f"{query} OR {terms}" if query else terms
        if "'" not in spelling and '"' not in spelling and len(longer) <= _QUERY:
            query = longer
    return f'"{query}"' if query else ""


def quota_of(headers: Mapping[str, str]) -> Mapping[str, Quota]:
    """What an answer's headers tell; lower limits follow from the total, since no header has them."""
    total, remaining = _count(headers.get("X-RateLimit-Total")), _count(headers.get("X-RateLimit-Remaining"))
    if total is None:
        return {} if remaining is None else {"all": Quota(remaining=remaining)}
    if total in _HOURLY:
        return {"all": Quota(remaining, total, _HOUR)}
    return {**_lower(total), "all": Quota(remaining, total, _MINUTE)}


def _count(value: str | None) -> int | None:
    # "100.0" has been seen
    return int(float(value)) if value and re.fullmatch(r"\d+(\.\d+)?", value.strip()) else None


@lru_cache(maxsize=16)
def _lower(total: int) -> Mapping[str, Quota]:
    writes, lists = _PLANS.get(total, (total, total))
    write, listing = Quota(limit=writes, per_s=_MINUTE), Quota(limit=lists, per_s=_MINUTE)
    return {"ticket_create": write, "ticket_update": write, "list": listing, "contact_list": listing}
