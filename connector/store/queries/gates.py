"""Gates: what an account allows, as all replicas see it and as it outlives a restart."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from connector.store.engine.dialects import NOW
from connector.store.engine.held import free


@dataclass(frozen=True, slots=True)
class GateRow:
    """A row of `gate`; times are Unix seconds."""

    account: str
    paused: bool
    reason: str | None
    probe_at: float | None
    open_until: float | None
    failures: int
    ramp: int | None
    version: int
    updated_at: float = 0.0


@dataclass(frozen=True, slots=True)
class ProbeClaim:
    """A wish to be the one who asks whether a paused account works again, unless somebody does until `until`."""

    account: str
    #: Only where the next probe is due before then.
    due_before: float
    now: float
    until: float


_COLUMNS = "account, paused, reason, probe_at, open_until, failures, ramp, version, updated_at"
_CHANGED = text(f"select {_COLUMNS} from gate where updated_at > :since")  # noqa: S608 - columns, written by us
_GATE = text(f"select {_COLUMNS} from gate where account = :account")  # noqa: S608 - columns, written by us
_WRITE = text(
    f"insert into gate ({_COLUMNS}) "  # noqa: S608 - columns, written by us
    f"values (:account, :paused, :reason, :probe_at, :open_until, :failures, :ramp, 1, {NOW}) "
    "on conflict (account) do update set paused = excluded.paused, reason = excluded.reason,"
    " probe_at = excluded.probe_at, open_until = excluded.open_until, failures = excluded.failures,"
    " ramp = excluded.ramp, version = gate.version + 1, probing_until = null, updated_at = excluded.updated_at"
    " where gate.version = :version"
)
_CLAIM_PROBE = text(
    "update gate set probing_until = :until where account = :account and paused"  # noqa: S608
    f" and {free('gate', 'probing_until')} and (probe_at is null or probe_at <= :due_before)"
)


def gates(connection: Connection, since: float = 0.0) -> list[GateRow]:
    """Gates that were written after `since`."""
    return [_row(row) for row in connection.execute(_CHANGED, {"since": since})]


def write_gates(connection: Connection, rows: Sequence[tuple[GateRow, float]]) -> list[GateRow | None]:
    """Stores gates, at a time; `version` is the one that the writer knew.

    None: written, with the next version. Else the row as another replica wrote it meanwhile: nothing was changed.
    """
    found: dict[int, GateRow | None] = {}
    # In one order everywhere: two replicas never wait for each other.
    for place, (gate, now) in sorted(enumerate(rows), key=lambda one: one[1][0].account):
        values = {
            "account": gate.account,
            "paused": gate.paused,
            "reason": gate.reason,
            "probe_at": gate.probe_at,
            "open_until": gate.open_until,
            "failures": gate.failures,
            "ramp": gate.ramp,
            "version": gate.version,
            "now": now,
        }
        is_written = connection.execute(_WRITE, values).rowcount
        found[place] = None if is_written else _row(connection.execute(_GATE, {"account": gate.account}).one())
    return [found[place] for place in range(len(rows))]


def claim_probes(connection: Connection, claims: Sequence[ProbeClaim]) -> list[bool]:
    """For each claim whether it was granted; a replica that dies in its probe blocks the next until `until`."""
    return [
        bool(
            connection.execute(
                _CLAIM_PROBE,
                {"account": c.account, "due_before": c.due_before, "now": c.now, "until": c.until},
            ).rowcount
        )
        for c in claims
    ]


def _row(row: Sequence[object]) -> GateRow:
    account, paused, *rest = row
    return GateRow(account, bool(paused), *rest)  # type: ignore[arg-type]  # columns in the order of the fields
