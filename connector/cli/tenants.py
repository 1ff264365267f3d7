"""`connector apply`, `check`, `hook`, `adapters`, `user` and `rekey`."""

import os
from collections.abc import Iterable
from pathlib import Path

import click

from connector.acts import connections as acts
from connector.acts import people
from connector.cli.office import ask
from connector.cli.output import print_json, print_table
from connector.config import Config
from connector.serve.process import locked
from connector.tenants import file as files
from connector.tenants.check import Finding


def apply(config: Config, file: Path, prune: bool) -> None:
    """`connector apply`."""
    changed = ask(config, acts.apply, acts.ApplyFile(files.read(file, os.environ), prune), make=True)
    _say(changed.changes or ["Nothing changed."])
    _warn(changed.warnings)


def check(config: Config, sid: str) -> bool:
    """`connector check`; returns whether nobody has to do anything."""
    proof = ask(config, acts.check_tenant, acts.CheckTenant(sid, _say_finding))
    _warn(proof.warnings)
    _say(["", *proof.urls])
    return proof.is_fine


def hook(config: Config, sid: str, rotate: bool) -> None:
    """`connector hook`."""
    _say(ask(config, acts.rotate_hook if rotate else acts.show_hooks, acts.ShowHooks(sid)))


def adapters(as_json: bool) -> None:
    """`connector adapters`."""
    rows = [
        {
            "name": one.name,
            "title": one.title,
            "families": ", ".join(one.families),
            "settings": ", ".join(one.settings),
        }
        for one in acts.installed()
    ]
    if as_json:
        print_json(rows)
        return
    print_table(("name", "title", "families", "settings"), (tuple(row.values()) for row in rows), "adapters")


def user_add(config: Config, name: str, token: bool, sid: str | None, *, numbers: bool = False) -> None:
    """`connector user add`."""
    made = ask(config, people.add_user, people.AddUser(name, sid, token, numbers), make=True)
    click.echo(f"Added {name}." if made is None else made)


def rekey(config: Config) -> None:
    """`connector rekey`."""
    done = ask(config, people.rekey, people.Rekey(lambda: locked(config)))
    click.echo(f"Sealed {done.values} values with the newest key.")
    if done.links_ended:
        click.echo("Links to recordings ended with the old key: `connector replay` writes new ones into the CRMs.")


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)


def _warn(warnings: Iterable[str]) -> None:
    for words in warnings:
        click.echo(f"connector: warning: {words}", err=True)


def _say_finding(finding: Finding) -> None:
    mark = click.style("ok  ", fg="green") if finding.is_good else click.style("FAIL", fg="red")
    click.echo(f"{mark}  {finding.what}: {finding.words}")
    for missing in finding.missing:
        click.echo(f"      {click.style('missing', fg='yellow')}: {missing}")
