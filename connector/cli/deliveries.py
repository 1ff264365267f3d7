"""`connector deliveries` and `connector replay`."""

from collections.abc import Sequence
from typing import Any

import click

from connector.cli.output import find_tenant_id, parse_time, print_json, print_table, utc
from connector.config import Config
from connector.errors import ConfigError
from connector.pipeline.delivery import replay as replaying
from connector.pipeline.delivery.replay import Replayed, Wish
from connector.pipeline.recordings.links import LinkMaker
from connector.store.engine.clock import now_of
from connector.store.opening import Store, opened
from connector.store.queries import views
from connector.tenants import urls
from connector.tenants.directory import load


def deliveries(config: Config, state: Any, sid: str | None, limit: int, as_json: bool) -> None:
    """`connector deliveries`."""
    with opened(config, make=False) as store:
        tenant_id = find_tenant_id(store.db.transact(load, store.box), sid)
        found = store.db.transact(lambda sql: views.deliveries(sql, tenant_id, state=state, limit=limit))
    rows = [
        {
            "at": utc(one.updated_at),
            "tenant": one.tenant,
            "call_sid": one.call_sid,
            "connection": one.connection,
            "state": one.state,
            "reason": one.reason,
            "attempts": one.attempts,
            "due_at": utc(one.due_at) if one.state == "pending" else None,
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
    with opened(config, make=False) as store:
        directory = store.db.transact(load, store.box)
        if tenant is None and len(directory.tenants) != 1:
            raise click.UsageError("say --tenant SID")
        owner = urls.find_tenant(directory, tenant or next(iter(directory.tenants)))
        one = owner.connection(connection) if connection is not None else None
        if connection is not None and one is None:
            known = ", ".join(c.name for c in owner.connections) or "none"
            raise ConfigError(f"{owner.sid} has no connection {connection!r}; known: {known}")
        if call_sid is not None and not store.db.transact(views.has_call, owner.id, call_sid):
            if store.db.transact(views.pruned_call, owner.id, call_sid) is not None:
                raise ConfigError(replaying.PRUNED)
            raise ConfigError(f"{owner.sid} has no call {call_sid!r}")
        wish = Wish(owner.id, call_sid, begin, end, one.id if one else None, recreate)
        now = store.db.transact(now_of)
        if dry_run:
            found = store.db.transact(replaying.preview, directory, wish, now, _links(config, store))
            found = store.db.transact(replaying.without_numbers, owner, found)
        else:
            (found,) = store.db.transact(replaying.enqueue, [(directory, wish, now)])
    _say_replayed(found, dry_run, as_json)


def _links(config: Config, store: Store) -> LinkMaker:
    return LinkMaker(
        store.box, lambda adapter: config.public_url or (config.home_url if adapter.read_at_home else None)
    )


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
