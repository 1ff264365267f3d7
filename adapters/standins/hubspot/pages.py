"""Pages for people: the latest calls, and each record with what it is tied to. Links that the API gives open here."""

from markupsafe import Markup
from standins.hubspot.state import TYPE_IDS, Account, Record

from connector.kit.standin import Route
from connector.kit.standin.markup import link, stored
from connector.kit.standin.pages import Entry, Page, Table, latest, page_routes

_TITLES = ("hs_call_title", "hs_task_subject", "subject", "name", "dealname")
_BODIES = ("hs_call_body", "hs_note_body", "hs_task_body")
_HIDDEN = {*_BODIES, *_TITLES, "content", "hs_object_id"}
_COLUMNS = ("Record", "Title", "Made")


def routes(account: Account) -> list[Route]:
    """`/`, and `/contacts/{portal}/record/{type}/{id}`."""
    names = {type_id: name for name, type_id in TYPE_IDS.items()}

    def line(objects: str, row: Record) -> tuple[object, ...]:
        to = f"/contacts/{account.portal}/record/{TYPE_IDS[objects]}/{row['id']}"
        return objects, link(_title(row), to), row["createdAt"]

    def home() -> Page:
        rows = [(objects, row) for objects in ("calls", "tickets") for row in account.objects[objects].values()]
        rows.sort(key=lambda pair: pair[1]["createdAt"])
        table = Table([line(*pair) for pair in latest(rows)], _COLUMNS)
        return Page("Latest calls and tickets", tables=[table])

    def record(portal: str, type: str, id: str) -> Page | None:
        objects = names.get(type, "")
        row = account.objects.get(objects, {}).get(id)
        if row is None:
            return None
        properties = row["properties"]
        owner = account.owners.get(properties.get("hubspot_owner_id") or "", {})
        facts = {
            "Record": objects,
            "Owner": " ".join(filter(None, (owner.get("firstName"), owner.get("lastName")))) or "nobody",
            **{name: value for name, value in properties.items() if value and name not in _HIDDEN},
        }
        body = next((stored(properties[name]) for name in _BODIES if properties.get(name)), None)
        words = body or properties.get("content")
        recording = properties.get("hs_call_recording_url")
        audio = Markup('<audio controls preload="none" src="{}"></audio>').format(recording) if recording else ""
        tied = [
            line(others, account.objects[others][other])
            for others in TYPE_IDS
            for other in account.tied.get((objects, id, others), {})
        ]
        entries = [Entry("", [words or "", audio])] if words or audio else []
        return Page(_title(row), facts, entries, [Table(tied, _COLUMNS, "Associations")])

    return page_routes(
        "HubSpot",
        lambda: f"Portal {account.portal}",
        "/",
        {"/": home, r"/contacts/{portal:\d+}/record/{type}/{id}": record},
    )


def _title(row: Record) -> str:
    properties = row["properties"]
    name = " ".join(filter(None, (properties.get("firstname"), properties.get("lastname"))))
    return next((properties[key] for key in _TITLES if properties.get(key)), name) or f"#{row['id']}"
