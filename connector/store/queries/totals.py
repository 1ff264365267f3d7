"""What became of a day's calls, connection by connection, and the totals that outlive them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True)
class Became:
    """What became of a call that Exotel billed, for one connection; for none where `connection_id` is None."""

    call_sid: str
    billed_at: float
    connection_id: str | None
    state: str | None
    reason: str | None
    warnings: str | None
    is_written: bool


@dataclass(frozen=True, slots=True)
class Total:
    """A day's calls for a connection; an empty `connection_id`: for the tenant. Reasons: words -> calls."""

    day: str
    connection_id: str
    calls: int
    written: int
    not_due: int
    missing: int
    not_due_for: Mapping[str, int]
    missing_for: Mapping[str, int]


#: A row of the sub-select, and no `exists`: that may be carried out by reading all steps into a hash first.
_BECAME = text(
    "select call.call_sid, call.billed_at, delivery.connection_id, delivery.state, delivery.reason, delivery.warnings,"
    " (select 1 from step where step.delivery_id = delivery.id and step.ref_id is not null"
    "  and step.slot <> 'contact' limit 1) is not null"
    " from call left join delivery on delivery.call_id = call.id"
    " where call.tenant_id = :tenant_id and call.billed_at >= :begin and call.billed_at < :end"
    " and call.billed_at is not null order by call.billed_at, call.id"
)
_UNCONFIRMED = text(
    "select count(*) from call where tenant_id = :tenant_id and created_at >= :begin and created_at < :end"
    " and billed_at is null"
)
_TOTALS = text(
    "select day, connection_id, calls, written, not_due, missing, reasons from day_total"
    " where tenant_id = :tenant_id and day >= :first and day <= :last order by day, connection_id"
)
_OPEN_DAYS = text(
    "select day from day_total where tenant_id = :tenant_id and connection_id = '' and missing > 0 and day >= :first"
    " order by day"
)
_KEEP = text(
    "insert into day_total (tenant_id, day, connection_id, calls, written, not_due, missing, reasons, updated_at)"
    " values (:tenant_id, :day, :connection_id, :calls, :written, :not_due, :missing, :reasons, :now)"
    " on conflict (tenant_id, day, connection_id) do update set calls = excluded.calls, written = excluded.written,"
    " not_due = excluded.not_due, missing = excluded.missing, reasons = excluded.reasons,"
    # What retention has pruned is not counted any more: the day's totals stay as they were.
    " updated_at = excluded.updated_at where excluded.calls >= day_total.calls"
)


def became(connection: Connection, tenant_id: int, begin: float, end: float) -> list[Became]:
    """Every call that began at Exotel from `begin` until before `end`, oldest first: a row per delivery."""
    rows = connection.execute(_BECAME, {"tenant_id": tenant_id, "begin": begin, "end": end})
    return [Became(*row) for row in rows]


def unconfirmed(connection: Connection, tenant_id: int, begin: float, end: float) -> int:
    """How many calls of that time are known by their requests alone: no Call Details named them yet."""
    values = {"tenant_id": tenant_id, "begin": begin, "end": end}
    return int(connection.execute(_UNCONFIRMED, values).scalar_one())


def totals(connection: Connection, tenant_id: int, first: str, last: str) -> list[Total]:
    """The kept totals of days, both included."""
    rows = connection.execute(_TOTALS, {"tenant_id": tenant_id, "first": first, "last": last})
    return [Total(*row[:6], **json.loads(row[6])) for row in rows]


def open_days(connection: Connection, tenant_id: int, first: str) -> list[str]:
    """Days from `first` on by whose kept totals something was missing."""
    return list(connection.execute(_OPEN_DAYS, {"tenant_id": tenant_id, "first": first}).scalars())


def keep(connection: Connection, tenant_id: int, found: Iterable[Total], now: float) -> None:
    """Keeps totals."""
    rows: Sequence[Mapping[str, object]] = [
        {
            "tenant_id": tenant_id,
            "day": total.day,
            "connection_id": total.connection_id,
            "calls": total.calls,
            "written": total.written,
            "not_due": total.not_due,
            "missing": total.missing,
            "reasons": json.dumps({"not_due_for": total.not_due_for, "missing_for": total.missing_for}),
            "now": now,
        }
        for total in found
    ]
    if rows:
        connection.execute(_KEEP, rows)
