"""Customers' numbers under a mask: what is left of each spelling, and what is not touched."""

import json

import pytest
from sqlalchemy import insert

from connector.cli import calls
from connector.errors import ConfigError
from connector.phone import WITHHELD
from connector.store import schema
from connector.tenants.file import parse
from connector.tenants.masking import Mask, shown
from tests.rig.shop import Shop

NUMBER = "+918884643606"
SPELLINGS = (
    *("+918884643606", "918884643606", "08884643606", "8884643606", "00918884643606", "0008884643606"),
    *("%2B918884643606", "+91 88846 43606", "0888-464-3606", "+91 (888) 464 3606"),
)


@pytest.mark.parametrize(
    ("number", "masked"),
    [
        ("08884643606", "…3606"),
        ("+6591234567", "…4567"),
        ("sip:08884643606@acme.example", "sip:…3606@acme.example"),
        ("sip:alice", "sip:alice"),
        ("155260", "…5260"),
        ("anonymous", "anonymous"),
        (None, WITHHELD),
    ],
)
def test_what_people_read(number: str | None, masked: str) -> None:
    assert shown(number, "IN", Mask(4)) == masked


def test_a_rule_says_how_many_digits_stay() -> None:
    assert [shown(NUMBER, "IN", Mask.of(rule)) for rule in ("last_2", "last_3", "last_4", "whole", None)] == [
        *("…06", "…606", "…3606", "08884643606", "08884643606")
    ]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("around", ["{}", "From={}&To=1", "call {}.", '"{}"', "%22{}%22", "x{}y"])
def test_every_spelling_is_found_in_text(spelling: str, around: str) -> None:
    hidden = Mask(4).hidden({"a": [around.format(spelling)]}, [NUMBER], "IN")
    assert hidden == {"a": [around.format("…3606")]}


@pytest.mark.parametrize(
    "text",
    [
        "+919711581199",
        "08884643607",
        "188846436061",
        "2026-11-21 10:00:00",
        "https://acme.example/7",
    ],
)
def test_other_numbers_stay(text: str) -> None:
    assert Mask(4).hidden(text, [NUMBER], "IN") == text


def test_links_to_recordings_stay() -> None:
    url = "https://recordings.exotel.com/exotelrecordings/acme1/08884643606.mp3"
    value = {"RecordingUrl": url, "recording_url": url, "CallFrom": "08884643606"}
    assert Mask(4).hidden(value, [NUMBER], "IN") == {**value, "CallFrom": "…3606"}


def test_callers_without_a_number_hide_nothing() -> None:
    assert Mask(4).hidden({"a": "sip:alice at 10 o'clock"}, ["sip:alice"], "IN") == {"a": "sip:alice at 10 o'clock"}
    assert Mask(4).hidden("from sip:08884643606@x", ["sip:08884643606@x"], "IN") == "from sip:…3606@x"


@pytest.mark.parametrize(("rule", "seen"), [("last_4", "…3606"), ("whole", NUMBER)])
@pytest.mark.parametrize("as_json", [True, False])
def test_the_command_lines_list_of_calls(
    shop: Shop, capsys: pytest.CaptureFixture[str], rule: str, seen: str, as_json: bool
) -> None:
    shop.apply(mask={"customer_numbers": rule})
    summary = json.dumps({"customer_number": NUMBER, "direction": "inbound", "outcome": "missed"})
    row = {"tenant_id": shop.tenant.id, "call_sid": "sid1", "created_at": 1.0, "summary": summary, "customer": NUMBER}
    shop.db.transact(lambda sql: sql.execute(insert(schema.call).values(row)))
    calls.calls(shop.config, None, None, 10, as_json)
    said = capsys.readouterr().out
    assert seen in said
    assert (NUMBER in said) == (rule == "whole")


def test_a_mask_is_applied_and_taken_back(shop: Shop) -> None:
    shop.apply(mask={"customer_numbers": "last_3"})
    assert shop.tenant.mask == Mask(3)
    shop.apply()
    assert shop.tenant.mask == Mask(3), "what a file omits is left alone"
    shop.apply(mask=None)
    assert shop.tenant.mask is None


def test_a_rule_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"tenants\[0\]\.mask\.customer_numbers: .*'last_4'"):
        parse("tenants: [{sid: a1, mask: {customer_numbers: last_9}}]", "t.yaml", {})
