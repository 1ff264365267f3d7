"""Pages for people: the newest calls, and any record. Links that the adapter makes open here."""

from collections.abc import Iterable

from standins.zoho_crm.rules import MODULES, Record
from standins.zoho_crm.state import Account

from connector.kit.standin import Route
from connector.kit.standin.markup import link
from connector.kit.standin.pages import Page, Table, latest, page_routes

_TITLES = ("Subject", "Event_Title", "Full_Name", "Account_Name", "Deal_Name")
_HUNG_ON = ("Calls", "Tasks", "Events", "Deals")
#: Columns of a list, each the first of these that a record has.
_COLUMNS = (
    ("Call_Type", "Status", "Phone"),
    ("Call_Duration",),
    ("Call_Start_Time", "Due_Date", "Start_DateTime", "Created_Time"),
)


def routes(account: Account) -> list[Route]:
    """`/crm/tab/{module}` and `/crm/tab/{module}/{id}`."""

    def table(module: str, rows: Iterable[Record]) -> Table:
        cells = [
            (link(_title(row), f"/crm/tab/{module}/{row['id']}"), *(_first(row, names) for names in _COLUMNS))
            for row in rows
        ]
        return Table(cells, heading=module, empty="Nothing yet.")

    def listed(module: str) -> Page | None:
        if module not in MODULES:
            return None
        modules = {name: link(len(account.records[name]), f"/crm/tab/{name}") for name in MODULES}
        return Page(module, modules, tables=[table(module, latest(account.records[module].values()))])

    def record(module: str, id: str) -> Page | None:
        found = account.records.get(module, {}).get(id)
        if found is None:
            return None
        below = {name: account.below(id, name)[::-1] for name in _HUNG_ON}
        fields = Table([(name, _shown(found, name)) for name in found])
        return Page(_title(found), tables=[fields, *(table(name, rows) for name, rows in below.items() if rows)])

    return page_routes(
        "Zoho CRM",
        lambda: account.company,
        "/crm/tab/Calls",
        {"/crm/tab/{module}": listed, r"/crm/tab/{module}/{id:\d+}": record},
    )


def _first(record: Record, names: Iterable[str]) -> str:
    return next((str(record[name]) for name in names if record.get(name)), "")


def _title(record: Record) -> str:
    return _first(record, _TITLES) or str(record["id"])


def _shown(record: Record, name: str) -> object:
    """A field's value; what points to a record leads to it."""
    value = record[name]
    if not isinstance(value, dict):
        return value
    modules = {"Who_Id": "Contacts", "What_Id": record.get("$se_module"), "Account_Name": "Accounts"}
    module = modules.get(name)
    return link(value["id"], f"/crm/tab/{module}/{value['id']}") if module else value["id"]
