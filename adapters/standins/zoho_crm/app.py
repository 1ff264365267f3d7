"""The API of the stand-in: what `/crm/v8` answers, as strictly as the real one, and the login's token endpoint.

Sources: docs/reference/zoho_crm.md, and docs/reference/zoho_desk.md §2 for the login, by section in the comments.
"""

import json
import re
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from aiohttp import web
from standins.zoho_crm import door, pages
from standins.zoho_crm.rules import CALL_STATUS, MODULES, Invalid, Record
from standins.zoho_crm.state import Account, failure, refusal

from connector.kit.faults import Faults
from connector.kit.standin import Refused, Route, answer, file_of, paging, standin_app

ROOT = "/crm/v8"
_TERMS = 10
#: Of a file, in bytes; of its name, in characters (§5; OpenAPI attachments).
_LARGEST = 20 * 1024 * 1024
_LONGEST_NAME = 250
_MOST_FOUND = 2000
#: `(Phone:equals:+919876543210)`; brackets, commas and backslashes of a value are escaped (§3.1).
_TERM = re.compile(r"\(([A-Za-z_]\w*):equals:((?:[^\\(),]|\\[\\(),])+)\)")
#: Related list -> module, and whether a call in it is over.
_LISTS = {
    "Calls": ("Calls", False),
    "Calls_History": ("Calls", True),
    "Tasks": ("Tasks", None),
    "Events": ("Events", None),
    "Deals": ("Deals", None),
}
_LOOKUPS = {"Who_Id": "Contacts", "Account_Name": "Accounts"}


def standin(account: Account | None = None, faults: Faults | None = None) -> web.Application:
    """An organisation as an aiohttp application: API, login, pages for people, and `/_standin/` to drive it."""
    account = account or Account()
    open_routes: list[Route] = [("POST", "/oauth/v2/token", partial(door.token, account)), *pages.routes(account)]
    return standin_app(account, faults, _Api(account).routes(), root=ROOT, admit=door.admit, open_routes=open_routes)


