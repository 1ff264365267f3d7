"""Rows of people."""

import re
from typing import Any

import pytest

from connector.adapter import Agent, Entry, agent_of, given_to, has_number


@pytest.mark.parametrize(
    ("row", "how", "agent"),
    [
        ({"id": 7}, {}, Agent("7")),
        ({"id": 7, "name": "Asha", "email": "a@x.example"}, {}, Agent("7", "Asha", "a@x.example")),
        ({"id": 7, "mail": "a@x.example", "email": ""}, {"email": "mail"}, Agent("7", "", "a@x.example")),
        ({"id": 7, "first": "Asha", "last": None}, {"name": "first last"}, Agent("7", "Asha")),
        ({"id": 7, "first": "Asha", "last": "Rao"}, {"name": "first last"}, Agent("7", "Asha Rao")),
        ({"id": 7, "zuid": 9}, {"ids": {"zuid": "zuid", "other": "other"}}, Agent("7", ids={"zuid": "9"})),
    ],
)
def test_agent_of(row: dict[str, Any], how: dict[str, Any], agent: Agent) -> None:
    assert agent_of(row, **how) == agent


@pytest.mark.parametrize(
    ("row", "phone"), [({}, None), ({"mobile": "", "phone": "2"}, "2"), ({"mobile": "1", "phone": "2"}, "1")]
)
def test_phone_of_an_agent(row: dict[str, Any], phone: str | None) -> None:
    assert agent_of({"id": 7, **row}, "mobile", "phone").phone == phone


def test_given_to() -> None:
    assert given_to("owner", Entry()) == {}
    assert given_to("owner", Entry(agent=Agent("7"))) == {"owner": "7"}


@pytest.mark.parametrize(
    ("row", "has"),
    [
        ({}, False),
        ({"phone": None, "mobile": "98765"}, False),
        ({"phone": "(0) 98765-43210"}, True),
        ({"mobile": "+91 98765 43210"}, True),
        ({"other": "09876543210"}, False),
        ({"phone": "SIP:Alice"}, True),
    ],
)
def test_has_number(row: dict[str, Any], has: bool) -> None:
    assert has_number(row, ("09876543210", "+919876543210", "sip:alice"), "phone", "mobile") is has


def test_what_counts_as_a_number_may_differ() -> None:
    row = {"phone": "(+91) 98765 43210"}
    assert has_number(row, ("+919876543210",), "phone")
    assert not has_number(row, ("+919876543210",), "phone", digits=re.compile(r"\+?[\d\s()]+"))
