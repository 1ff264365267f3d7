"""Who refreshes a credential: lease columns on its row, and the result stored by compare-and-set."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from connector.store.engine.held import GIVEN_BACK, HELD, TAKEN, Hold, free
from connector.store.queries import trail


@dataclass(frozen=True, slots=True)
class StoredCredential:
    """The credential as it is. `granted`: the wish's holder refreshes it now, nobody else."""

    sealed: bytes
    version: int
    granted: bool


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh brought; `version` is the one that it began with."""

    credential_id: int
    holder: str
    version: int
    sealed: bytes
    expires_at: float
    #: The refresh token changed: every process has to read the credential anew.
    is_rotated: bool


_LEASE = text(
    f"update credential set {TAKEN} where id = :key and ({free('credential')} or {HELD})"  # noqa: S608
)
_READ = text("select sealed, version from credential where id = :id")
_KEEP = text(
    "update credential set sealed = :sealed, expires_at = :expires_at, version = version + 1,"  # noqa: S608
    f" {GIVEN_BACK} where id = :id and version = :version and {HELD}"
)
_RELEASE = text(f"update credential set {GIVEN_BACK} where id = :id and {HELD}")  # noqa: S608
_TENANT = text("select tenant_id from credential where id = :id")


def claim(sql: Connection, wishes: Sequence[Hold[int]]) -> list[StoredCredential | None]:
    """For each wish how the credential stands; None where there is none any more."""
    found: list[StoredCredential | None] = []
    for wish in wishes:
        granted = sql.execute(_LEASE, wish.values()).rowcount
        row = sql.execute(_READ, {"id": wish.key}).one_or_none()
        found.append(None if row is None else StoredCredential(bytes(row[0]), row[1], bool(granted)))
    return found


def keep(sql: Connection, rows: Sequence[Refreshed]) -> list[bool]:
    """Stores what a refresh brought. False where the credential changed meanwhile: it is read anew."""
    kept = []
    for row in rows:
        values = {
            "id": row.credential_id,
            "holder": row.holder,
            "version": row.version,
            "sealed": row.sealed,
            "expires_at": row.expires_at,
        }
        kept.append(bool(sql.execute(_KEEP, values).rowcount))
        if kept[-1] and row.is_rotated:
            trail.changed(sql, [sql.execute(_TENANT, {"id": row.credential_id}).scalar_one()])
    return kept


def release(sql: Connection, rows: Sequence[tuple[int, str]]) -> list[None]:
    """Gives (credential, holder) back after a refresh that failed."""
    for credential_id, holder in rows:
        sql.execute(_RELEASE, {"id": credential_id, "holder": holder})
    return [None] * len(rows)
