"""Leases on rows: one process at a time works on a row, until it gives the row back or until its time is over.

Column `lease_until` (Unix seconds) says until when; it is null where nobody holds the row. Column `owner` says who
does: here a *holder*, since owners are a CRM's users. What follows is spelled once for all tables that have the two; a
statement binds `:holder`, `:now` and `:lease_until`.
"""

from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

K = TypeVar("K")

#: In `set`: the row is held from now on.
TAKEN: Final = "owner = :holder, lease_until = :lease_until"
#: In `set`: the row is nobody's any more.
GIVEN_BACK: Final = "owner = null, lease_until = null"
#: In `where`: the row was taken by this holder, and by nobody after it.
HELD: Final = "owner = :holder"


def free(table: str, until: str = "lease_until") -> str:
    """In `where`: the row was given back, or its holder's time is over."""
    return f"({table}.{until} is null or {table}.{until} <= :now)"


@dataclass(frozen=True, slots=True)
class Hold(Generic[K]):
    """A wish to hold the row of a key, or to go on holding it, until `lease_until`."""

    key: K
    holder: str
    now: float
    lease_until: float

    def values(self) -> dict[str, Any]:
        """What a statement binds: `:key` and the three above."""
        return {"key": self.key, "holder": self.holder, "now": self.now, "lease_until": self.lease_until}
