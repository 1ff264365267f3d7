"""Pages for people: the inbox, a conversation. Links that the adapter makes open here."""

from standins.freshchat.state import Account, Record

from connector.kit.standin import Route
from connector.kit.standin.markup import link
from connector.kit.standin.pages import Entry, Page, Table, latest, page_routes


def routes(account: Account) -> list[Route]:
    """`/inbox`, `/inbox/{id}`."""

    def topic(row: Record) -> str:
        return next((channel["name"] for channel in account.channels if channel["id"] == row["channel_id"]), "")

    def user(row: Record) -> str:
        return _name(account.users[row["user_id"]]) or "Unknown"

    def agent(id_: str) -> str:
        return _name(account.agents.get(id_, {}))

    def inbox() -> Page:
        rows = [
            (
                topic(row),
                link(user(row), f"/inbox/{row['conversation_id']}"),
                account.users[row["user_id"]].get("phone"),
                agent(row.get("assigned_agent_id", "")),
                row["status"],
                row["created_time"],
            )
            for row in latest(account.conversations.values())
        ]
        columns = ("Topic", "Customer", "Phone", "Agent", "Status", "Since")
        return Page("Team inbox", tables=[Table(rows, columns, empty="No conversations yet.")])

    def said(message: Record, row: Record) -> Entry:
        by = {"agent": agent(message.get("actor_id", "")), "user": user(row)}.get(message["actor_type"]) or "Bot"
        is_private = message["message_type"] == "private"
        return Entry(
            f"{by}{' · private note' if is_private else ''} · {message['created_time']}",
            [
                link(part["url_button"]["label"], part["url_button"]["url"])
                if "url_button" in part
                else part["text"]["content"]
                for part in message["message_parts"]
            ],
            is_private,
        )

    def conversation(id: str) -> Page | None:
        row = account.conversations.get(id)
        if row is None:
            return None
        facts = {
            "Phone": account.users[row["user_id"]].get("phone"),
            "Status": row["status"],
            "Agent": agent(row.get("assigned_agent_id", "")) or "nobody",
            **row["properties"],
        }
        entries = [said(message, row) for message in account.messages[row["conversation_id"]]]
        return Page(f"{topic(row)}: {user(row)}", facts, entries)

    return page_routes("Freshchat", lambda: account.domain, "/inbox", {"/inbox": inbox, "/inbox/{id}": conversation})


def _name(person: Record) -> str:
    return " ".join(filter(None, (person.get("first_name"), person.get("last_name"))))
