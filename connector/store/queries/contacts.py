"""Contacts: one row per (connection, number), one claim at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from connector.store.rows import as_rows, rows_of


@dataclass(frozen=True, slots=True)
class ContactRow:
    """A row of `contact` to be written; a lease of None gives it free."""

    connection_id: str
    number: str
    state: str
    kind: str | None = None
    ref_id: str | None = None
    url: str | None = None
    owner: str | None = None
    lease_until: float | None = None
    settle_at: float | None = None
    note: str | None = None


_CONTACT_FIELDS = (
    *("connection_id", "number", "state", "kind", "ref_id", "url", "owner", "lease_until", "settle_at", "note"),
    "updated_at",
)
WRITE_CONTACT = text(
    f"insert into contact ({', '.join(_CONTACT_FIELDS)}) select {', '.join(_CONTACT_FIELDS)} "  # noqa: S608
    f"from {rows_of(*_CONTACT_FIELDS)} where true "
    "on conflict (connection_id, number) do update set state = excluded.state, kind = excluded.kind,"
    " ref_id = excluded.ref_id, url = excluded.url, owner = excluded.owner, lease_until = excluded.lease_until,"
    " settle_at = excluded.settle_at, note = excluded.note, updated_at = excluded.updated_at"
)


def contact_values(row: ContactRow, now: float) -> dict[str, Any]:
    return {
        "connection_id": row.connection_id,
        "number": row.number,
        "state": row.state,
        "kind": row.kind,
        "ref_id": row.ref_id,
        "url": row.url,
        "owner": row.owner,
        "lease_until": row.lease_until,
        "settle_at": row.settle_at,
        "note": row.note,
        "updated_at": now,
    }


@dataclass(frozen=True, slots=True)
class ContactClaim:
    """A wish to know, or to find out, who the caller is."""

    connection_id: str
    number: str
    owner: str
    now: float
    lease_until: float


_CONTACT = text(
    "select state, kind, ref_id, url, owner, lease_until, settle_at, note from contact "
    "where connection_id = :connection_id and number = :number"
)
_FORGET_CONTACT = text(
    "delete from contact where connection_id = :connection_id and number = :number and ref_id = :ref_id"
)


def claim_contact(connection: Connection, wishes: Sequence[ContactClaim]) -> list[ContactRow]:
    """The row as it is. Its `owner` is the wish's if it may now find out; `done` rows are shared by all."""
    found = []
    for wish in wishes:
        key = {"connection_id": wish.connection_id, "number": wish.number}
        row = connection.execute(_CONTACT, key).one_or_none()
        if row is not None and row.state == "done":
            found.append(
                ContactRow(wish.connection_id, wish.number, "done", row.kind, row.ref_id, row.url, note=row.note)
            )
            continue
        if row is not None and row.lease_until is not None and row.lease_until > wish.now and row.owner != wish.owner:
            found.append(
                ContactRow(wish.connection_id, wish.number, row.state, owner=row.owner, lease_until=row.lease_until)
            )
            continue
        mine = ContactRow(
            wish.connection_id,
            wish.number,
            # `started` without a living owner is an unsure write, and stays one until it is looked up.
            row.state if row is not None else "looking",
            kind=row.kind if row is not None else None,
            owner=wish.owner,
            lease_until=wish.lease_until,
            settle_at=row.settle_at if row is not None else None,
        )
        connection.execute(WRITE_CONTACT, as_rows([contact_values(mine, wish.now)]))
        found.append(mine)
    return found


def forget_contacts(connection: Connection, rows: Sequence[tuple[str, str, str]]) -> list[None]:
    """Clears (connection, number, ref): the record is gone from the CRM, the next call looks anew."""
    for connection_id, number, ref_id in rows:
        connection.execute(_FORGET_CONTACT, {"connection_id": connection_id, "number": number, "ref_id": ref_id})
    return [None] * len(rows)
