"""Commands about tenants, people and the store: apply, check, hook, simulate, adapters, user, rekey."""

import asyncio
import os
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from connector.access import users
from connector.adapter import registry
from connector.cli.output import failed, print_json, print_table
from connector.config import Config
from connector.serve.process import locked
from connector.simulate import play
from connector.simulate.target import parse_target
from connector.store.opening import opened
from connector.store.queries import recordings as recording_queries
from connector.store.queries.regions import keep_regions
from connector.store.secrets import rekey as reseal
from connector.tenants import apply as applying
from connector.tenants import check as checking
from connector.tenants import urls
from connector.tenants.directory import load


def apply(config: Config, file: Path, prune: bool) -> None:
    """`connector apply`."""
    with opened(config, make=True) as store:
        applied = applying.apply_file(file, store.db, store.box, os.environ, prune)
        for change in applied.changes:
            click.echo(change)
        if not applied.changes:
            click.echo("Nothing changed.")
        directory = store.db.transact(load, store.box)
        touched = set(applied.connections)
        for tenant in directory.tenants.values():
            new = [one for one in tenant.connections if (tenant.sid, one.name) in touched and one.enabled]
            for warning in asyncio.run(checking.prepare(tenant, new, store.box, config)):
                _warn(warning)
        _warn(checking.lost_without_address(directory.tenants.values(), config))


def check(config: Config, sid: str) -> bool:
    """`connector check`; returns whether nobody has to do anything."""
    with opened(config, make=False) as store:
        tenant = urls.find_tenant(store.db.transact(load, store.box), sid)

        def keep_region(region: str) -> None:
            store.db.transact(keep_regions, [(tenant.id, region)])

        async def look() -> bool:
            fine = True
            async for finding in checking.check_tenant(tenant, store.box, config, keep_region):
                fine &= finding.is_fine
                _say_finding(finding)
            return fine

        fine = asyncio.run(look())
        _warn(checking.lost_without_address([tenant], config))
    click.echo()
    for line in urls.describe(tenant, config):
        click.echo(line)
    return fine


def hook(config: Config, sid: str, rotate: bool) -> None:
    """`connector hook`."""
    with opened(config, make=False) as store:
        directory = store.db.transact(load, store.box)
        tenant = urls.find_tenant(directory, sid)
        if rotate:
            store.db.transact(urls.rotate, store.box, sid)
            tenant = urls.find_tenant(store.db.transact(load, store.box), sid)
    for line in urls.describe(tenant, config):
        click.echo(line)


def simulate(url: str, calls: int, rate: float, mix: str | None, sid: str | None) -> bool:
    """`connector simulate`; returns whether every request was accepted."""
    target, weights = parse_target(url), play.parse_mix(mix)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("Playing calls", total=calls)
        summary = asyncio.run(
            play.simulate(target, calls=calls, rate=rate, mix=weights, sid=sid, on_call=lambda: progress.advance(task))
        )
    click.echo(f"{calls} calls, {summary.sent} requests: {summary.accepted} accepted, {failed(summary)}")
    latencies = ", ".join(f"p{percent} {summary.percentile_ms(percent):.1f} ms" for percent in (50, 95, 99))
    click.echo(f"Answered within: {latencies}")
    return summary.accepted == summary.sent


def adapters(as_json: bool) -> None:
    """`connector adapters`."""
    rows = []
    for name, adapter in registry.adapters().items():
        settings = ", ".join(adapter.settings_model.model_fields)
        families = ", ".join(registry.families(adapter))
        rows.append({"name": name, "title": adapter.title, "families": families, "settings": settings})
    if as_json:
        print_json(rows)
        return
    print_table(("name", "title", "families", "settings"), (tuple(row.values()) for row in rows), "adapters")


def user_add(config: Config, name: str, token: bool, sid: str | None, *, numbers: bool = False) -> None:
    """`connector user add`."""
    with opened(config, make=True) as store:

        def add(sql: Any) -> str | None:
            user_id = users.add_user(sql, name, sid)
            return users.add_token(sql, user_id, numbers=numbers) if token else None

        made = store.db.transact(add)
    click.echo(f"Added {name}." if made is None else made)


def rekey(config: Config) -> None:
    """`connector rekey`."""
    with opened(config, make=False) as store:
        if config.secret_key is None:
            # A running service holds the key file's old key and could not open what is sealed from now on.
            with locked(config):
                count = reseal(config, store.db)
        else:
            count = reseal(config, store.db)
        links = store.db.transact(recording_queries.count_links)
    click.echo(f"Sealed {count} values with the newest key.")
    if links and config.secret_key is None:
        click.echo("Links to recordings ended with the old key: `connector replay` writes new ones into the CRMs.")


def _warn(words: str | None) -> None:
    if words is not None:
        click.echo(f"connector: warning: {words}", err=True)


def _say_finding(finding: checking.Finding) -> None:
    mark = click.style("ok  ", fg="green") if finding.is_good else click.style("FAIL", fg="red")
    click.echo(f"{mark}  {finding.what}: {finding.words}")
    for missing in finding.missing:
        click.echo(f"      {click.style('missing', fg='yellow')}: {missing}")
