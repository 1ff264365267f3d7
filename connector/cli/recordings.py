"""`connector recordings`."""

import time

import click

from connector.cli.output import print_json, print_table, utc
from connector.config import Config
from connector.errors import ConfigError
from connector.store.opening import opened
from connector.store.queries import recordings as recording_queries
from connector.store.queries import revocations
from connector.tenants import urls
from connector.tenants.directory import load


def recordings(config: Config, sid: str, revoke: str | None, limit: int, as_json: bool) -> None:
    """`connector recordings`."""
    with opened(config, make=False) as store:
        tenant = urls.find_tenant(store.db.transact(load, store.box), sid)
        if revoke is not None:
            if not store.db.transact(recording_queries.recordings, tenant.id, revoke):
                raise ConfigError(f"{sid} has no recording of a call {revoke!r}")
            (count,) = store.db.transact(revocations.revoke, [(tenant.id, revoke, "cli", time.time())])
            words = f"Withdrew {count} {'link' if count == 1 else 'links'}."
            click.echo(words if count else "They were withdrawn before.")
            return
        found = store.db.transact(lambda sql: recording_queries.recordings(sql, tenant.id, limit=limit))
    for_all = tenant.recordings.open_to == "anyone_with_link"
    rows = [
        {
            "call_at": utc(one.call_created_at),
            "call_sid": one.call_sid,
            "state": one.state,
            "bytes": one.size,
            "open_until": utc(one.call_created_at + tenant.recordings.days * 86_400) if for_all else None,
            "withdrawn_at": utc(one.revoked_at) if one.revoked_at is not None else None,
        }
        for one in found
    ]
    if as_json:
        print_json(rows)
        return
    shown = ("call_at", "call_sid", "state", "bytes", "open_until", "withdrawn_at")
    print_table(shown, (tuple(row.values()) for row in rows), "recordings")
