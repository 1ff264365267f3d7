"""Retention: old calls go with all that hangs on them, and leave tombstones, so that nothing is written twice.

A call is *closed* for a connection that a tombstone names: neither an event (`accepting`) nor a replay opens a
delivery for it again. What is deleted, and when, is told in `connector.pipeline.upkeep.retention`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select, text

from connector.store import schema
from connector.store.engine.rows import as_list


@dataclass(frozen=True, slots=True)
class Place:
    """A call in the order in which old ones are looked through."""

    created_at: float
    id: int


@dataclass(frozen=True, slots=True)
class Prune:
    """A wish to delete those of these calls that are finished and that nothing happened to since `before`."""

    call_ids: tuple[int, ...]
    before: float
    now: float


@dataclass(frozen=True, slots=True)
class Unseen:
    """Numbers of a connection's contacts that no call is left of, and which were not written since `before`."""

    tenant_id: int
    connection_id: str
    numbers: tuple[str, ...]
    before: float


# `(select … limit 1) is null` and not `not exists`: for that PostgreSQL may read the whole table into a hash.
_FINISHED = (
    "(select 1 from delivery d where d.call_id = call.id"
    "  and (d.state = 'pending' or d.owner is not null or d.updated_at >= :before) limit 1) is null"
    " and (select 1 from event e where e.call_id = call.id and e.received_at >= :before limit 1) is null"
)
_OLD_CALLS = text(
    f"select created_at, id, {_FINISHED} from call where tenant_id = :tenant_id and created_at < :before"  # noqa: S608
    " and (created_at, id) > (:created_at, :id) order by created_at, id limit :limit"
)
# On PostgreSQL an event that is being accepted holds the call's row: such a call is left for another time.
_LOCK = (
    select(schema.call.c.id)
    .where(schema.call.c.id.in_(bindparam("ids", expanding=True)))
    .with_for_update(skip_locked=True)
)
_PRUNABLE = text(f"select id from call where id in :ids and {_FINISHED}").bindparams(  # noqa: S608
    bindparam("ids", expanding=True)
)
# A write whose outcome nobody knows may have written. The contact is a record of the caller, not of the call.
_BURY = text(
    "insert into tombstone (tenant_id, call_sid, connection_id, slot, kind, ref_id, url, made_at, call_at)"
    " select c.tenant_id, c.call_sid, d.connection_id, s.slot, s.kind, s.ref_id, s.url,"
    " cast(:made_at as double precision), c.created_at"
    " from call c join delivery d on d.call_id = c.id join step s on s.delivery_id = d.id"
    " where c.id in :ids and c.call_sid is not null and s.slot <> 'contact'"
    " and (s.ref_id is not null or s.state = 'started' or s.reason = 'unsure')"
    " on conflict (tenant_id, call_sid, connection_id, slot) do nothing"
).bindparams(bindparam("ids", expanding=True))
# What was dead without having written anything leaves nothing: a backfill may still write it.
_BURY_EMPTY = text(
    "insert into tombstone (tenant_id, call_sid, connection_id, slot, kind, made_at, call_at)"
    " select c.tenant_id, c.call_sid, d.connection_id, '', 'none', cast(:made_at as double precision), c.created_at"
    " from call c join delivery d on d.call_id = c.id"
    " where c.id in :ids and c.call_sid is not null and d.state = 'done' and not exists (select 1 from tombstone t"
    "  where t.tenant_id = c.tenant_id and t.call_sid = c.call_sid and t.connection_id = d.connection_id)"
    " on conflict (tenant_id, call_sid, connection_id, slot) do nothing"
).bindparams(bindparam("ids", expanding=True))
# Events, deliveries with their steps, popups and recordings go with their call (`on delete cascade`).
_PRUNE = text("delete from call where id in :ids").bindparams(bindparam("ids", expanding=True))

_UNSEEN = (
    "contact.updated_at < :before and contact.owner is null and not exists (select 1 from call"
    " where call.tenant_id = :tenant_id and call.customer in ('+' || contact.number, contact.number))"
)
_CONTACTS = text(
    f"select number, {_UNSEEN} from contact where connection_id = :connection_id and number > :after"  # noqa: S608
    " order by number limit :limit"
)
_FORGET = text(
    f"delete from contact where connection_id = :connection_id and number in :numbers and {_UNSEEN}"  # noqa: S608
).bindparams(bindparam("numbers", expanding=True))
_EMPTY_AUDIT = text(
    "update audit set detail = '{}' where id in (select id from audit"
    " where tenant_id = :tenant_id and at < :before and detail <> '{}' order by at limit :limit)"
)
_FORGET_TEXTS = text(
    "delete from text_message where tenant_id = :tenant_id and sms_sid in (select sms_sid from text_message"
    " where tenant_id = :tenant_id and updated_at < :before limit :limit)"
)
_EXPIRED = text("select tenant_id, call_sid from tombstone where made_at < :before order by made_at limit :limit")
_EXPIRE = text("delete from tombstone where tenant_id = :tenant_id and call_sid = :call_sid and made_at < :before")
_CLOSED = text("select distinct connection_id from tombstone where tenant_id = :tenant_id and call_sid = :call_sid")


