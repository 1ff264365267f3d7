"""`connector agents` and `connector device`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from connector.acts import agents as acts
from connector.acts import devices
from connector.acts.agents import ConnectionLine
from connector.acts.asker import CLI, the_tenant
from connector.acts.office import Office
from connector.cli import agents_csv
from connector.cli.office import ask, in_office
from connector.cli.output import print_json, print_table
from connector.config import Config

_SHOWN = ("crm_id", "name", "email", "phone", "caller_id", "outbound")


def agents(
    config: Config,
    *,
    tenant: str,
    connection: str | None,
    sync: bool,
    file: Path | None,
    export: bool,
    as_json: bool,
) -> bool:
    """`connector agents`; returns whether no line was refused."""
    if file is not None:
        put = acts.PutAgents(tenant, connection, agents_csv.read_csv(file))
        return _say_lines(ask(config, acts.put_agents, put), as_json)
    if sync:
        return _say_lines(ask(config, acts.sync_agents, acts.SyncAgents(tenant, connection)), as_json)
    if export:

        async def export_one(office: Office) -> str:
            owner = await the_tenant(office, CLI, tenant)
            name = connection if connection is not None else owner.enabled_connection(None).name
            return agents_csv.write_csv(await acts.list_agents(office, CLI, acts.ListAgents(tenant, name)))

        click.echo(in_office(config, export_one), nl=False)
        return True
    rows = ask(config, acts.list_agents, acts.ListAgents(tenant, connection))
    if as_json:
        print_json({name: row[name] for name in ("connection", *_SHOWN, "ids", "origin")} for row in rows)
    else:
        shown = ("connection", *_SHOWN, "origin")
        print_table(shown, (tuple(row[name] for name in shown) for row in rows), "agents")
    return True


def device(config: Config, *, as_json: bool, **wish: Any) -> None:
    """`connector device`."""
    found = ask(config, devices.set_device, devices.SetDevice(**wish))
    rows = [
        {
            "device": one.name or one.id,
            "type": one.type,
            "number": one.uri,
            "state": "on" if one.available else "off",
            "verified": one.verified,
        }
        for one in found.devices
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(("device", "type", "number", "state", "verified"), (tuple(row.values()) for row in rows), "devices")


def _say_lines(lines: Sequence[ConnectionLine], as_json: bool) -> bool:
    shown = ("connection", "crm_id", "result", "reason")
    rows = [{name: getattr(line, name) for name in shown} for line in lines]
    if as_json:
        print_json(rows)
    else:
        print_table(shown, (tuple(row.values()) for row in rows), "agents")
    return not acts.refused(lines)
