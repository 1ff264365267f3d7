"""The API of the stand-in: what `/crm/sales/api` (Classic: `/api`) answers, as strictly as the real one.

Sources: docs/reference/freshsales.md, by section in the comments. Where texts disagree, the stricter reading is
taken: what passes here should pass there.
"""

import re
from collections.abc import Iterable
from typing import Any

from aiohttp import web
from standins.freshsales import door, pages, rules
from standins.freshsales.state import Account, Record, refusal

from connector.kit.faults import Faults
from connector.kit.standin import Route, answer, json_object, parts_of, standin_app

_PAGE = 25
_MOST = 100
_TARGETS = {"Contact": "contact", "contact": "contact", "Lead": "lead", "lead": "lead"}
_LOOKED_UP = ("mobile_number", "external_id", "email")
_STANDARD = (
    ("last_name", "Last name", True),
    ("mobile_number", "Mobile", False),
    ("external_id", "External ID", False),
)


def standin(account: Account | None = None, faults: Faults | None = None) -> web.Application:
    """A Freshsales account as an aiohttp application: its API, pages for people, and `/_standin/` to drive it."""
    account = account or Account()
    root, open_routes = account.home + "/api", pages.routes(account)
    return standin_app(account, faults, _Api(account).routes(), root=root, admit=door.admit, open_routes=open_routes)


