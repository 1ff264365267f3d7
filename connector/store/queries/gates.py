"""Gates: what outlives a restart of what an account allows."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

_GATES = text("select account, paused, reason, probe_at, open_until, failures from gate")
_WRITE_GATE = text(
    "insert into gate (account, paused, reason, probe_at, open_until, failures, updated_at) "
    "values (:account, :paused, :reason, :probe_at, :open_until, :failures, :now) "
    "on conflict (account) do update set paused = excluded.paused, reason = excluded.reason,"
    " probe_at = excluded.probe_at, open_until = excluded.open_until, failures = excluded.failures,"
    " updated_at = excluded.updated_at"
)


def gates(connection: Connection) -> list[Mapping[str, Any]]:
    """All gates' rows."""
    return [dict(row) for row in connection.execute(_GATES).mappings()]


def write_gates(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> list[None]:
    """Stores gates: account, paused, reason, probe_at, open_until, failures, now."""
    connection.execute(_WRITE_GATE, list(rows))
    return [None] * len(rows)
