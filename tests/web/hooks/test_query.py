"""The fast reading of queries is the standard library's reading."""

from urllib.parse import parse_qsl

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connector.errors import IngressError
from connector.web.hooks.query import read_query

_PIECES = [
    "a",
    "CallSid",
    "=",
    "&",
    "+",
    "%",
    "%2",
    "%20",
    "%2B",
    "%ff",
    "%E0%A4%95",
    "%E0%A4",
    ";",
    '"',
    "#",
    "[0]",
    "%5B",
]


@given(st.lists(st.sampled_from(_PIECES)).map("".join) | st.text(st.characters(codec="ascii")))
@example("")
@example("&&=&=1&a&a=&a=b=c")
def test_reads_as_the_standard_library(query: str) -> None:
    assert read_query(query) == parse_qsl(query, keep_blank_values=True)


@pytest.mark.parametrize("query", ["a" * 65537, "&" * 1000])
def test_is_bounded(query: str) -> None:
    with pytest.raises(IngressError) as caught:
        read_query(query)
    assert caught.value.code == "too_large"