class _Api:
    def __init__(self, account: Account) -> None:
        self.account = account
        self.shapes = rules.shapes(classic=account.classic)

    def routes(self) -> Iterable[Route]:
        """Method, path, handler."""
        people = "{people:contacts|leads}" if self.account.classic else "{people:contacts}"
        person = "/" + people + r"/{id:\d+}"
        return (
            ("GET", "/contacts/filters", self.views),
            ("GET", "/settings/contacts/fields", self.contact_fields),
            ("GET", "/settings/sales_activities/fields", self.activity_fields),
            ("GET", "/selector/owners", self.owners),
            ("GET", "/selector/sales_activity_types", self.activity_types),
            ("GET", "/lookup", self.lookup),
            ("POST", "/filtered_search/contact", self.filtered),
            ("POST", "/contacts", self.create_contact),
            ("GET", person, self.view_person),
            ("GET", person + "/activities", self.activities),
            ("POST", "/phone_calls", self.create_call),
            ("POST", "/notes", self.create_note),
            ("PUT", r"/notes/{id:\d+}", self.update_note),
            ("DELETE", r"/notes/{id:\d+}", self.delete_note),
            ("POST", "/sales_activities", self.create_activity),
            ("GET", r"/sales_activities/{id:\d+}", self.view_activity),
            ("PUT", r"/sales_activities/{id:\d+}", self.update_activity),
            ("POST", "/tasks", self.create_task),
            ("GET", "/tasks", self.list_tasks),
        )

    # --- selectors and settings (§1, §2 and §8) ---

    async def views(self, request: web.Request) -> web.Response:
        return answer({"filters": [{"id": 70000170001, "name": "All Contacts", "is_default": True}]})

    async def contact_fields(self, request: web.Request) -> web.Response:
        standard = [{"name": name, "label": label, "required": required} for name, label, required in _STANDARD]
        return answer({"fields": standard + self.account.contact_fields})

    async def activity_fields(self, request: web.Request) -> web.Response:
        standard = [{"name": "title", "label": "Title", "required": True}]
        return answer({"fields": standard + self.account.activity_fields})

    async def owners(self, request: web.Request) -> web.Response:
        return answer({"users": [{"is_active": True, "work_number": None, **o} for o in self.account.owners.values()]})

    async def activity_types(self, request: web.Request) -> web.Response:
        return answer({"sales_activity_types": self.account.activity_types})

    # --- contacts (§3 and §4) ---

    async def lookup(self, request: web.Request) -> web.Response:
        query = _query(request, "q", "f", "entities")
        kinds = query.get("entities", "").split(",")
        name = query.get("f", "")
        known = {"contact", "lead"} if self.account.classic else {"contact"}
        if not query.get("q") or name not in _LOOKED_UP or not kinds or set(kinds) - known:
            raise refusal(400, "Invalid lookup")
        rows = {kind: [_row(record) for record in self.account.found(kind, name, query["q"])] for kind in kinds}
        return answer({f"{kind}s": {f"{kind}s": found} for kind, found in rows.items()})

    async def filtered(self, request: web.Request) -> web.Response:
        body = await _json(request)
        rule = body["filter_rule"][0] if isinstance(body.get("filter_rule"), list) and body["filter_rule"] else {}
        values = rule.get("value")
        if rule.get("attribute") != "mobile_number" or rule.get("operator") != "is_in" or type(values) is not list:
            raise refusal(400, "Invalid filter rule")
        if set(body) - {"filter_rule", "page", "per_page", "sort", "sort_type"} or body.get("per_page", 25) > _MOST:
            raise refusal(400, "Invalid parameters")
        found = [_row(record) for value in values for record in self.account.found("contact", "mobile_number", value)]
        return answer({"contacts": found, "meta": {"total": len(found)}})

    async def create_contact(self, request: web.Request) -> web.Response:
        values = await self._values(request, "contact")
        if self.account.hidden_429s:
            self.account.hidden_429s -= 1
            raise refusal(400, "UCR contact fetch failure :: response_code :: 429")
        missing = [row["label"] for row in self.account.contact_fields if row["required"] and row["name"] not in values]
        if missing:
            raise refusal(400, *(f"Need to fill this {label}" for label in missing))
        twin = self.account.problem_of(values)
        if twin is not None:
            raise refusal(400, twin)
        return answer({"contact": _row(self.account.add("contact", values))}, 201)

    async def view_person(self, request: web.Request) -> web.Response:
        kind, person = self._person(request)
        return answer({kind: person, "users": list(self.account.owners.values())})

    async def activities(self, request: web.Request) -> web.Response:
        kind, person = self._person(request)
        page = int(_query(request, "page", "per_page").get("page", "1"))
        rows = self.account.timelines[kind, person["id"]][::-1]
        shown = rows[(page - 1) * _PAGE : page * _PAGE]
        meta = {"has_next": page * _PAGE < len(rows), "has_previous": page > 1}
        return answer({"activities": shown, "meta": meta, **(self._along(shown) if self.account.tells_words else {})})

    def _along(self, rows: list[Record]) -> dict[str, list[Record]]:
        records = self.account.records
        ids = {row["actionable_id"] for row in rows}
        calls = [call for id_, call in records["phone_call"].items() if id_ in ids]
        ids |= {call["note_id"] for call in calls}
        notes = [note for id_, note in records["note"].items() if id_ in ids]
        activities = [activity for id_, activity in records["sales_activity"].items() if id_ in ids]
        return {"phone_calls": calls, "notes": notes, "sales_activities": activities}

    def _person(self, request: web.Request) -> tuple[str, Record]:
        kind = request.match_info["people"][:-1]
        return kind, self._record(kind, int(request.match_info["id"]))

    def _record(self, kind: str, id_: int) -> Record:
        record = self.account.records[kind].get(id_)
        if record is None or record.get("is_deleted"):
            raise self.account.not_found()
        return record

    # --- call logs, notes, sales activities, tasks (§5 to §7) ---

    async def create_call(self, request: web.Request) -> web.Response:
        form = request.content_type == "multipart/form-data"
        values = self._checked(await _form(request) if form else await _json(request), "phone_call")
        note, target = values.pop("note", {}), values["targetable"]
        if set(note) - {"description"} or set(target) != {"id"} or type(target["id"]) is not int:
            raise refusal(400, "targetable or note is invalid")
        kind = _TARGETS[values["targetable_type"]]
        self._record(kind, target["id"])
        kept = form == (self.account.call_log_format == "multipart")
        call = self.account.add("phone_call", {**values, "is_manual": True, "cost": 0})
        made = self.account.add("note", {"description": note.get("description", ""), "source_id": call["id"]})
        of = {"id": target["id"], "type": kind} if kept else None
        self.account.write("phone_call", call, {"note_id": made["id"], "targetable": of})
        if kept:
            self.account.note_down((kind, target["id"]), "phone_call", call)
        return answer({"phone_calls": [call], "notes": [made], "users": []})

    async def create_note(self, request: web.Request) -> web.Response:
        return self._made("note", await self._values(request, "note"))

    async def update_note(self, request: web.Request) -> web.Response:
        note = self._record("note", int(request.match_info["id"]))
        values = await self._values(request, "note")  # all three members again
        self.account.write("note", note, values)
        return answer({"note": note})

    async def delete_note(self, request: web.Request) -> web.Response:
        self._record("note", int(request.match_info["id"]))["is_deleted"] = True
        return answer(True)

    async def create_activity(self, request: web.Request) -> web.Response:
        values = await self._values(request, "sales_activity")
        custom = {**values, **values.get("custom_field", {})}
        missing = [r["name"] for r in self.account.activity_fields if r["required"] and r["name"] not in custom]
        if missing:
            raise refusal(400, *(f"{name} can't be blank" for name in missing))
        return self._made("sales_activity", values)

    async def view_activity(self, request: web.Request) -> web.Response:
        return answer({"sales_activity": self._record("sales_activity", int(request.match_info["id"]))})

    async def update_activity(self, request: web.Request) -> web.Response:
        activity = self._record("sales_activity", int(request.match_info["id"]))
        values = self._checked(await _json(request), "sales_activity", whole=False)
        self.account.write("sales_activity", activity, values)
        return answer({"sales_activity": activity})

    async def create_task(self, request: web.Request) -> web.Response:
        return self._made("task", await self._values(request, "task"))

    async def list_tasks(self, request: web.Request) -> web.Response:
        query = _query(request, "filter", "page", "per_page")
        if query.get("filter") not in ("open", "due_today", "due_tomorrow", "overdue", "completed"):
            raise refusal(400, "filter is not included in the list")
        page, per_page = int(query.get("page", "1")), int(query.get("per_page", str(_PAGE)))
        if per_page > _MOST:
            raise refusal(400, "per_page is too large")
        rows = list(self.account.records["task"].values())[::-1]
        return answer({"tasks": rows[(page - 1) * per_page : page * per_page], "meta": {"total": len(rows)}})

    def _made(self, kind: str, values: Record) -> web.Response:
        target = _TARGETS.get(values["targetable_type"], "deal"), values["targetable_id"]
        self._record(*target)
        made = self.account.add(kind, values)
        self.account.note_down(target, kind, made)
        return answer({kind: made}, 201)

    async def _values(self, request: web.Request, root: str) -> Record:
        return self._checked(await _json(request), root)

    def _checked(self, body: Record, root: str, *, whole: bool = True) -> Record:
        values = body.get(root)
        if set(body) != {root} or type(values) is not dict:
            raise refusal(400, f"param is missing or the value is empty: {root}")
        wrong = rules.problems(values, self.shapes[root], rules.REQUIRED[root] if whole else ())
        for name in ("owner_id", "user_id"):
            if name in values and values[name] not in self.account.owners and not wrong:
                wrong.append(f"{name.removesuffix('_id').title()} must exist")
        types = [row["id"] for row in self.account.activity_types]
        if root == "sales_activity" and values.get("sales_activity_type_id", types[0]) not in types:
            wrong.append("sales_activity_type_id is invalid")
        if wrong:
            raise refusal(400, *wrong)
        return values


