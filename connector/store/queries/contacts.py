"""Contacts: one row per (connection, number), one claim at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from connector.store.engine.dialects import locked
from connector.store.engine.held import HELD, TAKEN, free
from connector.store.engine.rows import as_rows, rows_of


@dataclass(frozen=True, slots=True)
class ContactRow:
    """A row of `contact` to be written; a lease of None gives it free."""

    connection_id: str
    number: str
    state: str
    kind: str | None = None
    ref_id: str | None = None
    url: str | None = None
    holder: str | None = None
    lease_until: float | None = None
    settle_at: float | None = None
    note: str | None = None


_CONTACT_FIELDS = (
    *("connection_id", "number", "state", "kind", "ref_id", "url", "owner", "lease_until", "settle_at", "note"),
    "updated_at",
)
_TYPED = tuple(f"contact.{name}" for name in _CONTACT_FIELDS)
WRITE_CONTACT = text(
    f"insert into contact ({', '.join(_CONTACT_FIELDS)}) select {', '.join(_CONTACT_FIELDS)} "  # noqa: S608
    f"from {rows_of(*_TYPED)} r where true order by connection_id, number "
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
        "owner": row.holder,
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
    holder: str
    now: float
    lease_until: float


_CONTACT = text(
    "select state, kind, ref_id, url, owner as holder, lease_until, settle_at, note from contact "
    "where connection_id = :connection_id and number = :number"
)
# `started` without a living holder is an unsure write, and stays one until it is looked up.
_CLAIM_CONTACT = text(
    "insert into contact (connection_id, number, state, owner, lease_until, updated_at) "  # noqa: S608
    "values (:connection_id, :number, 'looking', :holder, :lease_until, :now) "
    f"on conflict (connection_id, number) do update set {TAKEN}, updated_at = :now"
    f" where contact.state <> 'done' and ({free('contact')} or contact.{HELD})"
)
_FORGET_CONTACT = text(
    "delete from contact where connection_id = :connection_id and number = :number and ref_id = :ref_id"
)


def claim_contact(connection: Connection, wishes: Sequence[ContactClaim]) -> list[ContactRow]:
    """The row as it is. Its `holder` is the wish's if it may now find out; `done` rows are shared by all."""
    found: dict[tuple[str, str, str], ContactRow] = {}
    # In one order, whoever asks: two processes that claim the same contacts do not wait for each other in a circle.
    for wish in sorted(wishes, key=_place):
        row = _known(connection, wish)
        if row is None or row.state != "done":
            values = {"holder": wish.holder, "lease_until": wish.lease_until, "now": wish.now}
            connection.execute(_CLAIM_CONTACT, {**_key(wish), **values})
            row = _known(connection, wish)
            assert row is not None
        found[_place(wish)] = row
    return [found[_place(wish)] for wish in wishes]


def _known(connection: Connection, wish: ContactClaim) -> ContactRow | None:
    row = connection.execute(_CONTACT, _key(wish)).one_or_none()
    return None if row is None else ContactRow(wish.connection_id, wish.number, **row._asdict())


def _key(wish: ContactClaim) -> dict[str, str]:
    return {"connection_id": wish.connection_id, "number": wish.number}


def _place(wish: ContactClaim) -> tuple[str, str, str]:
    return (wish.connection_id, wish.number, wish.holder)


_HOLDERS = text(
    "select connection_id, number, owner from contact where (connection_id, number) in"  # noqa: S608
    f" (select connection_id, number from {rows_of('connection_id', 'contact.number')} r)"
    f" {locked('connection_id, number')}"
)


def contact_holders(connection: Connection, rows: Sequence[ContactRow]) -> dict[tuple[str, str], str | None]:
    """(connection, number) -> who may write the row; rows that are not there are left out."""
    wanted = as_rows([{"connection_id": row.connection_id, "number": row.number} for row in rows])
    return {(row[0], row[1]): row[2] for row in connection.execute(_HOLDERS, wanted)}


def forget_contacts(connection: Connection, rows: Sequence[tuple[str, str, str]]) -> list[None]:
    """Clears (connection, number, ref): the record is gone from the CRM, the next call looks anew."""
    for connection_id, number, ref_id in rows:
        connection.execute(_FORGET_CONTACT, {"connection_id": connection_id, "number": number, "ref_id": ref_id})
    return [None] * len(rows)
