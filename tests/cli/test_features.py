"""The README's table says what the plan does."""

from pathlib import Path

from connector.cli.features import table, written

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_is_not_stale() -> None:
    text = README.read_text(encoding="utf-8")
    assert table() in text, "run `python -m connector.cli.features README.md`"
    assert written(text) == text


def test_every_adapter_and_event_has_a_cell() -> None:
    rows = table().splitlines()
    assert len(rows) == 8
    assert len({row.count("|") for row in rows}) == 1
    assert "Missed" not in rows[0]
