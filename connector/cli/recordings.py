"""`connector recordings`."""

import click

from connector.acts import recordings as acts
from connector.cli.office import ask
from connector.cli.output import print_json, print_table, utc
from connector.config import Config


def recordings(config: Config, sid: str, revoke: str | None, limit: int, as_json: bool) -> None:
    """`connector recordings`."""
    if revoke is not None:
        count = ask(config, acts.revoke_recording, acts.RevokeRecording(sid, revoke))
        words = f"Withdrew {count} {'link' if count == 1 else 'links'}."
        click.echo(words if count else "They were withdrawn before.")
        return
    rows = [
        {
            "call_at": utc(one.call_at),
            "call_sid": one.call_sid,
            "state": one.state,
            "bytes": one.bytes,
            "open_until": utc(one.open_until) if one.open_until is not None else None,
            "withdrawn_at": utc(one.withdrawn_at) if one.withdrawn_at is not None else None,
        }
        for one in ask(config, acts.list_recordings, acts.ListRecordings(sid, limit=limit))
    ]
    if as_json:
        print_json(rows)
        return
    shown = ("call_at", "call_sid", "state", "bytes", "open_until", "withdrawn_at")
    print_table(shown, (tuple(row.values()) for row in rows), "recordings")
