"""Pages for people: the latest calls, and each record with what it is tied to. Links that the API gives open here."""

from importlib.resources import files

from aiohttp import web
from jinja2 import Environment
from markupsafe import Markup
from standins.hubspot.state import TYPE_IDS, Account, Record

_TITLES = ("hs_call_title", "hs_task_subject", "subject", "name", "dealname")
_BODIES = ("hs_call_body", "hs_note_body", "hs_task_body")
_HIDDEN = {*_BODIES, *_TITLES, "content", "hs_object_id"}
_LATEST = 200


def page_routes(account: Account) -> list[web.RouteDef]:
    """`/`, and `/contacts/{portal}/record/{type}/{id}`."""
    source = files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    template = Environment(autoescape=True).from_string(source)
    names = {type_id: name for name, type_id in TYPE_IDS.items()}

    def page(title: str, **values: object) -> web.Response:
        words = template.render(title=title, portal=account.portal, **values)
        return web.Response(text=words, content_type="text/html")

    def line(objects: str, row: Record) -> Record:
        link = f"/contacts/{account.portal}/record/{TYPE_IDS[objects]}/{row['id']}"
        return {"kind": objects, "title": _title(row), "link": link, "at": row["createdAt"]}

    async def home(request: web.Request) -> web.Response:
        rows = [line(objects, row) for objects in ("calls", "tickets") for row in account.objects[objects].values()]
        return page("Latest calls and tickets", rows=sorted(rows, key=lambda row: row["at"], reverse=True)[:_LATEST])

    async def record(request: web.Request) -> web.Response:
        objects = names.get(request.match_info["type"], "")
        row = account.objects.get(objects, {}).get(request.match_info["id"])
        if row is None:
            raise web.HTTPNotFound(text="There is no such record.")
        properties = row["properties"]
        # what is marked as safe was cleaned when it was stored (`Account.write`)
        body = next((Markup(properties[name]) for name in _BODIES if properties.get(name)), None)  # noqa: S704
        owner = account.owners.get(properties.get("hubspot_owner_id") or "", {})
        tied = [
            line(others, account.objects[others][other])
            for others in TYPE_IDS
            for other in account.tied.get((objects, row["id"], others), {})
        ]
        facts = {name: value for name, value in properties.items() if value and name not in _HIDDEN}
        return page(
            _title(row),
            kind=objects,
            facts=facts,
            owner=" ".join(filter(None, (owner.get("firstName"), owner.get("lastName")))),
            body=body or properties.get("content"),
            recording=properties.get("hs_call_recording_url"),
            rows=tied,
        )

    return [web.get("/", home), web.get(r"/contacts/{portal:\d+}/record/{type}/{id}", record)]


def _title(row: Record) -> str:
    properties = row["properties"]
    name = " ".join(filter(None, (properties.get("firstname"), properties.get("lastname"))))
    return next((properties[key] for key in _TITLES if properties.get(key)), name) or f"#{row['id']}"
