"""Pages for people: tickets and calls, a ticket, a contact, a call. Links that the adapter gives open here."""

from collections.abc import Iterable

from standins.zoho_desk.state import Account, Record

from connector.kit.standin import Route
from connector.kit.standin.markup import link, stored
from connector.kit.standin.pages import Entry, Page, Table, latest, page_routes

_HOME = "/agent/acme/tickets"


def routes(account: Account) -> list[Route]:
    """`/agent/acme/tickets`, and `tickets`, `contacts` and `calls` with an id below."""

    def contact_of(record: Record) -> str:
        return str(account.contacts.get(record["contactId"], {}).get("lastName", "Unknown"))

    def agent_of(record: Record) -> str:
        id_ = record.get("assigneeId") or record.get("ownerId") or ""
        return str(account.agents.get(id_, {}).get("name", "nobody"))

    def contact_link(record: Record) -> str:
        return link(contact_of(record), f"/agent/acme/contacts/{record['contactId']}")

    def tickets(found: Iterable[Record]) -> Table:
        rows = [
            (
                one["ticketNumber"],
                link(one["subject"], f"{_HOME}/{one['id']}"),
                contact_of(one),
                agent_of(one),
                one["status"],
            )
            for one in found
        ]
        return Table(rows, ("#", "Subject", "Contact", "Assigned to", "Status"), "Tickets", "There are none yet.")

    def calls(found: Iterable[Record]) -> Table:
        rows = [
            (
                link(one["subject"], f"/agent/acme/calls/{one['id']}"),
                contact_of(one),
                agent_of(one),
                one["status"],
                f"{one['duration']} s",
            )
            for one in found
        ]
        return Table(rows, ("Subject", "Contact", "Owner", "Status", "Duration"), "Calls", "There are none yet.")

    def calls_with(name: str, id_: str) -> Table:
        return calls(call for call in reversed(account.calls.values()) if call[name] == id_)

    def listed() -> Page:
        tables = [tickets(latest(account.tickets.values())), calls(latest(account.calls.values()))]
        return Page("Tickets and calls", tables=tables)

    def comment(one: Record) -> Entry:
        words = f"A {'public' if one['isPublic'] else 'private'} comment · {one['commentedTime']}"
        is_html = one["contentType"] == "html"
        return Entry(words, [stored(one["content"]) if is_html else one["content"]], not one["isPublic"])

    def ticket(id: str) -> Page | None:
        found = account.tickets.get(id)
        if found is None:
            return None
        facts = {
            "Ticket": f"#{found['ticketNumber']}",
            "Status": found["status"] + (" (in the trash)" if found["isTrashed"] else ""),
            "Contact": contact_link(found),
            "Phone": found["phone"],
            "Channel": found["channel"],
            "Assigned to": agent_of(found),
            **found["cf"],
        }
        first = Entry(f"{contact_of(found)} · {found['createdTime']}", [stored(found.get("description"))])
        entries = [first, *map(comment, account.comments[id])]
        return Page(found["subject"], facts, entries, [calls_with("ticketId", id)])

    def contact(id: str) -> Page | None:
        found = account.contacts.get(id)
        if found is None:
            return None
        facts = {"Phone": found["phone"], "Mobile": found["mobile"], "E-mail": found["email"]}
        tables = [tickets(reversed(account.tickets_of(id))), calls_with("contactId", id)]
        return Page(found["lastName"], facts, tables=tables)

    def call(id: str) -> Page | None:
        found = account.calls.get(id)
        if found is None:
            return None
        facts = {
            found["direction"]: found["status"],
            "Began": found["startTime"],
            "Duration": f"{found['duration']} s",
            "Contact": contact_link(found),
            "Owner": agent_of(found),
        }
        if found["ticketId"]:
            facts["Ticket"] = link("its ticket", f"{_HOME}/{found['ticketId']}")
        if found.get("recordingUrl"):
            facts["Recording"] = link("recording", found["recordingUrl"])
        return Page(found["subject"], facts, [Entry("", [found["description"] or ""])])

    return page_routes(
        "Zoho Desk",
        lambda: account.name,
        _HOME,
        {
            _HOME: listed,
            _HOME + r"/{id:\d+}": ticket,
            r"/agent/acme/contacts/{id:\d+}": contact,
            r"/agent/acme/calls/{id:\d+}": call,
        },
    )
