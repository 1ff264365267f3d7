"""Pages for people: the list of tickets, a ticket, a contact. Links that the adapter makes open here."""

from collections.abc import Iterable

from standins.freshdesk.state import Account, Record

from connector.kit.standin import Route
from connector.kit.standin.markup import link, stored
from connector.kit.standin.pages import Entry, Page, Table, latest, page_routes

_STATUS = {2: "Open", 3: "Pending", 4: "Resolved", 5: "Closed"}
_PRIORITY = {1: "Low", 2: "Medium", 3: "High", 4: "Urgent"}


def routes(account: Account) -> list[Route]:
    """`/a/tickets`, `/a/tickets/{id}`, `/a/contacts/{id}`."""

    def requester(ticket: Record) -> str:
        people = {**account.contacts, **account.agents}
        return people.get(ticket["requester_id"], {}).get("name") or "Unknown"

    def agent(id_: int | None) -> str | None:
        return account.agents.get(id_ or 0, {}).get("name")

    def status(ticket: Record) -> str:
        return _STATUS.get(ticket["status"], "Waiting")

    def table(tickets: Iterable[Record]) -> Table:
        rows = [
            (
                ticket["id"],
                link(ticket["subject"], f"/a/tickets/{ticket['id']}"),
                requester(ticket),
                agent(ticket["responder_id"]),
                status(ticket),
            )
            for ticket in tickets
        ]
        return Table(rows, ("#", "Subject", "Requester", "Agent", "Status"), empty="No tickets yet.")

    def listed() -> Page:
        return Page("All tickets", tables=[table(latest(account.tickets_of(None)))])

    def note(note: Record) -> Entry:
        sent = [file for file in note["attachments"] if isinstance(file, dict)]  # JSON may carry anything here
        files = [f"📎 {file.get('name')} ({file.get('size')} bytes)" for file in sent]
        kind = "private" if note["private"] else "public"
        by = f"{agent(note['user_id']) or ''} added a {kind} note · {note['created_at']}"
        return Entry(by, [stored(note["body"]), *files], note["private"])

    def ticket(id: str) -> Page | None:
        found = account.tickets.get(int(id))
        if found is None:
            return None
        facts = {
            "Ticket": f"#{found['id']}",
            "Status": status(found) + (" (deleted)" if found.get("deleted") else ""),
            "Priority": _PRIORITY[found["priority"]],
            "Requester": link(requester(found), f"/a/contacts/{found['requester_id']}"),
            "Agent": agent(found["responder_id"]) or "nobody",
            **{name: value for name, value in found["custom_fields"].items() if value is not None},
            **({"Tags": ", ".join(found["tags"])} if found["tags"] else {}),
        }
        first = Entry(f"{requester(found)} reported via phone · {found['created_at']}", [stored(found["description"])])
        return Page(found["subject"], facts, [first, *map(note, account.conversations[found["id"]])])

    def contact(id: str) -> Page | None:
        found = account.contacts.get(int(id))
        if found is None:
            return None
        names = {"Mobile": "mobile", "Phone": "phone", "E-mail": "email", "External id": "unique_external_id"}
        facts = {title: found[name] for title, name in names.items()}
        return Page(found["name"], facts, tables=[table(reversed(account.tickets_of(found["id"])))])

    return page_routes(
        "Freshdesk",
        lambda: account.domain,
        "/a/tickets",
        {"/a/tickets": listed, r"/a/tickets/{id:\d+}": ticket, r"/a/contacts/{id:\d+}": contact},
    )
