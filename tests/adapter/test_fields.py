"""A tenant's fields as a CRM takes them, and how it names what it refuses or demands."""

from typing import Any

import pytest

from connector.adapter import Agent, Described, Entry, Fields, by_part
from connector.errors import Rejected

PLAIN = Fields("Tally")
DESK = Fields(
    "Tally",
    numbers="status|.*_id",
    lists=frozenset({"tags"}),
    custom="custom",
    typed=("true, false", "a number", "a list of texts"),
    parts={"owner_id": "agent", "base": ""},
    sent=frozenset({"subject"}),
    spelled={"group": "group_id"},
    examples={"date": "a date, as 2025-03-02"},
)
LOOSE = Fields("Tally", typed=("a number", "the id of a record"))


@pytest.mark.parametrize(
    ("fields", "value", "written"),
    [
        (PLAIN, {"a": " x ", "b": " ", "c": ""}, {"a": "x"}),
        (PLAIN, {"cf_a": "json:3", "group_id": "7"}, {"cf_a": "json:3", "group_id": "7"}),
        (DESK, {"status": " 2 ", "group_id": "7"}, {"status": 2, "group_id": 7}),
        (DESK, {"tags": "a, b,,"}, {"tags": ["a", "b"]}),
        (DESK, {"cf_a": "3", "type": "json:3"}, {"type": "json:3", "custom": {"cf_a": "3"}}),
        (DESK, {"cf_a": "json:3", "cf_b": "json: -2.5"}, {"custom": {"cf_a": 3, "cf_b": -2.5}}),
        (DESK, {"cf_a": "json:true", "cf_b": 'json:["x", "y"]'}, {"custom": {"cf_a": True, "cf_b": ["x", "y"]}}),
        (DESK, {"cf_a": " "}, {}),
        (LOOSE, {"A": "json:3", "B": 'json:{"id": "12"}', "C": "3"}, {"A": 3, "B": {"id": "12"}, "C": "3"}),
    ],
)
def test_written(fields: Fields, value: dict[str, str], written: dict[str, Any]) -> None:
    assert fields.written(value) == written


@pytest.mark.parametrize(
    ("fields", "value", "part", "words"),
    [
        (DESK, {"group_id": "seven"}, "fields.group_id", "Tally takes a number for fields.group_id."),
        (DESK, {"group_id": "1" * 19}, "fields.group_id", "Tally takes a number for fields.group_id."),
        (
            DESK,
            {"cf_a": "json:{}"},
            "fields.cf_a",
            "cf_a: after json: comes true, false, a number or a list of texts.",
        ),
        (DESK, {"cf_a": "json:01"}, "fields.cf_a", "cf_a: after json: comes true, false, a number or a list of texts."),
        (LOOSE, {"A": "json:true"}, "fields.A", "A: after json: comes a number or the id of a record."),
    ],
)
def test_what_cannot_be_written(fields: Fields, value: dict[str, str], part: str, words: str) -> None:
    with pytest.raises(Rejected) as refused:
        fields.written(value)
    assert refused.value.parts == (part,)
    assert refused.value.message == words


def test_agent() -> None:
    assert DESK.agent("owner_id", Entry()) == {}
    assert DESK.agent("owner_id", Entry(agent=Agent("81007"))) == {"owner_id": 81007}
    with pytest.raises(Rejected) as refused:
        DESK.agent("owner_id", Entry(agent=Agent("Avnish")))
    assert refused.value.parts == ("agent",)


@pytest.mark.parametrize(
    ("name", "part"),
    [("owner_id", "agent"), ("custom.cf_a", "fields.cf_a"), ("tags[]", "fields.tags"), ("base", ""), ("", "")],
)
def test_part_of(name: str, part: str) -> None:
    assert DESK.part_of(name) == part


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"name": "a"}, None),
        ({"name": "subject", "required": True}, None),
        ({"name": "a", "required": True}, "the field a: options.fields.a has to fill it."),
        ({"name": "group", "label": "Group", "required": True}, "the field Group: options.fields.group_id has to"),
        ({"name": "a", "required": True, "type": "date"}, "options.fields.a has to fill it (a date, as 2025-03-02)."),
        ({"name": "a", "required": True, "choices": list("uvwxyz")}, "(one of `u`, `v`, `w`, `x`, `y`)."),
        ({"name": "a", "required": True, "choices": {"u": 1, "v": 2}}, "(one of `u`, `v`)."),
        ({"name": "a", "required": True, "choices": [{"value": "u"}]}, "(one of `u`)."),
        ({"name": "a", "required": True, "choices": []}, "options.fields.a has to fill it."),
    ],
)
def test_mandatory(row: dict[str, Any], words: str | None) -> None:
    found = DESK.mandatory([row], "ticket")
    if words is None:
        assert found == []
    else:
        assert found[0].startswith("Every ticket must have ")
        assert words in found[0]


def test_mandatory_with_keys_and_a_way_out_of_its_own() -> None:
    fields = Fields("Tally", described=Described(name="api", label="shown", required=("must", "has_to")))
    rows = [{"api": "a", "shown": "A", "has_to": True}, {"api": "b", "required": True}]
    assert fields.mandatory(rows, "contact", ": ask.") == ["Every contact must have the field A: ask."]


def test_refused() -> None:
    said = [("owner_id", "left"), ("custom.cf_a", "no"), ("owner_id", "gone")]
    assert DESK.refused(said) == {"agent": "left; gone", "fields.cf_a": "no"}


def test_by_part() -> None:
    assert by_part([("agent", "left"), ("", "no"), ("agent", "gone")]) == {"agent": "left; gone", "": "no"}
