"""Pages for people: the list of contacts, a contact with all that was done. Links that the adapter makes open here."""

from importlib.resources import files

from aiohttp import web
from jinja2 import Environment
from markupsafe import Markup
from standins.freshsales.state import Account, Record

_SHOWN = ("phone_call", "note", "sales_activity", "task")


def page_routes(account: Account) -> list[web.RouteDef]:
    """`/crm/sales/contacts` and `/crm/sales/contacts/{id}` (Classic: without `/crm/sales`); `/` leads to the first."""
    source = files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    # what is marked as safe was cleaned when it was stored (`Account.write`)
    template = Environment(autoescape=True).from_string(source)

    def page(title: str, **values: object) -> web.Response:
        words = template.render(title=title, domain=account.domain, home=account.home, **values)
        return web.Response(text=words, content_type="text/html")

    def entry(row: Record) -> Record:
        kind = next(k for k in _SHOWN if k.replace("_", "") == row["actionable_type"].lower())
        record = account.records[kind][row["actionable_id"]]
        note_id: int = record.get("note_id") or record["id"]
        note = account.records["note"].get(note_id, {})
        owner: int = record.get("user_id") or record.get("owner_id") or 0
        who = account.owners.get(owner, {})
        title = record.get("title") or {"note": "Note"}.get(kind, "Outgoing call")
        if kind == "phone_call" and record["call_direction"]:
            title = "Incoming call"
        return {
            "kind": kind.replace("_", " "),
            "title": title,
            "who": who.get("display_name", "nobody"),
            "at": row["created_at"],
            "due": record.get("due_date"),
            "html": Markup(note.get("description", "")),  # noqa: S704 (see above)
            "text": record.get("notes") or (record.get("description") if kind == "task" else None),
        }

    async def home(request: web.Request) -> web.Response:
        raise web.HTTPFound(f"{account.home}/contacts")

    async def listed(request: web.Request) -> web.Response:
        people = [
            {**person, "kind": kind, "entries": len(account.timelines[kind, id_])}
            for kind in ("contact", "lead")
            for id_, person in account.records[kind].items()
        ]
        return page("Contacts", people=people[::-1][:200])

    async def person(request: web.Request) -> web.Response:
        kind, id_ = request.match_info["people"][:-1], int(request.match_info["id"])
        found = account.records[kind].get(id_)
        if found is None:
            raise web.HTTPNotFound(text=f"There is no such {kind}.")
        name = f"{found.get('first_name', '')} {found.get('last_name', '')}".strip()
        return page(name, person=found, entries=[entry(row) for row in account.timelines[kind, id_][::-1]])

    return [
        web.get("/", home),
        web.get(f"{account.home}/contacts", listed),
        web.get(account.home + r"/{people:contacts|leads}/{id:\d+}", person),
    ]
