"""No call is missing: days counted, and Exotel asked for what calls lack.

A wish to reconcile or to backfill is stored, and carried out by whoever is free first: a running service, or the
command that asked, with hands of its own. So a command works beside a service on the same SQLite file, and without one.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from sqlalchemy import Connection as Sql

from connector.acts.asker import Asker, act, the_tenant
from connector.acts.office import Office, OwnMeans
from connector.errors import ConfigError, Declined
from connector.pipeline.completeness import statement as statements
from connector.pipeline.completeness.reconcile import Reconciler
from connector.pipeline.completeness.statement import Statement
from connector.pipeline.completeness.sweep import KEPT_S
from connector.store.engine.database import single
from connector.store.queries import leases, sweeps, trail
from connector.store.queries.sweeps import Sweep
from connector.tenants.model import Directory, Tenant

_LOOK_EVERY_S: Final = 0.25
_SAME_END_S: Final = 86400.0


@dataclass(frozen=True, slots=True)
class CountDays:
    """Whose days: `days` of them, up to `day`; today, in the tenant's zone, where it is left out.

    `connection`: has to be one of the tenant's, where it is named.
    """

    tenant: str | None
    day: date | None = None
    days: int = 1
    connection: str | None = None


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Whose calls; `everything`: all looks, whatever their time."""

    tenant: str | None
    everything: bool = False


@dataclass(frozen=True, slots=True)
class Backfill:
    """Whose calls, of which span (Unix times); up to now where `until` is left out."""

    tenant: str | None
    since: float
    until: float | None = None


@dataclass(frozen=True, slots=True)
class StoredWish:
    """A stored wish, and whose it is."""

    tenant: Tenant
    sweep: Sweep


@act("read")
async def statement(office: Office, asker: Asker, wish: CountDays) -> list[Statement]:
    """Days' calls at Exotel, oldest day first, and what became of them: written, not due by policy, missing, and why.

    Counted from the store.
    """
    tenant = await the_tenant(office, asker, wish.tenant)
    if wish.connection is not None:
        tenant.known_connection(wish.connection)
    last = wish.day or statements.today(tenant, office.clock.now())
    days = [last - timedelta(days=number) for number in reversed(range(wish.days))]
    return [await office.db.read(statements.statement, tenant, day) for day in days]


@act("replay")
async def reconcile(office: Office, asker: Asker, wish: Reconcile) -> StoredWish:
    """Asks Exotel for what calls lack, and for calls that nothing told of."""
    now = office.clock.now()
    return await _asked(office, asker, wish.tenant, "now" if wish.everything else "due", now, now)


@act("replay")
async def backfill(office: Office, asker: Asker, wish: Backfill) -> StoredWish:
    """Writes the calls of a span of time that are not here yet, up to six months back."""
    now = office.clock.now()
    end = now if wish.until is None else min(now, wish.until)
    if end <= wish.since:
        raise Declined("invalid", "`to` is not after `from`, or both are still to come.", "to")
    if wish.since < now - KEPT_S:
        words = "`from` is more than six months ago; Exotel keeps its records no longer."
        raise Declined("invalid", words, "from")
    return await _asked(office, asker, wish.tenant, "backfill", wish.since, end)


async def follow(office: Office, asked: StoredWish, look: Callable[[Sweep, str | None], None]) -> Sweep:
    """Follows a stored wish to its end; `look` gets how far it is, and what troubles the tenant's sweeps, if anything.

    A command lends its own hands meanwhile.
    """
    async with _at_hand(office, asked.tenant):
        while True:
            sweep = await office.db.read(sweeps.get_sweep, asked.sweep.id)
            troubles = [one.trouble for one in await office.db.read(sweeps.open_sweeps, asked.tenant.id) if one.trouble]
            look(sweep, troubles[0] if troubles else None)
            if sweep.state == "done":
                return sweep
            await asyncio.sleep(_LOOK_EVERY_S)


async def _asked(office: Office, asker: Asker, sid: str | None, kind: str, begin: float, end: float) -> StoredWish:
    tenant = await the_tenant(office, asker, sid)
    if not any(connection.enabled for connection in tenant.connections):
        raise ConfigError(f"{tenant.sid} has no enabled connection that calls could be written to")
    if not tenant.api_key.get_secret_value():
        raise ConfigError(f"{tenant.sid} has no Exotel API key; `connector apply` takes one as api_key and api_token")
    row = (tenant, kind, begin, end, office.clock.now(), asker.name)
    return StoredWish(tenant, await office.db.write(single(_ask), row))


def _ask(sql: Sql, tenant: Tenant, kind: str, begin: float, end: float, now: float, who: str) -> Sweep:
    """The open sweep that covers the wish, else a new one: what was interrupted goes on where it was."""
    leases.hurry(sql, f"{'backfill' if kind == 'backfill' else 'reconcile'}:{tenant.sid}", now)
    for one in sweeps.open_sweeps(sql, tenant.id):
        if one.kind == kind and (kind != "backfill" or _covers(one, begin, end)):
            return one
    detail: dict[str, Any] = {"from": begin, "to": end} if kind == "backfill" else {"everything": kind == "now"}
    trail.record(sql, who, "backfill" if kind == "backfill" else "reconcile", tenant.id, detail)
    return sweeps.get_sweep(sql, sweeps.add_sweep(sql, tenant.id, kind, begin, end, now))


def _covers(sweep: Sweep, begin: float, end: float) -> bool:
    """Whether a backfill goes over the same span. An end that is left out moves on with the clock: the last hours are
    the hourly sweep's anyway."""
    return sweep.from_at <= begin and sweep.until_at is not None and end - sweep.until_at < _SAME_END_S


@dataclass(frozen=True, slots=True)
class _Alone:
    """The one tenant that a command is about. Implements `periodic.Tenants`."""

    current: Directory


@contextlib.asynccontextmanager
async def _at_hand(office: Office, tenant: Tenant) -> AsyncIterator[None]:
    """Both jobs of the tenant in this process too, as on one more replica; a service runs them already."""
    means = office.means
    if not isinstance(means, OwnMeans):
        yield
        return
    alone = _Alone(Directory.of(0, [tenant]))
    async with Reconciler(office.db, alone, means.exotel, means.accept, office.clock).running():
        yield
