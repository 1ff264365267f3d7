"""Adapters are found by entry point, and a broken package hurts nobody but itself."""

import logging
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Any, ClassVar

import pytest
from connector_local import LocalDesk

from connector.adapter import Adapter, Settings, registry
from connector.errors import ConfigError


class Nameless(LocalDesk):
    name = "Not A Name"


class Nothing(Adapter[Settings]):
    name, title, settings_model = "nothing", "Nothing", Settings


class Untyped(LocalDesk):
    settings_model: ClassVar[Any] = dict
    options_model: ClassVar[Any] = dict
    title = " "


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[EntryPoint]]:
    """Entry points that the registry finds, in place of the installed ones."""
    found: list[EntryPoint] = []
    monkeypatch.setattr(registry, "entry_points", lambda *, group: found if group == registry.GROUP else [])
    registry.adapters.cache_clear()
    yield found
    registry.adapters.cache_clear()


def _point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, registry.GROUP)


def test_finds_adapters_by_name(points: list[EntryPoint]) -> None:
    points.append(_point("local", "connector_local:LocalDesk"))
    assert registry.get("local") is LocalDesk
    assert list(registry.adapters()) == ["local"]


def test_an_unknown_name_is_told_the_known_ones(points: list[EntryPoint]) -> None:
    points.append(_point("local", "connector_local:LocalDesk"))
    with pytest.raises(ConfigError, match="no adapter 'freshdsk'; known adapters: local"):
        registry.get("freshdsk")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("broken", "no.such.module:Thing"),
        ("broken", "connector_local:NoSuchClass"),
        ("broken", "connector_local.adapter:LocalSettings"),
        ("other_name", "connector_local:LocalDesk"),
    ],
)
def test_a_broken_entry_point_is_reported_once_and_left_out(
    points: list[EntryPoint], caplog: pytest.LogCaptureFixture, name: str, value: str
) -> None:
    points += [_point(name, value), _point("local", "connector_local:LocalDesk")]
    with caplog.at_level(logging.ERROR):
        assert list(registry.adapters()) == ["local"]
        assert list(registry.adapters()) == ["local"]
    assert len(caplog.records) == 1
    assert vars(caplog.records[0])["adapter"] == name


@pytest.mark.parametrize(
    ("adapter", "words"),
    [
        (object(), "not a subclass of connector.adapter.Adapter"),
        (Nameless, "its name is not a word"),
        (Nothing, "it lacks find_contacts"),
        (Nothing, "it is none of Desk, Sales, Chat"),
        (Untyped, "its settings_model is not"),
        (Untyped, "its options_model is not"),
        (Untyped, "it has no title"),
    ],
)
def test_says_what_keeps_a_class_from_being_an_adapter(adapter: object, words: str) -> None:
    assert any(words in problem for problem in registry.problems(adapter))


def test_a_whole_adapter_has_no_problems() -> None:
    assert registry.problems(LocalDesk) == []


def test_names_families_in_their_order() -> None:
    assert registry.families(LocalDesk) == ("Desk", "EditableNotes")
