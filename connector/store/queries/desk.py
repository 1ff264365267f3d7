"""Queries of the local desk: contacts, tickets and notes, each seen by its own connection only.

Creating is idempotent by `external_ref`: a second request gets the first one's record back, unchanged, because people
may have edited it since. HTML is stored as it is given; whoever takes it in cleans it (`connector.web.desk`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Connection, bindparam, insert, select, update

from connector.store.engine.database import single
from connector.store.schema import agent, desk_contact, desk_note, desk_ticket

State = Literal["open", "closed"]

#: A list gives the newest so many.
_LIST = 100


@dataclass(frozen=True, slots=True)
class Contact:
    """A caller, as the desk knows them."""

    id: int
    name: str
    phone: str
    external_ref: str
    updated_at: float


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket; `assignee` is an agent's id, `fields` are the tenant's own."""

    id: int
    connection_id: str
    contact_id: int
    external_ref: str
    subject: str
    body: str
    state: str
    assignee: str | None
    fields: Mapping[str, str]
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class Note:
    """A note on a ticket; `author` is an agent's id."""

    id: int
    ticket_id: int
    external_ref: str
    body: str
    private: bool
    author: str | None
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class DeskUser:
    """An agent of the connection: the desk has no users besides."""

    id: str
    name: str
    email: str | None


@dataclass(frozen=True, slots=True)
class TicketPage:
    """All that a ticket's page shows; `names`: agent's id -> name."""

    ticket: Ticket
    contact: Contact
    notes: Sequence[Note]
    names: Mapping[str, str] = field(default_factory=dict)


_contacts = select(
    desk_contact.c.id, desk_contact.c.name, desk_contact.c.phone, desk_contact.c.external_ref, desk_contact.c.updated_at
)
_contacts_by_phone = (
    _contacts.where(
        desk_contact.c.connection_id == bindparam("connection_id"),
        desk_contact.c.phone.in_(bindparam("phones", expanding=True)),
    )
    .order_by(desk_contact.c.updated_at.desc(), desk_contact.c.id.desc())
    .limit(_LIST)
)
_contact_by_ref = _contacts.where(
    desk_contact.c.connection_id == bindparam("connection_id"), desk_contact.c.external_ref == bindparam("ref")
)
_contact_by_id = _contacts.where(
    desk_contact.c.connection_id == bindparam("connection_id"), desk_contact.c.id == bindparam("id")
)
_tickets = select(
    desk_ticket.c.id,
    desk_ticket.c.connection_id,
    desk_ticket.c.contact_id,
    desk_ticket.c.external_ref,
    desk_ticket.c.subject,
    desk_ticket.c.body,
    desk_ticket.c.state,
    desk_ticket.c.assignee,
    desk_ticket.c.fields,
    desk_ticket.c.created_at,
    desk_ticket.c.updated_at,
)
_ticket_by_id = _tickets.where(desk_ticket.c.id == bindparam("id"))
_ticket_by_ref = _tickets.where(
    desk_ticket.c.connection_id == bindparam("connection_id"), desk_ticket.c.external_ref == bindparam("ref")
)
_tickets_of_contact = (
    _tickets.where(
        desk_ticket.c.connection_id == bindparam("connection_id"), desk_ticket.c.contact_id == bindparam("contact_id")
    )
    .order_by(desk_ticket.c.id.desc())
    .limit(_LIST)
)
_tickets_of_contact_in_state = _tickets_of_contact.where(desk_ticket.c.state == bindparam("state"))
_notes = select(
    desk_note.c.id,
    desk_note.c.ticket_id,
    desk_note.c.external_ref,
    desk_note.c.body,
    desk_note.c.private,
    desk_note.c.author,
    desk_note.c.created_at,
    desk_note.c.updated_at,
)
_notes_of_ticket = _notes.where(desk_note.c.ticket_id == bindparam("ticket_id")).order_by(desk_note.c.id).limit(_LIST)
_note_by_ref = _notes.where(
    desk_note.c.ticket_id == bindparam("ticket_id"), desk_note.c.external_ref == bindparam("ref")
)
_note_by_id = _notes.join(desk_ticket, desk_ticket.c.id == desk_note.c.ticket_id).where(
    desk_note.c.id == bindparam("id"), desk_ticket.c.connection_id == bindparam("connection_id")
)
_users = select(agent.c.crm_id, agent.c.name, agent.c.email).where(agent.c.connection_id == bindparam("connection_id"))


def find_contacts(connection: Connection, connection_id: str, phones: Sequence[str]) -> list[Contact]:
    """Contacts saved under any of these spellings, newest first."""
    rows = connection.execute(_contacts_by_phone, {"connection_id": connection_id, "phones": list(phones)})
    return [Contact(*row) for row in rows]


def find_contact(connection: Connection, connection_id: str, ref: str) -> Contact | None:
    """The contact that was made under this external reference."""
    row = connection.execute(_contact_by_ref, {"connection_id": connection_id, "ref": ref}).first()
    return Contact(*row) if row else None


def find_ticket(connection: Connection, connection_id: str, ref: str) -> Ticket | None:
    """The ticket that was made under this external reference."""
    row = connection.execute(_ticket_by_ref, {"connection_id": connection_id, "ref": ref}).first()
    return _ticket(row) if row else None


def get_ticket(connection: Connection, connection_id: str, id_: int) -> Ticket | None:
    """The ticket, where it belongs to this connection."""
    row = connection.execute(_ticket_by_id, {"id": id_}).first()
    return _ticket(row) if row and row.connection_id == connection_id else None


