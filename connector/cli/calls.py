"""What the commands `call`, `agents` and `device` do: they ask Exotel themselves, with the store as it is."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import click

from connector.cli import agents_csv
from connector.cli.output import find_tenant_id, lines_of, parse_time, print_json, print_table, utc
from connector.clock import SYSTEM
from connector.config import Config
from connector.errors import ConfigError
from connector.pipeline.calls.accept import Received, event_of
from connector.pipeline.calls.accept import store as keep
from connector.pipeline.click_to_call import devices
from connector.pipeline.click_to_call.placing import Placing
from connector.pipeline.click_to_call.wish import Wish
from connector.pipeline.gates.exotel import ExotelAccounts
from connector.store.opening import Store, opened
from connector.store.queries import lists, views
from connector.store.queries.placements import Placement
from connector.tenants import agents_match, urls
from connector.tenants.agents import Line, Origin, Owner, put_agents, read_agents
from connector.tenants.check import make_adapter, session
from connector.tenants.directory import load
from connector.tenants.model import Connection, Directory, Tenant

_SAID: Final = {
    "placed": "Ringing the agent.",
    "unknown": "Exotel did not say whether it placed the call; the service finds out. Nobody is rung again.",
    "placing": "The call is being placed at this moment.",
    "not_placed": "Exotel has no trace of this call: nobody was rung. Ask again with another key.",
}


def call(
    config: Config,
    *,
    tenant: str,
    agent: str,
    number: str,
    connection: str | None,
    custom_field: str | None,
    idempotency_key: str | None,
    as_json: bool,
) -> None:
    """`connector call`. Raises `Declined`."""
    with opened(config, make=False) as store:
        directory = store.db.transact(load, store.box)
        owner = urls.find_tenant(directory, tenant)
        name = _connection(owner, connection).name
        wish = Wish(name, agent, number, custom_field, idempotency_key)
        placed = asyncio.run(_place(config, store, directory, owner, wish))
    row = {"id": placed.token, "call_sid": placed.call_sid, "state": placed.state}
    if as_json:
        print_json([row])
        return
    print_table(tuple(row), [tuple(row.values())], "calls")
    click.echo(_SAID[placed.state])


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
    with opened(config, make=False) as store:
        directory = store.db.transact(load, store.box)
        owner = urls.find_tenant(directory, tenant)
        if file is not None:
            one = _connection(owner, connection)
            wishes = agents_csv.read_csv(file)
            lines = [(one.name, line) for line in _put(store, owner, one, wishes, "import")]
            return _say_lines(lines, as_json)
        chosen = [_connection(owner, connection)] if connection is not None else list(owner.connections)
        if sync:
            enabled = [one for one in chosen if one.enabled]
            return _say_lines(asyncio.run(_sync(config, store, directory, owner, enabled)), as_json)
        if export:
            one = _connection(owner, connection)
            click.echo(agents_csv.write_csv(store.db.transact(read_agents, one.id)), nl=False)
            return True
        rows = [{"connection": one.name, **row} for one in chosen for row in store.db.transact(read_agents, one.id)]
    names = ("connection", "crm_id", "name", "email", "phone", "caller_id", "outbound", "ids", "origin")
    if as_json:
        print_json({name: row[name] for name in names} for row in rows)
    else:
        shown = tuple(name for name in names if name != "ids")
        print_table(shown, (tuple(row[name] for name in shown) for row in rows), "agents")
    return True


def device(config: Config, *, tenant: str, agent: str, on: bool, device: Any, as_json: bool) -> None:
    """`connector device`. Raises `Declined`."""
    with opened(config, make=False) as store:
        directory = store.db.transact(load, store.box)
        owner = urls.find_tenant(directory, tenant)

        async def switch() -> list[Any]:
            async with _exotel(config, store, directory, owner) as exotel:
                people = exotel.client(owner, "caller").people
                return await devices.switch(people, await devices.get_user(people, owner, agent), on, device)

        found = asyncio.run(switch())
    rows = [
        {
            "device": one.name or one.id,
            "type": one.type,
            "number": one.uri,
            "state": "on" if one.available else "off",
            "verified": one.verified,
        }
        for one in found
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(("device", "type", "number", "state", "verified"), (tuple(row.values()) for row in rows), "devices")


async def _place(config: Config, store: Store, directory: Directory, tenant: Tenant, wish: Wish) -> Placement:
    async def accept(received: Received) -> None:
        # The running service looks for due work each second; where none runs, the next start finds it.
        await keep(store.db, event_of(received, tenant, frozenset()))

    async with _exotel(config, store, directory, tenant) as exotel:
        placing = Placing(store.db, lambda one: exotel.client(one, "caller"), accept, config.public_url, SYSTEM)
        return await placing.place(tenant, wish, "cli")


async def _sync(
    config: Config, store: Store, directory: Directory, tenant: Tenant, connections: list[Connection]
) -> list[tuple[str, Line]]:
    lines: list[tuple[str, Line]] = []
    async with _exotel(config, store, directory, tenant) as exotel:
        users = await exotel.client(tenant, "reconcile").people.list_users()
        for one in connections:
            found = await make_adapter(exotel.session, one, store.box, config).list_agents()
            wishes = agents_match.match(found, users, tenant.country)
            made = await asyncio.to_thread(_put, store, tenant, one, wishes, "sync")
            lines += [(one.name, line) for line in made]
    return lines


def _put(store: Store, tenant: Tenant, connection: Connection, wishes: Any, origin: Origin) -> list[Line]:
    owner = Owner(tenant.id, connection.id, tenant.country)
    return store.db.transact(put_agents, owner, wishes, origin, "cli")


@contextlib.asynccontextmanager
async def _exotel(config: Config, store: Store, directory: Directory, tenant: Tenant) -> AsyncIterator[ExotelAccounts]:
    """The client of Exotel, with the store's writer for what it keeps."""
    async with store.db.running(), session(tenant, tenant.connections, config) as client:
        yield ExotelAccounts(store.db, client, lambda: directory, SYSTEM)