def old_calls(
    connection: Connection, tenant_id: int, before: float, after: Place, limit: int
) -> tuple[list[int], Place | None]:
    """Of a page of calls first heard of before a time, from a place on: those to prune, and where the page ends.

    None: there are no more.
    """
    values = {
        "tenant_id": tenant_id,
        "before": before,
        "created_at": after.created_at,
        "id": after.id,
        "limit": limit,
    }
    rows = connection.execute(_OLD_CALLS, values).all()
    return [row[1] for row in rows if row[2]], Place(rows[-1][0], rows[-1][1]) if len(rows) == limit else None


def prune(connection: Connection, wishes: Sequence[Prune]) -> list[int]:
    """Deletes calls and leaves tombstones. For each wish: how many calls went."""
    pruned = []
    for wish in wishes:
        held = [row[0] for row in connection.execute(_LOCK, {"ids": as_list(wish.call_ids)})]
        # In a statement of its own, so that it sees what was accepted before the lock was given.
        old = {"ids": as_list(held), "before": wish.before}
        ids = [row[0] for row in connection.execute(_PRUNABLE, old)] if held else []
        if ids:
            listed = as_list(ids)
            connection.execute(_BURY, {"ids": listed, "made_at": wish.now})
            connection.execute(_BURY_EMPTY, {"ids": listed, "made_at": wish.now})
            connection.execute(_PRUNE, {"ids": listed})
        pruned.append(len(ids))
    return pruned


def unseen_contacts(
    connection: Connection, tenant_id: int, connection_id: str, before: float, after: str, limit: int
) -> tuple[list[str], str | None]:
    """Of a page of contacts after a number: those not seen any more, and the last number; None: there are no more."""
    values = {
        "tenant_id": tenant_id,
        "connection_id": connection_id,
        "before": before,
        "after": after,
        "limit": limit,
    }
    rows = connection.execute(_CONTACTS, values).all()
    return [row[0] for row in rows if row[1]], rows[-1][0] if len(rows) == limit else None


def forget_unseen(connection: Connection, wishes: Sequence[Unseen]) -> list[int]:
    """Deletes contacts, unless they were seen again meanwhile. The CRM's records stay."""
    return [
        connection.execute(
            _FORGET,
            {
                "tenant_id": wish.tenant_id,
                "connection_id": wish.connection_id,
                "numbers": as_list(wish.numbers),
                "before": wish.before,
            },
        ).rowcount
        for wish in wishes
    ]


def empty_audit(connection: Connection, rows: Sequence[tuple[int, float, int]]) -> list[int]:
    """Empties the details of (tenant, before, at most so many); who did what and when stays."""
    return [
        connection.execute(_EMPTY_AUDIT, {"tenant_id": tenant_id, "before": before, "limit": limit}).rowcount
        for tenant_id, before, limit in rows
    ]


def forget_texts(connection: Connection, rows: Sequence[tuple[int, float, int]]) -> list[int]:
    """Deletes what older versions kept of text messages of (tenant, before, at most so many)."""
    return [
        connection.execute(_FORGET_TEXTS, {"tenant_id": tenant_id, "before": before, "limit": limit}).rowcount
        for tenant_id, before, limit in rows
    ]


def expire_tombstones(connection: Connection, rows: Sequence[tuple[float, int]]) -> list[int]:
    """Deletes tombstones made (before, at most so many), of all tenants. For each: of how many calls."""
    expired = []
    for before, limit in rows:
        # A call has several; it goes with all that are as old.
        calls = {(row[0], row[1]) for row in connection.execute(_EXPIRED, {"before": before, "limit": limit})}
        if calls:
            connection.execute(
                _EXPIRE, [{"tenant_id": tenant, "call_sid": sid, "before": before} for tenant, sid in sorted(calls)]
            )
        expired.append(len(calls))
    return expired


def closed(connection: Connection, tenant_id: int, call_sid: str) -> frozenset[str]:
    """The connections that nothing is written to for this call any more."""
    rows = connection.execute(_CLOSED, {"tenant_id": tenant_id, "call_sid": call_sid})
    return frozenset(row[0] for row in rows)
