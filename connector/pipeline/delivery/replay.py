"""Replay: calls planned anew under the newest options. Dry, it is the plan minus the journal, without a CRM request.

What retention closed is left out: its records were written, and what they said is not known any more.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection as Sql
from sqlalchemy import text

from connector.adapter import registry
from connector.errors import ConfigError, Rejected
from connector.pipeline.calls.events import known, read
from connector.pipeline.calls.fold import fold
from connector.pipeline.delivery.plan import Step, plan
from connector.pipeline.delivery.render import digest, facts, render, sent
from connector.pipeline.delivery.story import Target, tell
from connector.pipeline.recordings.links import LinkMaker
from connector.store.queries import deliveries, retention, views
from connector.store.queries.deliveries import StepRow, Work
from connector.tenants.model import Connection, Directory, Tenant

#: Calls of one replay; a longer span is asked for in parts.
LIMIT = 10_000
#: Said of a call that retention deleted.
PRUNED = "The call is older than the tenant's `retention.days`: what was received of it is deleted, its records stay."


@dataclass(frozen=True, slots=True)
class ReplayWish:
    """Which calls: one, or those first seen in a span (Unix times); of which connection, None: all enabled ones."""

    tenant_id: int
    call_sid: str | None = None
    since: float | None = None
    until: float | None = None
    connection_id: str | None = None
    #: Records that people deleted in the CRM are made anew.
    recreate: bool = False


@dataclass(frozen=True, slots=True)
class Replayed:
    """One call for one connection. `changes`: slot, kind, action, was, now; empty and not `queued`: nothing differs."""

    call_sid: str
    connection: str
    connection_id: str
    changes: list[dict[str, Any]]
    queued: bool


_CALLS = text(
    "select id, call_sid, created_at from call where tenant_id = :tenant_id and call_sid is not null"
    " and (cast(:call_sid as text) is null or call_sid = :call_sid)"
    " and (cast(:since as double precision) is null or created_at >= :since)"
    " and (cast(:until as double precision) is null or created_at < :until) order by created_at limit :most"
)
_DELIVERIES = text("select * from delivery where call_id = :call_id and connection_id = :connection_id")
_ENQUEUE = text(
    "insert into delivery (tenant_id, call_id, connection_id, state, reason, priority, due_at, replay, created_at,"
    " updated_at) values (:tenant_id, :call_id, :connection_id, 'pending', 'waiting', 2, :now, :replay, :now, :now) "
    "on conflict (connection_id, call_id) do update set state = 'pending', version = delivery.version + 1,"
    " reason = case when delivery.owner is null then 'waiting' else delivery.reason end, due_at = :now, attempts = 0,"
    " retried_s = 0, revision = null, replay = :replay, warnings = '[]', updated_at = :now"
)


def enqueue(sql: Sql, rows: Sequence[tuple[Directory, ReplayWish, float]]) -> list[list[Replayed]]:
    """Opens the deliveries of the wished calls again, also for connections that they never had one for."""
    results = []
    for directory, wish, now in rows:
        queued = []
        order = json.dumps({"recreate": wish.recreate})
        for call_id, call_sid, _created_at in _calls(sql, wish):
            for connection in _connections(sql, directory, wish, call_sid):
                sql.execute(
                    _ENQUEUE,
                    {
                        "tenant_id": wish.tenant_id,
                        "call_id": call_id,
                        "connection_id": connection.id,
                        "replay": order,
                        "now": now,
                    },
                )
                queued.append(Replayed(call_sid, connection.name, connection.id, [], queued=True))
        results.append(queued)
    return results


def preview(sql: Sql, directory: Directory, wish: ReplayWish, now: float, links: LinkMaker) -> list[Replayed]:
    """What a replay would write: plan minus journal."""
    tenant = directory.tenants_by_id[wish.tenant_id]
    shown = []
    for call_id, call_sid, created_at in _calls(sql, wish):
        for connection in _connections(sql, directory, wish, call_sid):
            row = (
                sql.execute(_DELIVERIES, {"call_id": call_id, "connection_id": connection.id}).mappings().one_or_none()
            )
            work = Work(
                id=row["id"] if row else 0,
                tenant_id=tenant.id,
                call_id=call_id,
                call_sid=call_sid,
                connection_id=connection.id,
                holder="",
                fence=0,
                lease_until=0.0,
                version=0,
                priority=2,
                attempts=0,
                retried_s=0.0,
                revision=None,
                replay=None,
                warnings="[]",
                call_created_at=created_at,
            )
            deliveries.load(sql, [work])
            shown.append(
                Replayed(
                    call_sid,
                    connection.name,
                    connection.id,
                    _changes(tenant, connection, work, wish, now, links),
                    queued=False,
                )
            )
    return shown


def without_numbers(sql: Sql, tenant: Tenant, replayed: list[Replayed]) -> list[Replayed]:
    """The same for people who see customers' numbers as the tenant's mask leaves them: what was sent may be older."""
    if tenant.mask is None:
        return replayed
    customers = views.customers(sql, tenant.id, [one.call_sid for one in replayed])
    return [
        replace(one, changes=tenant.mask.hidden(one.changes, customers.get(one.call_sid, ()), tenant.country))
        for one in replayed
    ]


def _calls(sql: Sql, wish: ReplayWish) -> list[tuple[int, str, float]]:
    if wish.call_sid is None and wish.since is None and wish.until is None:
        raise ConfigError("name a call, or a span of time")
    values = {
        "tenant_id": wish.tenant_id,
        "call_sid": wish.call_sid,
        "since": wish.since,
        "until": wish.until,
        "most": LIMIT,
    }
    return [(row[0], row[1], row[2]) for row in sql.execute(_CALLS, values)]


def _connections(sql: Sql, directory: Directory, wish: ReplayWish, call_sid: str) -> list[Connection]:
    tenant = directory.tenants_by_id[wish.tenant_id]
    closed = retention.closed(sql, wish.tenant_id, call_sid)
    return [c for c in tenant.connections if c.enabled and c.id not in closed and wish.connection_id in (None, c.id)]


def _changes(
    tenant: Tenant, connection: Connection, work: Work, wish: ReplayWish, now: float, links: LinkMaker
) -> list[dict[str, Any]]:
    adapter = registry.get(connection.adapter)
    target = Target(tenant, connection, adapter, links.of(work, adapter))
    call = fold(read(work.events, tenant.country), known(tenant, target.connection))
    planned = plan(tell(call, target, now))
    of_call, about = facts(planned.story), planned.story.settled()
    changes: list[dict[str, Any]] = []
    for step in planned.steps:
        row = work.steps.get(step.slot)
        if step.kind == "file":
            if row is None or row.ref_id is None:
                changes.append({"slot": step.slot, "kind": step.kind, "action": "create", "was": None, "now": None})
            continue
        try:
            wanted = render(step, of_call, target)
        except Rejected as error:
            changes.append(
                {"slot": step.slot, "kind": step.kind, "action": "reject", "was": None, "now": error.message}
            )
            continue
        action = _action(step, row, digest(wanted, about if step.kind == "call_log" else None), wish)
        if action is not None:
            was = json.loads(row.sent) if row is not None and row.sent else None
            changes.append({"slot": step.slot, "kind": step.kind, "action": action, "was": was, "now": sent(wanted)})
    return changes


def _action(step: Step, row: StepRow | None, wanted: str, wish: ReplayWish) -> str | None:
    there = row is not None and row.ref_id is not None
    if step.adopt is not None:
        return None if there else "adopt"
    if row is not None and row.state == "gone":
        return "create" if wish.recreate else None
    if not there:
        conditional = step.only_update or step.only_on_open or step.slot == "note:link"
        return None if conditional else "create"
    assert row is not None
    if row.state == "adopted" or row.written == wanted:
        return None
    return "update"
