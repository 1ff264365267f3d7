"""Leases: one process at a time holds a periodic job by its name, by compare-and-set on the job's row.

Times are Unix seconds by the caller's clock. Whoever dies with a lease loses it when it ends; whoever gives it back
says when the job is due next, so that neither a restart nor a further replica runs it any sooner.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from connector.store.engine.held import GIVEN_BACK, HELD, TAKEN, Hold, free


@dataclass(frozen=True, slots=True)
class Standing:
    """How the job stands. `granted`: the wish's holder runs it now; else it is worth asking again at `free_at`."""

    granted: bool
    free_at: float


_CLAIM = text(
    "insert into lease (name, owner, lease_until) values (:key, :holder, :lease_until) "  # noqa: S608
    f"on conflict (name) do update set {TAKEN} where lease.due_at <= :now and {free('lease')}"
)
_STANDING = text("select lease_until, due_at from lease where name = :name")
_RENEW = text(
    f"update lease set lease_until = :lease_until where name = :key and {HELD} and lease_until > :now"  # noqa: S608
)
_RELEASE = text(f"update lease set {GIVEN_BACK}, due_at = :due_at where name = :key and {HELD}")  # noqa: S608


_HURRY = text("update lease set due_at = :now where name = :name and due_at > :now")


def hurry(connection: Connection, name: str, now: float) -> None:
    """Makes a job due now; whoever runs it goes on running it."""
    connection.execute(_HURRY, {"name": name, "now": now})


def claim(connection: Connection, wishes: Sequence[Hold[str]]) -> list[Standing]:
    """Grants each job that is due and that nobody holds; a job that was never heard of is due."""
    found = []
    for wish in wishes:
        granted = bool(connection.execute(_CLAIM, wish.values()).rowcount)
        lease_until, due_at = connection.execute(_STANDING, {"name": wish.key}).one()
        found.append(Standing(granted, max(due_at, lease_until or 0.0)))
    return found


def renew(connection: Connection, wishes: Sequence[Hold[str]]) -> list[bool]:
    """Moves a lease's end. False where it is not held any more: whoever has it by now goes on."""
    return [bool(connection.execute(_RENEW, wish.values()).rowcount) for wish in wishes]


def release(connection: Connection, rows: Sequence[tuple[str, str, float]]) -> list[bool]:
    """Gives (name, holder, due_at) back; the job is due again then. False where somebody else has it by now."""
    return [
        bool(connection.execute(_RELEASE, {"key": name, "holder": holder, "due_at": due_at}).rowcount)
        for name, holder, due_at in rows
    ]
