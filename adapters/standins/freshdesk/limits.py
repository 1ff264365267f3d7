"""What a key may do, and how often, as a plan has it (docs/reference/freshdesk.md §1 and §7)."""

from dataclasses import dataclass
from typing import Literal

#: `restricted` may not list agents and fields, `none` has no access to the API at all.
Rights = Literal["admin", "restricted", "none"]


@dataclass(frozen=True)
class Limits:
    """Requests a minute; these are Growth's."""

    all: int = 200
    ticket_create: int = 80
    ticket_update: int = 80
    list: int = 20
    contact_list: int = 20
