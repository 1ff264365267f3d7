"""The statement of a day: calls at Exotel, written, not due by policy, missing, and the reason for each.

Counted from the store alone, so that every replica says the same. Totals are kept after each sweep, for the days whose
calls retention has pruned.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import Connection as Sql

from connector.pipeline.calls.lacks import NOT_WRITTEN
from connector.store.queries import sweeps, totals
from connector.store.queries.totals import Became, Total
from connector.tenants.model import Tenant

_Verdict = tuple[Literal["written", "not_due", "missing"], str]

_PENDING: Final = {
    "running": "it is being written",
    "retrying": "the CRM did not take it yet; it is tried again",
    "quota": "the CRM's quota is used up for now",
    "paused": "the connection is paused or disabled",
    "waiting": "it waits for its turn, or for what may still come of the call",
}
_DEAD: Final = {
    "rejected": "the CRM refused it",
    "unsure": "the CRM did not say whether it wrote it",
    "expired": "the CRM did not answer for 28 hours",
    "bug": "a fault of the connector",
}
_NO_RECORD_DUE: Final = "no record is due for such a call by the connection's options"
_LATER: Final = "the connection was added after the call"
_NOT_NAMED: Final = "its requests named other connections, or the connection was disabled"
_NOBODY: Final = "the tenant had no connection"
#: Days with something missing are counted again until Exotel has forgotten them.
_OPEN_DAYS: Final = 183
#: CallSids that a statement names.
_NAMED: Final = 20


@dataclass(frozen=True, slots=True)
class Statement:
    """One day of a tenant. `connections`: name -> total, of connections that are there; the tenant's own is `total`."""

    tenant: str
    time_zone: str
    day: str
    total: Total
    connections: dict[str, Total]
    #: Some CallSids of what is missing.
    missing_calls: tuple[str, ...]
    #: Calls that are known by their requests alone so far.
    unconfirmed: int
    #: Up to when Exotel's list was gone through (Unix time); None: never.
    checked_until: float | None
    #: The day's calls were pruned: these are its totals as they were kept.
    is_kept: bool
    #: Whether Exotel's list of the whole day was gone through.
    is_checked: bool


def percent(total: Total) -> float:
    """Share of the calls at Exotel that are written, or not due; 100 where there were none. Never rounded up."""
    return 100.0 if not total.calls else int(1000 * (total.calls - total.missing) / total.calls) / 10


def numbers(total: Total) -> dict[str, Any]:
    """A total as the command line and the API show it."""
    return {
        "calls": total.calls,
        "written": total.written,
        "not_due": total.not_due,
        "missing": total.missing,
        "percent": percent(total),
        "not_due_for": dict(total.not_due_for),
        "missing_for": dict(total.missing_for),
    }


def today(tenant: Tenant, now: float) -> date:
    """The day that it is in the tenant's zone."""
    return datetime.fromtimestamp(now, ZoneInfo(tenant.time_zone)).date()


def bounds(tenant: Tenant, day: date) -> tuple[float, float]:
    """Unix times of the day's begin and of the next one's, in the tenant's zone."""
    zone = ZoneInfo(tenant.time_zone)
    begin = datetime(day.year, day.month, day.day, tzinfo=zone)
    after = day + timedelta(days=1)
    return begin.timestamp(), datetime(after.year, after.month, after.day, tzinfo=zone).timestamp()


