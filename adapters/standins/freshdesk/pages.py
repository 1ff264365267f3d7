"""Pages for people: the list of tickets, a ticket, a contact. Links that the adapter makes open here."""

from importlib.resources import files

from aiohttp import web
from jinja2 import Environment
from markupsafe import Markup
from standins.freshdesk.state import Account, Record

_STATUS = {2: "Open", 3: "Pending", 4: "Resolved", 5: "Closed"}
_PRIORITY = {1: "Low", 2: "Medium", 3: "High", 4: "Urgent"}


def page_routes(account: Account) -> list[web.RouteDef]:
    """`/a/tickets`, `/a/tickets/{id}`, `/a/contacts/{id}`; `/` leads to the first."""
    source = files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    # what is marked as safe was cleaned when it was stored (`state.cleaned`)
    template = Environment(autoescape=True).from_string(source)

    def page(title: str, **values: object) -> web.Response:
        words = template.render(title=title, domain=account.domain, **values)
        return web.Response(text=words, content_type="text/html")

    def row(ticket: Record) -> Record:
        people = {**account.contacts, **account.agents}
        return {
            **ticket,
            "requester": people.get(ticket["requester_id"], {}).get("name") or "Unknown",
            "responder": account.agents.get(ticket["responder_id"], {}).get("name"),
            "status_name": _STATUS.get(ticket["status"], "Waiting"),
            "priority_name": _PRIORITY[ticket["priority"]],
        }

    def body(entry: Record, name: str) -> Record:
        return {**entry, "html": Markup(entry[name])}  # noqa: S704 (see above)

    async def home(request: web.Request) -> web.Response:
        raise web.HTTPFound("/a/tickets")

    async def listed(request: web.Request) -> web.Response:
        newest = sorted(account.tickets_of(None), key=lambda ticket: -ticket["id"])[:200]
        return page("All tickets", tickets=[row(ticket) for ticket in newest])

    async def ticket(request: web.Request) -> web.Response:
        found = account.tickets.get(int(request.match_info["id"]))
        if found is None:
            raise web.HTTPNotFound(text="There is no such ticket.")
        notes = [
            {**body(note, "body"), "author": account.agents.get(note["user_id"], {}).get("name", "")}
            for note in account.conversations[found["id"]]
        ]
        return page(found["subject"], ticket=body(row(found), "description"), notes=notes)

    async def contact(request: web.Request) -> web.Response:
        found = account.contacts.get(int(request.match_info["id"]))
        if found is None:
            raise web.HTTPNotFound(text="There is no such contact.")
        tickets = [row(ticket) for ticket in reversed(account.tickets_of(found["id"]))]
        return page(found["name"], contact=found, tickets=tickets)

    return [
        web.get("/", home),
        web.get("/a/tickets", listed),
        web.get(r"/a/tickets/{id:\d+}", ticket),
        web.get(r"/a/contacts/{id:\d+}", contact),
    ]
