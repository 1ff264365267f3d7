"""Pages for people: the inbox, a conversation. Links that the adapter makes open here."""

from importlib.resources import files

from aiohttp import web
from jinja2 import Environment
from standins.freshchat.state import Account, Record


def page_routes(account: Account) -> list[web.RouteDef]:
    """`/inbox`, `/inbox/{id}`; `/` leads to the first."""
    source = files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    template = Environment(autoescape=True).from_string(source)

    def page(title: str, **values: object) -> web.Response:
        words = template.render(title=title, domain=account.domain, **values)
        return web.Response(text=words, content_type="text/html")

    def shown(row: Record) -> Record:
        topics = {channel["id"]: channel["name"] for channel in account.channels}
        user = account.users[row["user_id"]]
        return {
            **row,
            "topic": topics.get(row["channel_id"], ""),
            "agent": name_of(account.agents.get(row.get("assigned_agent_id", ""), {})),
            "user": name_of(user) or "Unknown",
            "phone": user.get("phone", ""),
        }

    def said(message: Record, row: Record) -> Record:
        writers = {"agent": name_of(account.agents.get(message.get("actor_id", ""), {})), "user": row["user"]}
        return {**message, "by": writers.get(message["actor_type"]) or "Bot"}

    async def home(_request: web.Request) -> web.Response:
        raise web.HTTPFound("/inbox")

    async def inbox(_request: web.Request) -> web.Response:
        newest = list(account.conversations.values())[:-201:-1]
        return page("Team inbox", rows=[shown(row) for row in newest])

    async def conversation(request: web.Request) -> web.Response:
        found = account.conversations.get(request.match_info["id"])
        if found is None:
            raise web.HTTPNotFound(text="There is no such conversation.")
        row = shown(found)
        messages = [said(message, row) for message in account.messages[found["conversation_id"]]]
        return page(f"{row['topic']}: {row['user']}", row=row, messages=messages)

    return [web.get("/", home), web.get("/inbox", inbox), web.get("/inbox/{id}", conversation)]


def name_of(person: Record) -> str:
    """First and last name."""
    return " ".join(filter(None, (person.get("first_name"), person.get("last_name"))))