def tickets_of(connection: Connection, connection_id: str, contact_id: int, state: State | None) -> list[Ticket]:
    """A contact's tickets, newest first; of this state only, where one is given."""
    values = {"connection_id": connection_id, "contact_id": contact_id}
    if state is None:
        return [_ticket(row) for row in connection.execute(_tickets_of_contact, values)]
    return [_ticket(row) for row in connection.execute(_tickets_of_contact_in_state, {**values, "state": state})]


def notes_of(connection: Connection, connection_id: str, ticket_id: int, ref: str | None = None) -> list[Note] | None:
    """A ticket's notes, oldest first, or the one with this reference; None where there is no such ticket."""
    if get_ticket(connection, connection_id, ticket_id) is None:
        return None
    if ref is None:
        return [_note(row) for row in connection.execute(_notes_of_ticket, {"ticket_id": ticket_id})]
    return [_note(row) for row in connection.execute(_note_by_ref, {"ticket_id": ticket_id, "ref": ref})]


def users(connection: Connection, connection_id: str) -> list[DeskUser]:
    """The connection's agents."""
    return [DeskUser(*row) for row in connection.execute(_users, {"connection_id": connection_id})]


def page(connection: Connection, ticket_id: int) -> TicketPage | None:
    """A ticket with what its page shows, whatever its connection: the caller has checked the page's signature."""
    row = connection.execute(_ticket_by_id, {"id": ticket_id}).first()
    if row is None:
        return None
    ticket = _ticket(row)
    of = {"connection_id": ticket.connection_id, "id": ticket.contact_id}
    contact = Contact(*connection.execute(_contact_by_id, of).one())
    notes = [_note(row) for row in connection.execute(_notes_of_ticket, {"ticket_id": ticket_id})]
    names = {user.id: user.name for user in users(connection, ticket.connection_id) if user.name}
    return TicketPage(ticket, contact, notes, names)


def _create_contact(
    connection: Connection, connection_id: str, ref: str, name: str, phone: str, now: float
) -> tuple[Contact, bool]:
    known = find_contact(connection, connection_id, ref)
    if known is not None:
        return known, False
    values: dict[str, Any] = {"external_ref": ref, "name": name, "phone": phone, "updated_at": now}
    id_ = _inserted(connection, desk_contact, {"connection_id": connection_id, **values})
    return Contact(id=id_, **values), True


def _create_ticket(
    connection: Connection, connection_id: str, values: Mapping[str, Any], now: float
) -> tuple[Ticket, bool] | None:
    known = find_ticket(connection, connection_id, values["external_ref"])
    if known is not None:
        return known, False
    of = {"connection_id": connection_id, "id": values["contact_id"]}
    if connection.execute(_contact_by_id, of).first() is None:
        return None
    row = {"connection_id": connection_id, **values, "created_at": now, "updated_at": now}
    id_ = _inserted(connection, desk_ticket, {**row, "fields": json.dumps(values["fields"])})
    return Ticket(id=id_, **row), True


def _change_ticket(
    connection: Connection, connection_id: str, id_: int, values: Mapping[str, Any], if_subject: str | None, now: float
) -> Ticket | None:
    ticket = get_ticket(connection, connection_id, id_)
    if ticket is None or (if_subject is not None and ticket.subject != if_subject):
        return ticket
    row = {**values, "updated_at": now}
    if "fields" in row:
        row["fields"] = json.dumps({**ticket.fields, **values["fields"]})
    connection.execute(update(desk_ticket).where(desk_ticket.c.id == id_).values(row))
    return get_ticket(connection, connection_id, id_)


def _add_note(
    connection: Connection, connection_id: str, ticket_id: int, values: Mapping[str, Any], now: float
) -> tuple[Note, bool] | None:
    known = notes_of(connection, connection_id, ticket_id, values["external_ref"])
    if known is None:
        return None
    if known:
        return known[0], False
    row = {"ticket_id": ticket_id, **values, "created_at": now, "updated_at": now}
    return Note(id=_inserted(connection, desk_note, row), **row), True


def _change_note(
    connection: Connection, connection_id: str, id_: int, values: Mapping[str, Any], now: float
) -> Note | None:
    of = {"connection_id": connection_id, "id": id_}
    if connection.execute(_note_by_id, of).first() is None:
        return None
    connection.execute(update(desk_note).where(desk_note.c.id == id_).values({**values, "updated_at": now}))
    return _note(connection.execute(_note_by_id, of).one())


#: For `Database.write`: the contact, and whether it is new.
create_contact = single(_create_contact)
#: The ticket, and whether it is new; None where the contact is not this connection's.
create_ticket = single(_create_ticket)
#: The ticket as it is then; None where there is none. Left alone where `if_subject` is given and not its subject.
change_ticket = single(_change_ticket)
#: The note, and whether it is new; None where the ticket is not this connection's.
add_note = single(_add_note)
#: The note as it is then; None where there is none.
change_note = single(_change_note)


def _inserted(connection: Connection, table: Any, row: Mapping[str, Any]) -> int:
    key: Any = connection.execute(insert(table), row).inserted_primary_key
    return int(key[0])


def _ticket(row: Any) -> Ticket:
    values = row._asdict()
    return Ticket(**{**values, "fields": json.loads(values["fields"])})


def _note(row: Any) -> Note:
    return Note(*row)
