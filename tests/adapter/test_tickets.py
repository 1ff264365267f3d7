"""What is its people's once a ticket is made."""

from typing import Any

import pytest

from connector.adapter import TicketRule
from connector.errors import NotFound

RULE = TicketRule(owner="owner_id", state=("status", "stage"), gone=("deleted",), longest=20)
WORDS = {"subject": "New", "status": 2, "stage": "open", "owner_id": 7, "html": "words"}


@pytest.mark.parametrize(
    ("now", "was", "written"),
    [
        ({"subject": "Old"}, "Old", {"subject", "owner_id", "html"}),
        ({"subject": "Old", "owner_id": None}, "Old", {"subject", "owner_id", "html"}),
        ({"subject": "Old", "owner_id": 8}, "Old", {"subject", "html"}),
        ({"subject": "A  subject that is\nlong"}, "A subject that is long, longer than is kept", {"subject", "html"}),
        ({"subject": "(no subject)"}, " ", {"subject", "owner_id", "html"}),
        ({"subject": "By a person"}, "Old", None),
        ({"subject": None}, "Old", None),
        ({}, "Old", None),
    ],
)
def test_change(now: dict[str, Any], was: str, written: set[str] | None) -> None:
    found = RULE.change({"owner_id": 1 if "long" in was else None, **now}, was, WORDS)
    assert found == (None if written is None else {name: WORDS[name] for name in written})


def test_a_ticket_in_the_trash() -> None:
    with pytest.raises(NotFound):
        RULE.change({"subject": "By a person", "deleted": True}, "Old", WORDS)