class _Api:
    def __init__(self, account: Account) -> None:
        self.account = account

    def routes(self) -> Iterable[Route]:
        """Method, path, handler; fixed paths before those with a module's name."""
        return (
            ("GET", "/org", self.org),
            ("GET", "/users", self.list_users),
            ("GET", "/settings/fields", self.list_fields),
            ("POST", "/settings/fields", self.create_field),
            ("GET", "/{module}/search", self.search),
            ("GET", r"/{module}/{id:\d+}", self.view),
            ("PUT", r"/{module}/{id:\d+}", self.update),
            ("GET", r"/{module}/{id:\d+}/Attachments", self.list_attachments),
            ("POST", r"/{module}/{id:\d+}/Attachments", self.upload_attachment),
            ("GET", r"/{module}/{id:\d+}/{list}", self.related),
            ("POST", "/{module}", self.insert),
        )

    # --- organisation, users, fields (§5, §7) ---

    async def org(self, request: web.Request) -> web.Response:
        _known(request, set())
        return answer(
            {"org": [{"zgid": "60001234567", "company_name": self.account.company, "time_zone": "Asia/Kolkata"}]}
        )

    async def list_users(self, request: web.Request) -> web.Response:
        _known(request, {"type", "page", "per_page"})
        kinds = ("ActiveUsers", "ActiveConfirmedUsers", "AllUsers")
        if request.query.get("type") not in kinds:
            raise refusal(400, "INVALID_DATA", "invalid type", param_name="type")
        rows = [
            {
                **user,
                "email": f"{user['full_name'].split()[0].lower()}@acme.example",
                "status": "active",
                "confirm": True,
            }
            for user in self.account.users.values()
        ]
        return _page(request, rows, "users")

    async def list_fields(self, request: web.Request) -> web.Response:
        _known(request, {"module", "type", "include"})
        return answer({"fields": self.account.fields_of(self._module(request.query.get("module", "")))})

    async def create_field(self, request: web.Request) -> web.Response:
        _known(request, {"module"})
        module = self._module(request.query.get("module", ""))
        row = _one(await request.json(), "fields")
        unknown = set(row) - {"field_label", "data_type", "length", "unique", "tooltip", "profiles"}
        if unknown or row.get("data_type") != "text" or not isinstance(row.get("field_label"), str):
            raise Refused(400, {"fields": [failure("INVALID_DATA", "invalid data", api_name="field_label")]})
        name = row["field_label"].replace(" ", "_")
        if any(field["api_name"] == name for field in self.account.fields_of(module)):
            raise Refused(400, {"fields": [failure("DUPLICATE_DATA", "duplicate data", api_name="field_label")]})
        made = {"api_name": name, "custom_field": True, "system_mandatory": False, "unique": {}, **row}
        self.account.custom_fields.setdefault(module, []).append(made)
        done = {"code": "SUCCESS", "details": {"id": "4876876000000999001"}, "message": "field created"}
        return answer({"fields": [{**done, "status": "success"}]}, 201)

    # --- records (§3, §4, §5) ---

    async def search(self, request: web.Request) -> web.Response:
        module = self._module(request.match_info["module"])
        _known(request, {"criteria", "email", "phone", "word", "fields", "page", "per_page", "converted", "approved"})
        criteria = request.query.get("criteria")
        if criteria is None:
            raise refusal(400, "EXPECTED_PARAM_MISSING", "a search has criteria, email, phone or word")
        found = {
            row["id"]: row
            for field, value in self._terms(module, criteria)
            for row in self.account.found(module, field, value)
        }
        if len(found) > _MOST_FOUND:
            raise refusal(400, "LIMIT_REACHED", "at most 2000 records are found")
        return _page(request, [self._shown(row) for row in found.values()], "data")

    def _terms(self, module: str, criteria: str) -> list[tuple[str, str]]:
        inner = criteria[1:-1] if criteria.startswith("((") and criteria.endswith("))") else criteria
        terms = _TERM.findall(inner)
        if "or".join(f"({field}:equals:{value})" for field, value in terms) != inner:
            raise refusal(400, "INVALID_QUERY", "invalid query formed", reason="the criteria are not of the form")
        if len(terms) > _TERMS:
            raise refusal(400, "CRITERIA_LIMIT_EXCEEDED", "too many criteria", limit=_TERMS)
        known = {field["api_name"] for field in self.account.fields_of(module)}
        if any(field not in known for field, _ in terms):
            raise refusal(400, "INVALID_QUERY", "invalid query formed", reason="the field is not there")
        return [(field, re.sub(r"\\(.)", r"\1", value)) for field, value in terms]

    async def view(self, request: web.Request) -> web.Response:
        module = self._module(request.match_info["module"])
        _known(request, {"fields"})
        record = self.account.records[module].get(request.match_info["id"])
        if record is None:
            return web.Response(status=204)
        names = request.query["fields"].split(",") if "fields" in request.query else list(record)
        return answer({"data": [{"id": record["id"], **{name: self._shown(record).get(name) for name in names}}]})

    async def related(self, request: web.Request) -> web.Response:
        module, id_ = self._module(request.match_info["module"]), request.match_info["id"]
        of, over = _LISTS.get(request.match_info["list"], (None, None))
        if of is None or id_ not in self.account.records[module]:
            place = 2 if of is None else 1
            raise refusal(400, "INVALID_DATA", "the path given seems to be invalid", resource_path_index=place)
        _known(request, {"fields", "page", "per_page"})
        if not 0 < len(request.query.get("fields", "").split(",")) <= 50 or not request.query.get("fields"):
            raise refusal(400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing", param="fields")
        rows = [
            self._shown(record)
            for record in self.account.below(id_, of)
            if over is None or (record.get(CALL_STATUS) != "Scheduled") is over
        ]
        return _page(request, rows, "data")

    # --- files (§5, OpenAPI attachments) ---

    def _attached_to(self, request: web.Request) -> tuple[str, str]:
        module, id_ = self._module(request.match_info["module"]), request.match_info["id"]
        if id_ not in self.account.records[module]:
            words = "the related id given seems to be invalid"
            raise refusal(400, "INVALID_DATA", words, resource_path_index=1)
        return module, id_

    async def list_attachments(self, request: web.Request) -> web.Response:
        _, id_ = self._attached_to(request)
        _known(request, {"fields", "page", "per_page"})
        if not request.query.get("fields"):
            words = "One of the expected parameter is missing"
            raise refusal(400, "REQUIRED_PARAM_MISSING", words, param_name="fields")
        return _page(request, self.account.attachments[id_], "data")

    async def upload_attachment(self, request: web.Request) -> web.Response:
        module, id_ = self._attached_to(request)
        _known(request, set())
        name, size = await file_of(request, "file", refusal(400, "MANDATORY_NOT_FOUND", "required field not found"))
        if size > _LARGEST or len(name) > _LONGEST_NAME:
            words = "Please check if the size of the file is in the correct range"
            raise refusal(413, "FILE_SIZE_MORE_THAN_ALLOWED_SIZE", words)
        row = self.account.attach(module, id_, name, size)
        details = {name: row[name] for name in ("id", "Created_Time", "Modified_Time", "Created_By", "Modified_By")}
        message = "attachment uploaded successfully"
        return answer({"data": [{"code": "SUCCESS", "details": details, "message": message, "status": "success"}]})

    async def insert(self, request: web.Request) -> web.Response:
        module = self._module(request.match_info["module"])
        values = _one(await _body(request), "data")
        try:
            record = self.account.add(module, values)
        except Invalid as refused:
            return answer({"data": [refused.item]}, 202)
        return answer({"data": [_done("record added", record)]}, 201)

    async def update(self, request: web.Request) -> web.Response:
        module, id_ = self._module(request.match_info["module"]), request.match_info["id"]
        values = _one(await _body(request), "data")
        if values.pop("id", id_) != id_:
            raise refusal(400, "INVALID_DATA", "the ids differ", api_name="id")
        try:
            record = self.account.rewrite(module, id_, values)
        except Invalid as refused:
            return answer({"data": [refused.item]}, 202)
        return answer({"data": [_done("record updated", record)]})

    def _shown(self, record: Record) -> Record:
        """A record with the names of what it points to."""
        shown = {name: value for name, value in record.items() if name != "$se_module"}
        for name, module in (*_LOOKUPS.items(), ("What_Id", record.get("$se_module"))):
            if isinstance(record.get(name), dict):
                there = self.account.records[str(module)].get(record[name]["id"], {})
                titles = ("Full_Name", "Account_Name", "Deal_Name")
                shown[name] = {"name": next(filter(None, map(there.get, titles)), None), "id": record[name]["id"]}
        return shown

    def _module(self, name: str) -> str:
        if name not in MODULES:
            raise refusal(400, "INVALID_MODULE", "the module name given seems to be invalid")
        return name


def _done(message: str, record: Record) -> Record:
    details = {name: record[name] for name in ("id", "Created_Time", "Modified_Time")}
    return {"code": "SUCCESS", "details": details, "message": message, "status": "success"}


async def _body(request: web.Request) -> Any:
    text = await request.text()
    try:
        return json.loads(text)
    except ValueError:
        raise refusal(400, "INVALID_DATA", "the body is no JSON") from None


def _one(body: Any, name: str) -> Record:
    rows = body.get(name) if isinstance(body, dict) and set(body) <= {name, "trigger"} else None
    if not isinstance(rows, list) or len(rows) != 1 or not isinstance(rows[0], dict):
        raise refusal(400, "INVALID_DATA", f"one record is expected under {name}", api_name=name)
    return dict(rows[0])


def _known(request: web.Request, names: set[str]) -> None:
    unknown = set(request.query) - names
    if unknown:
        raise refusal(400, "INVALID_DATA", "unknown parameter", param_name=sorted(unknown)[0])


def _page(request: web.Request, rows: Sequence[Record], name: str) -> web.Response:
    wrong = refusal(400, "INVALID_DATA", "pages are of 1 to 200 records", param_name="per_page")
    page, per_page = paging(request, "per_page", wrong, default=200, most=200)
    start = (page - 1) * per_page
    shown = list(rows[start : start + per_page])
    if not shown:
        return web.Response(status=204)
    more = len(rows) > start + len(shown)
    return answer(
        {name: shown, "info": {"page": page, "per_page": per_page, "count": len(shown), "more_records": more}}
    )
