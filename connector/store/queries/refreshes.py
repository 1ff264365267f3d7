"""Who refreshes a credential: lease columns on its row, and the result stored by compare-and-set."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from connector.store.queries import trail


@dataclass(frozen=True, slots=True)
class Wish:
    """A wish to refresh a credential; `now` and `lease_until` are Unix seconds."""

    credential_id: int
    owner: str
    now: float
    lease_until: float


@dataclass(frozen=True, slots=True)
class Standing:
    """The credential as it is. `granted`: the wish's owner refreshes it now, nobody else."""

    sealed: bytes
    version: int
    granted: bool


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh brought; `version` is the one that it began with."""

    credential_id: int
    owner: str
    version: int
    sealed: bytes
    expires_at: float
    #: The refresh token changed: every process has to read the credential anew.
    is_rotated: bool


_LEASE = text(
    "update credential set owner = :owner, lease_until = :lease_until"
    " where id = :id and (owner is null or lease_until <= :now or owner = :owner)"
)
_READ = text("select sealed, version from credential where id = :id")
_KEEP = text(
    "update credential set sealed = :sealed, expires_at = :expires_at, version = version + 1, owner = null,"
    " lease_until = null where id = :id and version = :version and owner = :owner"
)
_RELEASE = text("update credential set owner = null, lease_until = null where id = :id and owner = :owner")
_TENANT = text("select tenant_id from credential where id = :id")


def claim(sql: Connection, wishes: Sequence[Wish]) -> list[Standing | None]:
    """For each wish how the credential stands; None where there is none any more."""
    found: list[Standing | None] = []
    for wish in wishes:
        granted = sql.execute(
            _LEASE,
            {"id": wish.credential_id, "owner": wish.owner, "lease_until": wish.lease_until, "now": wish.now},
        ).rowcount
        row = sql.execute(_READ, {"id": wish.credential_id}).one_or_none()
        found.append(None if row is None else Standing(bytes(row[0]), row[1], bool(granted)))
    return found


def keep(sql: Connection, rows: Sequence[Refreshed]) -> list[bool]:
    """Stores what a refresh brought. False where the credential changed meanwhile: it is read anew."""
    kept = []
    for row in rows:
        values = {
            "id": row.credential_id,
            "owner": row.owner,
            "version": row.version,
            "sealed": row.sealed,
            "expires_at": row.expires_at,
        }
        kept.append(bool(sql.execute(_KEEP, values).rowcount))
        if kept[-1] and row.is_rotated:
            trail.changed(sql, [sql.execute(_TENANT, {"id": row.credential_id}).scalar_one()])
    return kept


def release(sql: Connection, rows: Sequence[tuple[int, str]]) -> list[None]:
    """Gives (credential, owner) back after a refresh that failed."""
    for credential_id, owner in rows:
        sql.execute(_RELEASE, {"id": credential_id, "owner": owner})
    return [None] * len(rows)