def statement(sql: Sql, tenant: Tenant, day: date) -> Statement:
    """The statement of a day."""
    begin, end = bounds(tenant, day)
    rows = totals.became(sql, tenant.id, begin, end)
    found = {total.connection_id: total for total in _count(sql, tenant, day, rows)}
    kept = {total.connection_id: total for total in totals.totals(sql, tenant.id, day.isoformat(), day.isoformat())}
    is_kept = "" in kept and kept[""].calls > found[""].calls
    shown = kept if is_kept else found
    names = {connection.id: connection.name for connection in tenant.connections}
    hourly = next((one for one in sweeps.open_sweeps(sql, tenant.id) if one.kind == "hourly"), None)
    return Statement(
        tenant=tenant.sid,
        time_zone=tenant.time_zone,
        day=day.isoformat(),
        total=shown[""],
        connections={names[id_]: total for id_, total in shown.items() if id_ in names},
        missing_calls=() if is_kept else _missing_calls(rows),
        unconfirmed=totals.unconfirmed(sql, tenant.id, begin, end),
        checked_until=hourly.done_at if hourly is not None else None,
        is_kept=is_kept,
        is_checked=hourly is not None and hourly.from_at <= begin and hourly.done_at >= end,
    )


def to_keep(sql: Sql, tenant: Tenant, begin: float, end: float) -> list[Total]:
    """The totals of the days between two Unix times, and of those that something was missing of."""
    first, last = today(tenant, begin), today(tenant, end)
    days = {first + timedelta(days=number) for number in range((last - first).days + 1)}
    since = (last - timedelta(days=_OPEN_DAYS)).isoformat()
    days |= {date.fromisoformat(day) for day in totals.open_days(sql, tenant.id, since)}
    found: list[Total] = []
    for day in sorted(days):
        rows = totals.became(sql, tenant.id, *bounds(tenant, day))
        found += _count(sql, tenant, day, rows) if rows else []
    return found


def _count(sql: Sql, tenant: Tenant, day: date, rows: Sequence[Became]) -> list[Total]:
    ages = sweeps.connection_ages(sql, tenant.id)
    calls: dict[str, dict[str, _Verdict]] = {}
    began: dict[str, float] = {}
    for row in rows:
        verdicts = calls.setdefault(row.call_sid, {})
        began[row.call_sid] = row.billed_at
        if row.connection_id is not None:
            verdicts[row.connection_id] = _verdict(row)
    for call_sid, verdicts in calls.items():
        for connection_id, added_at in ages.items():
            if connection_id not in verdicts:
                verdicts[connection_id] = ("not_due", _LATER if added_at > began[call_sid] else _NOT_NAMED)
    found = [_total(day, id_, [verdicts[id_] for verdicts in calls.values()]) for id_ in ages]
    return [_total(day, "", [_overall(verdicts) for verdicts in calls.values()]), *found]


def _total(day: date, connection_id: str, verdicts: Sequence[_Verdict]) -> Total:
    count = Counter(verdict for verdict, _ in verdicts)
    reasons = {name: Counter(why for verdict, why in verdicts if verdict == name) for name in ("not_due", "missing")}
    return Total(
        day=day.isoformat(),
        connection_id=connection_id,
        calls=len(verdicts),
        written=count["written"],
        not_due=count["not_due"],
        missing=count["missing"],
        not_due_for=dict(reasons["not_due"].most_common()),
        missing_for=dict(reasons["missing"].most_common()),
    )


def _overall(verdicts: dict[str, _Verdict]) -> _Verdict:
    """A call as a whole: what is missing anywhere is missing."""
    for wanted in ("missing", "written"):
        for verdict in verdicts.values():
            if verdict[0] == wanted:
                return verdict
    return next(iter(verdicts.values()), ("not_due", _NOBODY))


def _verdict(row: Became) -> _Verdict:
    if row.is_written:
        return "written", ""
    if row.state == "dead":
        return "missing", _DEAD.get(row.reason or "", "it failed")
    if row.state == "pending":
        return "missing", _PENDING.get(row.reason or "", "it is being written")
    words = [text for text in json.loads(row.warnings or "[]") if text.startswith(NOT_WRITTEN)]
    return "not_due", words[-1].removeprefix(NOT_WRITTEN) if words else _NO_RECORD_DUE


def _missing_calls(rows: Sequence[Became]) -> tuple[str, ...]:
    named = dict.fromkeys(row.call_sid for row in rows if row.connection_id and _verdict(row)[0] == "missing")
    return tuple(named)[:_NAMED]
