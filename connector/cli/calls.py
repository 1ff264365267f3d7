"""`connector calls` and `connector call`."""

from typing import Any, Final

import click

from connector.acts import calls as acts
from connector.cli.office import ask
from connector.cli.output import lines_of, parse_time, print_json, print_table, utc
from connector.config import Config

_SAID: Final = {
    "placed": "Ringing the agent.",
    "unknown": "Exotel did not say whether it placed the call; the service finds out. Nobody is rung again.",
    "placing": "The call is being placed at this moment.",
    "not_placed": "Exotel has no trace of this call: nobody was rung. Ask again with another key.",
}
_FACTS: Final = ("direction", "customer_number", "agent_number", "outcome", "duration_s")


def call(config: Config, *, as_json: bool, **wish: Any) -> None:
    """`connector call`."""
    placed = ask(config, acts.place_call, acts.PlaceCall(**wish))
    row = {"id": placed.token, "call_sid": placed.call_sid, "state": placed.state}
    if as_json:
        print_json([row])
        return
    print_table(tuple(row), [tuple(row.values())], "calls")
    click.echo(_SAID[placed.state])


def calls(config: Config, sid: str | None, since: str | None, limit: int, as_json: bool) -> None:
    """`connector calls`."""
    begin = None if since is None else parse_time(since, "--since")
    found = ask(config, acts.list_calls, acts.ListCalls(sid, since=begin, limit=limit, with_records=True))
    rows: list[dict[str, Any]] = [
        {
            "at": utc(one.created_at),
            "tenant": one.tenant,
            "call_sid": one.call_sid,
            **{name: one.facts.get(name) for name in _FACTS},
            "records": [
                {"connection": made.connection, "slot": made.slot, "kind": made.kind, "id": made.id, "url": made.url}
                for made in one.records
            ],
        }
        for one in found
    ]
    if as_json:
        print_json(rows)
        return
    shown = ("at", "tenant", "call_sid", "direction", "customer_number", "outcome")
    print_table(
        (*shown, "records"), ((*(row[name] for name in shown), lines_of(row["records"])) for row in rows), "calls"
    )
