"""Pages for people: tickets and calls, a ticket, a contact, a call. Links that the adapter gives open here."""

from importlib.resources import files

from aiohttp import web
from jinja2 import Environment
from markupsafe import Markup
from standins.zoho_desk.state import Account, Record


def page_routes(account: Account) -> list[web.RouteDef]:
    """`/agent/acme/tickets`, and `tickets`, `contacts` and `calls` with an id below; `/` leads to the first."""
    source = files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    # what is marked as safe was cleaned when it was stored (`state.cleaned`)
    template = Environment(autoescape=True).from_string(source)

    def page(title: str, **values: object) -> web.Response:
        words = template.render(title=title, organisation=account.name, **values)
        return web.Response(text=words, content_type="text/html")

    def named(record: Record) -> Record:
        contact = account.contacts.get(record["contactId"], {})
        agent = account.agents.get(record.get("assigneeId") or record.get("ownerId") or "", {})
        return {**record, "contact": contact.get("lastName", "Unknown"), "agent": agent.get("name", "nobody")}

    def find(records: dict[str, Record], request: web.Request) -> Record:
        record = records.get(request.match_info["id"])
        if record is None:
            raise web.HTTPNotFound(text="There is no such record.")
        return record

    def calls_with(name: str, id_: str) -> list[Record]:
        return [named(call) for call in reversed(account.calls.values()) if call[name] == id_]

    async def home(_request: web.Request) -> web.Response:
        raise web.HTTPFound("/agent/acme/tickets")

    async def listed(_request: web.Request) -> web.Response:
        tickets = [named(ticket) for ticket in reversed(account.tickets.values())][:200]
        calls = [named(call) for call in reversed(account.calls.values())][:200]
        return page("Tickets and calls", tickets=tickets, calls=calls)

    async def ticket(request: web.Request) -> web.Response:
        found = find(account.tickets, request)
        comments = [
            {**comment, "html": Markup(comment["content"]) if comment["contentType"] == "html" else comment["content"]}  # noqa: S704
            for comment in account.comments[found["id"]]
        ]
        shown = {**named(found), "html": Markup(found.get("description") or "")}  # noqa: S704
        return page(found["subject"], ticket=shown, comments=comments, calls=calls_with("ticketId", found["id"]))

    async def contact(request: web.Request) -> web.Response:
        found = find(account.contacts, request)
        tickets = [named(one) for one in reversed(account.tickets_of(found["id"]))]
        return page(found["lastName"], person=found, tickets=tickets, calls=calls_with("contactId", found["id"]))

    async def call(request: web.Request) -> web.Response:
        found = find(account.calls, request)
        return page(found["subject"], call=named(found))

    return [
        web.get("/", home),
        web.get("/agent/acme/tickets", listed),
        web.get(r"/agent/acme/tickets/{id:\d+}", ticket),
        web.get(r"/agent/acme/contacts/{id:\d+}", contact),
        web.get(r"/agent/acme/calls/{id:\d+}", call),
    ]
