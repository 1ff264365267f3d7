"""Pages for people: the newest calls, and any record. Links that the adapter makes open here."""

from importlib.resources import files

from aiohttp import web
from jinja2 import Environment
from standins.zoho_crm.rules import MODULES, Record
from standins.zoho_crm.state import Account

from connector.kit.standin import Route

_TITLES = ("Subject", "Event_Title", "Full_Name", "Account_Name", "Deal_Name")
_HUNG_ON = ("Calls", "Tasks", "Events", "Deals")


def page_routes(account: Account) -> list[Route]:
    """`/crm/tab/{module}` and `/crm/tab/{module}/{id}`; `/` leads to the calls."""
    source = files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    template = Environment(autoescape=True).from_string(source)

    def page(title: str, **values: object) -> web.Response:
        words = template.render(title=title, company=account.company, modules=MODULES, titled=titled, **values)
        return web.Response(text=words, content_type="text/html")

    def module_of(request: web.Request) -> str:
        module = request.match_info["module"]
        if module not in MODULES:
            raise web.HTTPNotFound(text="There is no such module.")
        return module

    async def home(_request: web.Request) -> web.Response:
        raise web.HTTPFound("/crm/tab/Calls")

    async def listed(request: web.Request) -> web.Response:
        module = module_of(request)
        newest = list(account.records[module].values())[:-201:-1]
        return page(module, lists={module: newest})

    async def record(request: web.Request) -> web.Response:
        module = module_of(request)
        found = account.records[module].get(request.match_info["id"])
        if found is None:
            raise web.HTTPNotFound(text="There is no such record.")
        below = {name: account.below(found["id"], name)[::-1] for name in _HUNG_ON}
        lists = {name: rows for name, rows in below.items() if rows}
        return page(titled(found), record=found, module=module, linked=_linked(found), lists=lists)

    return [
        ("GET", "/", home),
        ("GET", "/crm/tab/{module}", listed),
        ("GET", r"/crm/tab/{module}/{id:\d+}", record),
    ]


def titled(record: Record) -> str:
    """What a record is called."""
    return next((str(record[name]) for name in _TITLES if record.get(name)), record["id"])


def _linked(record: Record) -> dict[str, str]:
    """Field -> path of the record that it points to."""
    modules = {"Who_Id": "Contacts", "What_Id": record.get("$se_module"), "Account_Name": "Accounts"}
    return {
        name: f"/crm/tab/{module}/{record[name]['id']}"
        for name, module in modules.items()
        if module and isinstance(record.get(name), dict)
    }
