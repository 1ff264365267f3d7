"""Rows of people: users as agents, and contacts that hold a caller's number."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from connector.adapter.records import Agent, Entry
from connector.phone import DIGITS, alike


def agent_of(
    row: Mapping[str, Any],
    *phones: str,
    name: str = "name",
    email: str = "email",
    ids: Mapping[str, str] | None = None,
) -> Agent:
    """A user of the CRM. `name` may be several fields (`first last`); the first of `phones` that is filled counts.

    `ids`: our name of a further id -> theirs.
    """
    return Agent(
        id=str(row["id"]),
        name=" ".join(filter(None, map(row.get, name.split()))),
        email=row.get(email) or None,
        phone=next(filter(None, map(row.get, phones)), None),
        ids={ours: str(row[theirs]) for ours, theirs in (ids or {}).items() if row.get(theirs)},
    )


def given_to(name: str, entry: Entry) -> dict[str, str]:
    """The entry's agent under this name, for a CRM whose ids are texts; empty where nobody is meant."""
    return {name: entry.agent.id} if entry.agent else {}


def has_number(row: Mapping[str, Any], spellings: Sequence[str], *names: str, digits: re.Pattern[str] = DIGITS) -> bool:
    """Whether one of these fields holds one of the spellings indeed: searches compare loosely."""
    wanted = {alike(spelling, digits) for spelling in spellings}
    return any(alike(row.get(name), digits) in wanted for name in names)
