"""`connector deliveries` and `connector replay`."""

from collections.abc import Sequence
from typing import Any

import click

from connector.acts import deliveries as acts
from connector.acts.asker import CLI
from connector.acts.office import Office
from connector.cli.office import ask, in_office
from connector.cli.output import parse_time, print_json, print_table, utc
from connector.config import Config
from connector.pipeline.delivery.replay import Replayed


def deliveries(config: Config, state: Any, sid: str | None, limit: int, as_json: bool) -> None:
    """`connector deliveries`."""
    found = ask(config, acts.list_deliveries, acts.ListDeliveries(sid, state, limit=limit))
    rows = [
        {
            "at": utc(one.updated_at),
            "tenant": one.tenant,
            "call_sid": one.call_sid,
            "connection": one.connection,
            "state": one.state,
            "reason": one.reason,
            "attempts": one.attempts,
            "due_at": utc(one.due_at) if one.due_at is not None else None,
            "last_error": one.last_error,
        }
        for one in found
    ]
    if as_json:
        print_json(rows)
        return
    shown = ("at", "tenant", "call_sid", "connection", "state", "reason", "attempts", "last_error")
    print_table(shown, (tuple(row[name] for name in shown) for row in rows), "deliveries")


def replay(
    config: Config,
    *,
    tenant: str | None,
    call_sid: str | None,
    since: str | None,
    until: str | None,
    connection: str | None,
    dry_run: bool,
    recreate: bool,
    as_json: bool,
) -> None:
    """`connector replay`: into the store, where the running service finds it within a second or so."""
    if (call_sid is None) == (since is None and until is None):
        raise click.UsageError("say either --call-sid, or --from and --to")
    begin = None if since is None else parse_time(since, "--from")
    end = None if until is None else parse_time(until, "--to")

    async def write_again(office: Office) -> list[Replayed]:
        sid = tenant
        if sid is None:
            known = list((await office.directory()).tenants)
            if len(known) != 1:
                raise click.UsageError("say --tenant SID")
            sid = known[0]
        wish = acts.WriteAgain(sid, call_sid, begin, end, connection, dry_run, recreate)
        return await acts.replay(office, CLI, wish)

    _say_replayed(in_office(config, write_again), dry_run, as_json)


def _say_replayed(found: Sequence[Replayed], dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json(
            {"call_sid": one.call_sid, "connection": one.connection, "changes": one.changes, "queued": one.queued}
            for one in found
        )
        return
    if not dry_run:
        click.echo(f"Queued {len(found)} deliveries.")
        return
    changed = [(one, change) for one in found for change in one.changes]
    for one, change in changed:
        click.echo(f"{one.call_sid} {one.connection}: {change['action']} {change['kind']} ({change['slot']})")
    if not changed:
        click.echo(f"Nothing would change in {len(found)} deliveries.")