def _row(record: Record) -> Record:
    """A contact as look-ups and creates give it."""
    name = " ".join(filter(None, (record.get("first_name"), record.get("last_name"))))
    return {"display_name": name, "email": None, "work_number": None, "mobile_number": None, "tags": [], **record}


def _query(request: web.Request, *names: str) -> dict[str, str]:
    unknown = set(request.query) - set(names)
    if unknown:
        raise refusal(400, f"{', '.join(sorted(unknown))} is not permitted")
    return dict(request.query)


async def _json(request: web.Request) -> Record:
    return await json_object(request, refusal(400, "Invalid JSON"))


async def _form(request: web.Request) -> Record:
    """Fields such as `phone_call[targetable][id]` as nested objects, their texts as what they stand for."""
    parts = await parts_of(request)
    if not parts:
        raise refusal(400, "The form cannot be read")
    body: Record = {}
    for part in parts:
        path = re.findall(r"[^\[\]]+", part.name)
        inner = body
        for step in path[:-1]:
            inner = inner.setdefault(step, {})
        inner[path[-1]] = _meant(path[-1], part.content.decode())
    return body


def _meant(name: str, text: str) -> Any:
    if name == "call_direction":
        return {"true": True, "false": False}.get(text, text)
    return int(text) if (name == "id" or name.endswith("_id")) and text.isdecimal() else text
