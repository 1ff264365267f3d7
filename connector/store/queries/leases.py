"""Leases: one process at a time holds a periodic job by its name, by compare-and-set on the job's row.

Times are Unix seconds by the caller's clock. Whoever dies with a lease loses it when it ends; whoever gives it back
says when the job is due next, so that neither a restart nor a further replica runs it any sooner.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True)
class Wish:
    """A wish to run the job `name` now, or to go on running it, until `lease_until`."""

    name: str
    owner: str
    now: float
    lease_until: float


@dataclass(frozen=True, slots=True)
class Standing:
    """How the job stands. `granted`: the wish's owner runs it now; else it is worth asking again at `free_at`."""

    granted: bool
    free_at: float


_CLAIM = text(
    "insert into lease (name, owner, lease_until) values (:name, :owner, :lease_until) "
    "on conflict (name) do update set owner = excluded.owner, lease_until = excluded.lease_until"
    " where lease.due_at <= :now and (lease.owner is null or lease.lease_until <= :now)"
)
_STANDING = text("select lease_until, due_at from lease where name = :name")
_RENEW = text(
    "update lease set lease_until = :lease_until where name = :name and owner = :owner and lease_until > :now"
)
_RELEASE = text(
    "update lease set owner = null, lease_until = null, due_at = :due_at where name = :name and owner = :owner"
)


_HURRY = text("update lease set due_at = :now where name = :name and due_at > :now")


def hurry(connection: Connection, name: str, now: float) -> None:
    """Makes a job due now; whoever runs it goes on running it."""
    connection.execute(_HURRY, {"name": name, "now": now})


def claim(connection: Connection, wishes: Sequence[Wish]) -> list[Standing]:
    """Grants each job that is due and that nobody holds; a job that was never heard of is due."""
    found = []
    for wish in wishes:
        values = {"name": wish.name, "owner": wish.owner, "now": wish.now, "lease_until": wish.lease_until}
        granted = bool(connection.execute(_CLAIM, values).rowcount)
        lease_until, due_at = connection.execute(_STANDING, {"name": wish.name}).one()
        found.append(Standing(granted, max(due_at, lease_until or 0.0)))
    return found


def renew(connection: Connection, wishes: Sequence[Wish]) -> list[bool]:
    """Moves a lease's end. False where it is not held any more: whoever has it by now goes on."""
    return [
        bool(
            connection.execute(
                _RENEW,
                {"name": wish.name, "owner": wish.owner, "now": wish.now, "lease_until": wish.lease_until},
            ).rowcount
        )
        for wish in wishes
    ]


def release(connection: Connection, rows: Sequence[tuple[str, str, float]]) -> list[bool]:
    """Gives (name, owner, due_at) back; the job is due again then. False where somebody else has it by now."""
    return [
        bool(connection.execute(_RELEASE, {"name": name, "owner": owner, "due_at": due_at}).rowcount)
        for name, owner, due_at in rows
    ]
