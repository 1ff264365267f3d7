"""Callers: who talked to them, and their records in CRMs as far as they are known."""

import json
from collections.abc import Sequence

from sqlalchemy import Connection, text

from connector.store.engine.rows import as_rows, rows_of
from connector.store.queries.contacts import ContactRow, contact_values

#: Calls of a number that are looked through for one that was answered.
_MOST_CALLS = 20

_TALKED = text(
    "select summary from call where tenant_id = :tenant_id and customer = :customer and created_at >= :since"
    " and summary is not null order by created_at desc, id desc limit :most"
)
_KNOWN_CONTACT = text(
    "select kind, ref_id, url from contact where connection_id = :connection_id and number = :number"
    " and state = 'done' and ref_id is not null"
)
_FIELDS = ("connection_id", "number", "state", "kind", "ref_id", "url", "note", "updated_at")
_TYPED = tuple(f"contact.{name}" for name in _FIELDS)
_LEARN_CONTACT = text(
    f"insert into contact ({', '.join(_FIELDS)}) select {', '.join(_FIELDS)} "  # noqa: S608
    f"from {rows_of(*_TYPED)} r where true order by connection_id, number "
    "on conflict (connection_id, number) do nothing"
)


def last_agents(connection: Connection, tenant_id: int, customer: str, since: float) -> list[str]:
    """Numbers of those who talked to this customer since then, the last one first."""
    values = {"tenant_id": tenant_id, "customer": customer, "since": since, "most": _MOST_CALLS}
    calls = [json.loads(row.summary) for row in connection.execute(_TALKED, values)]
    agents = [call.get("agent_number") for call in calls if call.get("outcome") == "answered"]
    return list(dict.fromkeys(filter(None, agents)))


def known_contact(connection: Connection, connection_id: str, number: str) -> tuple[str, str, str | None] | None:
    """(kind, id, url) of the record that this caller is known as."""
    row = connection.execute(_KNOWN_CONTACT, {"connection_id": connection_id, "number": number}).one_or_none()
    return None if row is None else (row.kind or "contact", row.ref_id, row.url)


def learn_contacts(connection: Connection, rows: Sequence[tuple[ContactRow, float]]) -> list[None]:
    """Writes records that were found without a claim; a row that is there, or is being found out, stays."""
    given = [{name: value for name, value in contact_values(row, at).items() if name in _FIELDS} for row, at in rows]
    connection.execute(_LEARN_CONTACT, as_rows(given))
    return [None] * len(rows)
