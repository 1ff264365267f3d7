"""What the commands `statement`, `reconcile` and `backfill` do.

The last two write a wish into the store and offer their own hands: they take the tenant's lease if no service has it.
So a command works beside a service on the same SQLite file, and without one.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from sqlalchemy import Connection as Sql

from connector.cli.output import parse_time, print_json, print_table
from connector.clock import SYSTEM
from connector.config import Config
from connector.errors import ConfigError
from connector.outbound import session
from connector.pipeline.calls.accept import Received, event_of, store
from connector.pipeline.completeness import statement as statements
from connector.pipeline.completeness.reconcile import Reconciler
from connector.pipeline.completeness.statement import Statement, numbers
from connector.pipeline.completeness.sweep import KEPT_S
from connector.pipeline.gates.exotel import ExotelAccounts
from connector.store.engine.database import Database
from connector.store.opening import opened
from connector.store.queries import leases, sweeps
from connector.store.queries.sweeps import Sweep
from connector.tenants import urls
from connector.tenants.directory import load
from connector.tenants.model import Directory, Tenant, exotel_urls

_DAYS: Final = 7
_LOOK_EVERY_S: Final = 0.25
_SAME_END_S: Final = 86400.0


@dataclass(frozen=True, slots=True)
class _Alone:
    """The one tenant that a command is about. Implements `periodic.Tenants`."""

    current: Directory


#: What is asked for: kind, begin and end of a sweep, as of now.
_Wish = tuple[str, float, float | None]


def statement(config: Config, sid: str, day: str | None, as_json: bool) -> None:
    """`connector statement`."""
    with opened(config, make=False) as opened_store:
        db = opened_store.db
        tenant = urls.find_tenant(db.transact(load, opened_store.box), sid)
        last = statements.today(tenant, time.time()) if day is None else _day(day)
        days = [last - timedelta(days=number) for number in range(1 if day is not None else _DAYS)]
        found = [db.transact(statements.statement, tenant, one) for one in reversed(days)]
    rows = [row for one in found for row in _rows(one)]
    if as_json:
        print_json(rows)
        return
    shown = ("day", "connection", "calls", "written", "not_due", "missing", "percent", "why")
    print_table(shown, ([row[name] if name != "why" else _why(row) for name in shown] for row in rows), "days")
    for one in found:
        if one.missing_calls:
            click.echo(f"Missing on {one.day}: {', '.join(one.missing_calls)}")
    if unchecked := [str(one.day) for one in found if not one.is_checked]:
        click.echo(
            f"Not proven yet, since Exotel's own list was not gone through to the end of: {', '.join(unchecked)}"
        )


def reconcile(config: Config, sid: str, everything: bool) -> None:
    """`connector reconcile`."""
    now = time.time()
    done = _do(config, sid, ("now" if everything else "due", now, now), "Asking Exotel")
    click.echo(f"{done.found} records were asked for or read; {done.made} calls were not known before.")


def backfill(config: Config, sid: str, since: str, until: str | None) -> None:
    """`connector backfill`."""
    now = time.time()
    begin = parse_time(since, "--from")
    end = min(now, parse_time(until, "--to")) if until is not None else now
    if end <= begin:
        raise click.UsageError("--to is not after --from, or both are still to come")
    if begin < now - KEPT_S:
        raise click.UsageError("--from is more than six months ago; Exotel keeps its records no longer")
    done = _do(config, sid, ("backfill", begin, end), "Going through Exotel's records")
    click.echo(f"{done.found} calls were gone through; {done.made} were not known before.")


def _do(config: Config, sid: str, wish: _Wish, words: str) -> Sweep:
    """Has a wish carried out, and follows it to its end."""
    with opened(config, make=False) as opened_store:
        db = opened_store.db
        directory = db.transact(load, opened_store.box)
        tenant = urls.find_tenant(directory, sid)
        if not any(connection.enabled for connection in tenant.connections):
            raise ConfigError(f"{sid} has no enabled connection that calls could be written to")
        if not tenant.api_key.get_secret_value():
            raise ConfigError(f"{sid} has no Exotel API key; `connector apply` takes one as api_key and api_token")
        sweep_id = db.transact(_asked, tenant, *wish)
        with _bar(words) as show:
            return asyncio.run(_follow(db, tenant, sweep_id, show))


def _asked(sql: Sql, tenant: Tenant, kind: str, begin: float, end: float | None) -> int:
    """The open sweep that covers the wish, else a new one: what was interrupted goes on where it was."""
    leases.hurry(sql, f"{'backfill' if kind == 'backfill' else 'reconcile'}:{tenant.sid}", time.time())
    for one in sweeps.open_sweeps(sql, tenant.id):
        if one.kind == kind and (kind != "backfill" or _covers(one, begin, end or begin)):
            return one.id
    return sweeps.add_sweep(sql, tenant.id, kind, begin, end, time.time())


def _covers(sweep: Sweep, begin: float, end: float) -> bool:
    """Whether a backfill goes over the same span. `--to` that is left out moves on with the clock: the last hours are
    the hourly sweep's anyway."""
    return sweep.from_at <= begin and sweep.until_at is not None and end - sweep.until_at < _SAME_END_S


async def _follow(db: Database, tenant: Tenant, sweep_id: int, show: Callable[[Sweep], None]) -> Sweep:
    told: str | None = None
    async with db.running(), _at_hand(db, tenant):
        while True:
            sweep = await db.read(sweeps.get_sweep, sweep_id)
            show(sweep)
            if sweep.state == "done":
                return sweep
            troubles = [one.trouble for one in await db.read(sweeps.open_sweeps, tenant.id) if one.trouble]
            if troubles and troubles[0] != told:
                told = troubles[0]
                click.echo(f"connector: {told} It is tried again; Ctrl-C leaves it to the service.", err=True)
            await asyncio.sleep(_LOOK_EVERY_S)


@contextlib.asynccontextmanager
async def _at_hand(db: Database, tenant: Tenant) -> AsyncIterator[None]:
    """Both jobs of the tenant in this process too, as on one more replica."""
    directory = Directory.of(0, [tenant])

    hosts = frozenset(urlsplit(url).hostname or "" for url in exotel_urls(tenant))

    async def accept(received: Received) -> None:
        await store(db, event_of(received, tenant, frozenset()))

    async with session(hosts) as client:
        exotel = ExotelAccounts(db, client, lambda: directory, SYSTEM)
        async with Reconciler(db, _Alone(directory), exotel, accept, SYSTEM).running():
            yield


@contextlib.contextmanager
def _bar(words: str) -> Iterator[Callable[[Sweep], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(words, total=None)

        def show(sweep: Sweep) -> None:
            length = (sweep.until_at or sweep.from_at) - sweep.from_at
            done = length if sweep.state == "done" else sweep.done_at - sweep.from_at
            progress.update(task, total=length or None, completed=done, description=f"{words}: {sweep.found} calls")

        yield show


def _rows(one: Statement) -> Iterator[dict[str, Any]]:
    for name, total in (("", one.total), *one.connections.items()):
        yield {
            "day": one.day,
            "connection": name or None,
            **numbers(total),
            **({"unconfirmed": one.unconfirmed, "is_checked": one.is_checked} if not name else {}),
        }


def _why(row: dict[str, Any]) -> str:
    missing = [f"missing: {words} ({count})" for words, count in row["missing_for"].items()]
    return "\n".join([*missing, *(f"not due: {words} ({count})" for words, count in row["not_due_for"].items())])


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise click.UsageError("--day takes a day such as 2026-01-31") from None
