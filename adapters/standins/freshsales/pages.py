"""Pages for people: the list of contacts, a contact with all that was done. Links that the adapter makes open here."""

from standins.freshsales.state import Account, Record

from connector.kit.standin import Route
from connector.kit.standin.markup import link, stored
from connector.kit.standin.pages import Entry, Page, Table, latest, page_routes

_SHOWN = ("phone_call", "note", "sales_activity", "task")


def routes(account: Account) -> list[Route]:
    """`/crm/sales/contacts` and `/crm/sales/contacts/{id}` (Classic: without `/crm/sales`)."""
    home = f"{account.home}/contacts"

    def entry(row: Record) -> Entry:
        kind = next(k for k in _SHOWN if k.replace("_", "") == row["actionable_type"].lower())
        record = account.records[kind][row["actionable_id"]]
        note_id: int = record.get("note_id") or record["id"]
        note = account.records["note"].get(note_id, {})
        owner: int = record.get("user_id") or record.get("owner_id") or 0
        who = account.owners.get(owner, {}).get("display_name", "nobody")
        title = record.get("title") or {"note": "Note"}.get(kind, "Outgoing call")
        if kind == "phone_call" and record["call_direction"]:
            title = "Incoming call"
        due = f" · due {record['due_date']}" if record.get("due_date") else ""
        text = record.get("notes") or (record.get("description") if kind == "task" else None)
        by = f"{kind.replace('_', ' ')} · {title} · owner {who} · {row['created_at']}{due}"
        return Entry(by, [stored(note.get("description")), text or ""])

    def listed() -> Page:
        rows = [
            (
                link(_name(person), f"{account.home}/{kind}s/{id_}"),
                person.get("mobile_number"),
                len(account.timelines[kind, id_]),
            )
            for kind in ("contact", "lead")
            for id_, person in account.records[kind].items()
        ]
        table = Table(latest(rows), ("Name", "Mobile", "Logged"), empty="No contacts yet.")
        return Page("Contacts", tables=[table])

    def person(people: str, id: str) -> Page | None:
        kind, id_ = people[:-1], int(id)
        found = account.records[kind].get(id_)
        if found is None:
            return None
        names = {"Mobile": "mobile_number", "E-mail": "email", "External ID": "external_id"}
        facts = {title: found.get(name) for title, name in names.items()}
        return Page(_name(found), facts, [entry(row) for row in account.timelines[kind, id_][::-1]])

    return page_routes(
        "Freshsales",
        lambda: account.domain,
        home,
        {home: listed, account.home + r"/{people:contacts|leads}/{id:\d+}": person},
    )


def _name(person: Record) -> str:
    return f"{person.get('first_name', '')} {person.get('last_name', '')}".strip()
