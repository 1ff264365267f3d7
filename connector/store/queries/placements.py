"""Placements: calls that we were asked to place, each a row before Exotel hears of it.

A placement is no row of `call`: that one is made by the first event of the CallSid, whoever tells it. So nothing has to
be merged where a callback overtakes Connect's answer, and no delivery is ever moved.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, select, text

from connector.store.engine.held import free
from connector.store.queries import trail
from connector.store.schema import tenant

_COLUMNS: Final = (
    "id, tenant_id, token, connection_id, agent, agent_number, customer, caller_id, custom_field, idempotency_key,"
    " asked, state, call_sid, refusal, look_at, created_at"
)


@dataclass(frozen=True, slots=True)
class NewPlacement:
    """A call to be placed; see `schema.placement`. `who` stands in the audit trail."""

    tenant_id: int
    token: str
    connection_id: str
    agent: str
    agent_number: str
    customer: str
    caller_id: str
    custom_field: str | None
    idempotency_key: str | None
    asked: str
    look_at: float
    created_at: float
    who: str


@dataclass(frozen=True, slots=True)
class Placement:
    """A row of `placement`."""

    id: int
    tenant_id: int
    token: str
    connection_id: str | None
    agent: str
    agent_number: str
    customer: str
    caller_id: str
    custom_field: str | None
    idempotency_key: str | None
    asked: str
    state: str
    call_sid: str | None
    refusal: str | None
    look_at: float | None
    created_at: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What Exotel said to Connect, or did not: the new state of a row that nobody bound to a call meanwhile.

    `frees_key`: nothing was placed and the same wish may be tried again under its key.
    """

    id: int
    state: str
    at: float
    refusal: str | None = None
    look_at: float | None = None
    frees_key: bool = False


@dataclass(frozen=True, slots=True)
class Binding:
    """A call that turned out to be the one that was placed.

    `by_token`: its own callback says so, which beats what was concluded from numbers and times.
    """

    id: int
    tenant_id: int
    call_sid: str
    at: float
    look_at: float
    by_token: bool


_NEW_FIELDS: Final = (
    "tenant_id, token, connection_id, agent, agent_number, customer, caller_id, custom_field, idempotency_key, asked,"
    " look_at, created_at"
)
_NEW = text(
    f"insert into placement ({_NEW_FIELDS}, state, updated_at) values"  # noqa: S608 - names of columns, ours
    f" ({', '.join(':' + name for name in _NEW_FIELDS.split(', '))}, 'placing', :created_at)"
    " on conflict do nothing returning id"
)
_BY_KEY = text(
    f"select {_COLUMNS} from placement where tenant_id = :tenant_id and idempotency_key = :key"  # noqa: S608
)
_BY_ID = text(f"select {_COLUMNS} from placement where id = :id")  # noqa: S608
_BY_TOKEN = text(f"select {_COLUMNS} from placement where token = :token")  # noqa: S608
_BY_CALL = text(
    f"select {_COLUMNS} from placement where tenant_id = :tenant_id and call_sid = :call_sid"  # noqa: S608
)
_SETTLE = text(
    "update placement set state = :state, refusal = :refusal, look_at = :look_at, lease_until = null, updated_at = :at,"
    " idempotency_key = case when :frees_key then null else idempotency_key end"
    " where id = :id and call_sid is null and state in ('placing', 'unknown')"
)
# Two placements of one agent and customer may have been told apart wrongly: the one that guessed looks again.
_UNBIND = text(
    "update placement set call_sid = null, state = 'unknown', look_at = :look_at, updated_at = :at"
    " where tenant_id = :tenant_id and call_sid = :call_sid and id <> :id"
)
_BIND = text(
    "update placement set call_sid = :call_sid, state = 'placed', look_at = null, lease_until = null, updated_at = :at"
    " where id = :id and (:by_token or (call_sid is null and state <> 'refused'))"
    " and not exists (select 1 from placement taken where taken.tenant_id = :tenant_id"
    "  and taken.call_sid = :call_sid and taken.id <> :id)"
)
# The condition stands in the outer statement too: PostgreSQL asks it again of a row that another replica just took.
_DUE: Final = f"look_at <= :now and {free('placement')}"
_CLAIM_PLACEMENTS = text(
    "update placement set lease_until = :lease_until, state = 'unknown'"  # noqa: S608
    f" where id in (select id from placement where {_DUE} order by look_at limit :most) and {_DUE}"
    f" returning {_COLUMNS}"
)
_NEXT = text("select min(look_at) from placement where look_at is not null")
_TAKEN = text(
    "select call_sid from placement where tenant_id = :tenant_id and call_sid is not null and created_at >= :since"
)
# One process serves the store: what it was about to place when it ended is nobody's any more.
_GIVE_UP = text(
    "update placement set state = 'unknown', lease_until = null, look_at = :look_at where state = 'placing'"
)
_FORGET = text(
    "delete from placement where id in (select id from placement"
    " where tenant_id = :tenant_id and created_at < :before order by created_at limit :limit)"
)