def _connection(tenant: Tenant, name: str | None) -> Connection:
    """The connection of this name, or the tenant's only one. Raises `ConfigError`, `UsageError`."""
    if name is None:
        enabled = [one for one in tenant.connections if one.enabled]
        if len(enabled) != 1:
            raise click.UsageError("say --connection NAME")
        return enabled[0]
    found = tenant.connection(name)
    if found is None:
        known = ", ".join(one.name for one in tenant.connections) or "none"
        raise ConfigError(f"{tenant.sid} has no connection {name!r}; known: {known}")
    return found


def _say_lines(lines: list[tuple[str, Line]], as_json: bool) -> bool:
    rows = [
        {"connection": name, "crm_id": line.crm_id, "result": line.result, "reason": line.reason}
        for name, line in lines
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(("connection", "crm_id", "result", "reason"), (tuple(row.values()) for row in rows), "agents")
    return not any(line.result == "refused" for _, line in lines)


def calls(config: Config, sid: str | None, since: str | None, limit: int, as_json: bool) -> None:
    """`connector calls`."""
    begin = None if since is None else parse_time(since, "--since")
    with opened(config, make=False) as store:
        directory = store.db.transact(load, store.box)
        tenant_id = find_tenant_id(directory, sid)
        found = store.db.transact(lambda sql: views.calls(sql, tenant_id, since=begin, limit=limit))
        records = store.db.transact(lists.records, [call.id for call in found])
    rows: list[dict[str, Any]] = []
    for call in found:
        fold = json.loads(call.summary) if call.summary else {}
        owner = directory.tenants.get(call.tenant)
        if owner is not None and owner.mask is not None and fold.get("customer_number"):
            fold["customer_number"] = owner.mask.number(fold["customer_number"], owner.country)
        made = [
            {"connection": one.connection, "slot": one.slot, "kind": one.kind, "id": one.id, "url": one.url}
            for one in records.get(call.id, [])
        ]
        facts = ("direction", "customer_number", "agent_number", "outcome", "duration_s")
        rows.append(
            {
                "at": utc(call.created_at),
                "tenant": call.tenant,
                "call_sid": call.call_sid,
                **{name: fold.get(name) for name in facts},
                "records": made,
            }
        )
    if as_json:
        print_json(rows)
        return
    shown = ("at", "tenant", "call_sid", "direction", "customer_number", "outcome")
    print_table(
        (*shown, "records"), ((*(row[name] for name in shown), lines_of(row["records"])) for row in rows), "calls"
    )
