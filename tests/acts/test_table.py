"""Every act has a command and a route, or says why not; every command and operation belongs to an act, or says so."""

from collections.abc import Iterator

import click
import pytest

from connector import acts
from connector.acts.asker import Act
from connector.acts.table import ACTS, OTHER_COMMANDS, Listed
from connector.cli.main import cli
from connector.web.api.routes import OPERATIONS


def commands(group: click.Group, before: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{before}{name} ")
        else:
            yield before + name, command


@pytest.mark.parametrize("listed", ACTS, ids=lambda listed: listed.act.name)
def test_an_act_has_both_faces_or_says_why_not(listed: Listed) -> None:
    assert (listed.why is None) == (listed.command is not None and listed.route is not None)
    assert listed.command or listed.route, "nobody can ask for it"


def test_every_act_is_listed_once() -> None:
    modules = {listed.act.__module__ for listed in ACTS}
    assert modules == {f"connector.acts.{name}" for name in NOUNS}
    made = {id(one) for name in NOUNS for one in vars(getattr(acts, name)).values() if isinstance(one, Act)}
    assert made == {id(listed.act) for listed in ACTS}
    assert len({listed.act.name for listed in ACTS}) == len(ACTS)


def test_every_command_asks_for_an_act_or_says_why_not() -> None:
    known = dict(commands(cli))
    asked: set[str] = set()
    for listed in ACTS:
        if listed.command is None:
            continue
        name, _, option = listed.command.partition(" --")
        options = {flag for parameter in known[name].params for flag in parameter.opts}
        assert not option or f"--{option}" in options
        asked.add(name)
    assert asked.isdisjoint(OTHER_COMMANDS)
    assert asked | OTHER_COMMANDS.keys() == known.keys()
    assert all(OTHER_COMMANDS.values())


def test_every_operation_asks_for_its_act() -> None:
    routes = {f"{one.method} {one.path}": one.act for one in OPERATIONS}
    assert routes == {listed.route: listed.act for listed in ACTS if listed.route is not None}
    assert all(one.act.name == one.run.__name__ for one in OPERATIONS)


NOUNS = ("agents", "calls", "connections", "deliveries", "devices", "people", "recordings", "statements")