def create_placement(connection: Connection, rows: Sequence[NewPlacement]) -> list[tuple[Placement, bool]]:
    """Writes rows; for each, the row and whether it is this one: with an idempotency key it may be an older one.

    Repeatable: a token makes one row, however often it is written.
    """
    made = []
    for row in rows:
        values = {name: getattr(row, name) for name in _NEW_FIELDS.split(", ")}
        if connection.execute(_NEW, values).scalar() is not None:
            detail = {"placement": row.token, "connection": row.connection_id, "agent": row.agent}
            trail.record(connection, row.who, "call", row.tenant_id, detail)
        found = find_placement(connection, row.token)
        if found is not None:
            made.append((found, True))
            continue
        by_key = {"tenant_id": row.tenant_id, "key": row.idempotency_key}
        made.append((_placement(connection.execute(_BY_KEY, by_key).mappings().one()), False))
    return made


def settle_placement(connection: Connection, rows: Sequence[Verdict]) -> list[Placement]:
    """Writes verdicts, and gives the rows as they are then: a call that was bound meanwhile stays bound."""
    settled = []
    for row in rows:
        values = {
            "id": row.id,
            "state": row.state,
            "refusal": row.refusal,
            "look_at": row.look_at,
            "frees_key": row.frees_key,
            "at": row.at,
        }
        connection.execute(_SETTLE, values)
        settled.append(_placement(connection.execute(_BY_ID, {"id": row.id}).mappings().one()))
    return settled


def bind_placement(connection: Connection, rows: Sequence[Binding]) -> list[Placement]:
    """Says which call a placement became. Repeatable; a CallSid is bound to one placement at most."""
    tenants = {row.tenant_id for row in rows}
    # One at a time per tenant: else two replicas could bind one call to two placements, and one of them would fail.
    locked = select(tenant.c.id).where(tenant.c.id.in_(tenants)).order_by(tenant.c.id).with_for_update(key_share=True)
    connection.execute(locked).all()
    bound = []
    for row in rows:
        named = {"id": row.id, "tenant_id": row.tenant_id, "call_sid": row.call_sid, "at": row.at}
        if row.by_token:
            connection.execute(_UNBIND, {**named, "look_at": row.look_at})
        connection.execute(_BIND, {**named, "by_token": row.by_token})
        bound.append(_placement(connection.execute(_BY_ID, {"id": row.id}).mappings().one()))
    return bound


def claim_looks(connection: Connection, rows: Sequence[tuple[float, float, int]]) -> list[list[Placement]]:
    """For each (now, lease end, most): placements to be looked for at Exotel, by nobody else until the lease ends."""
    claimed = []
    for now, lease_until, most in rows:
        found = connection.execute(_CLAIM_PLACEMENTS, {"now": now, "lease_until": lease_until, "most": most}).mappings()
        claimed.append(sorted(map(_placement, found), key=lambda one: one.created_at))
    return claimed


def give_up_placing(connection: Connection, rows: Sequence[tuple[float]]) -> list[None]:
    """What a dead process was placing is `unknown` from now on. `rows`: (first look,)."""
    for (look_at,) in rows:
        connection.execute(_GIVE_UP, {"look_at": look_at})
    return [None] * len(rows)


def forget_placements(connection: Connection, rows: Sequence[tuple[int, float, int]]) -> list[int]:
    """Deletes placements of (tenant, before, at most so many): their numbers, words and idempotency keys."""
    return [
        connection.execute(_FORGET, {"tenant_id": tenant_id, "before": before, "limit": limit}).rowcount
        for tenant_id, before, limit in rows
    ]


def next_look(connection: Connection) -> float | None:
    """When a placement is to be looked for next; None where nothing is unsure."""
    found: float | None = connection.execute(_NEXT).scalar()
    return found


def taken_sids(connection: Connection, tenant_id: int, since: float) -> set[str]:
    """CallSids that placements since a time are bound to."""
    return set(connection.execute(_TAKEN, {"tenant_id": tenant_id, "since": since}).scalars())


def find_placement(connection: Connection, token: str) -> Placement | None:
    """The placement of a public id."""
    row = connection.execute(_BY_TOKEN, {"token": token}).mappings().one_or_none()
    return None if row is None else _placement(row)


def placement_of_call(connection: Connection, tenant_id: int, call_sid: str) -> Placement | None:
    """The placement that became this call; None where the call was not placed here."""
    row = connection.execute(_BY_CALL, {"tenant_id": tenant_id, "call_sid": call_sid}).mappings().one_or_none()
    return None if row is None else _placement(row)


def placement_of_key(connection: Connection, tenant_id: int, key: str) -> Placement | None:
    """The placement of a client's idempotency key."""
    row = connection.execute(_BY_KEY, {"tenant_id": tenant_id, "key": key}).mappings().one_or_none()
    return None if row is None else _placement(row)


def _placement(row: RowMapping) -> Placement:
    values: dict[str, Any] = dict(row)
    return Placement(**values)
