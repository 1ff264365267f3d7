"""The API of the stand-in, as strictly as the real one.

Sources: docs/reference/hubspot.md, by section in the comments. Where texts disagree, the stricter reading is
taken: what passes here should pass there.
"""

import json
from collections.abc import Iterable
from functools import partial
from typing import Any, Final

from aiohttp import web
from standins.hubspot import door, pages, rules
from standins.hubspot.limits import failed
from standins.hubspot.search import KEYS, search
from standins.hubspot.state import TYPE_IDS, Account, Record

from connector.kit.faults import Faults
from connector.kit.standin import Refused, Route, answer, standin_app

_DEFAULTS: Final = {
    "contacts": ("createdate", "email", "firstname", "lastmodifieddate", "lastname"),
    "tickets": ("content", "createdate", "hs_pipeline", "hs_pipeline_stage", "subject"),
}
_BATCH: Final = 100
_PROPERTY: Final = frozenset({"name", "label", "type", "fieldType", "groupName"})


def standin(account: Account | None = None, faults: Faults | None = None) -> web.Application:
    """A HubSpot portal as an aiohttp application: its API, pages for people, and `/_standin/` to drive it."""
    account = account or Account()
    api = _Api(account)
    open_routes = [*api.open_routes(), *pages.routes(account)]
    return standin_app(account, faults, api.routes(), root="/crm", admit=door.admit, open_routes=open_routes)


class _Api:
    def __init__(self, account: Account) -> None:
        self.account = account

    def routes(self) -> Iterable[Route]:
        """Method, path below `/crm`, handler."""
        objects = f"/v3/objects/{{objects:{'|'.join(TYPE_IDS)}}}"
        return (
            ("GET", objects, self.list_records),
            ("POST", objects, self.create),
            ("POST", objects + "/search", self.search),
            ("POST", objects + "/batch/read", self.read_batch),
            ("GET", objects + "/{id}", self.read),
            ("PATCH", objects + "/{id}", self.update),
            ("DELETE", objects + "/{id}", self.archive),
            ("GET", f"/v4/objects/{{objects:{'|'.join(TYPE_IDS)}}}/{{id}}/associations/{{to:\\w+}}", self.associations),
            ("GET", "/v3/owners", self.list_owners),
            ("GET", "/v3/owners/{id}", self.read_owner),
            ("GET", "/v3/pipelines/tickets", self.list_pipelines),
            ("POST", "/v3/properties/contacts", self.create_property),
            ("GET", "/v3/properties/contacts/{name}", self.read_property),
        )

    def open_routes(self) -> Iterable[Route]:
        """Method, path, handler of what is not below `/crm`."""
        return (
            ("POST", "/oauth/v1/token", partial(door.token, self.account)),
            ("GET", "/account-info/v3/details", self.details),
        )

    # --- the account (§2, §8) ---

    async def details(self, request: web.Request) -> web.Response:
        try:
            door.admit(self.account, request, request.path)
        except Refused as refused:
            return answer(refused.body, refused.status)
        return answer({"portalId": self.account.portal, "accountType": "STANDARD", "timeZone": "Asia/Kolkata"})

    async def list_owners(self, request: web.Request) -> web.Response:
        _known(request, {"limit", "after", "email", "archived"})
        rows = [row for row in self.account.owners.values() if not row["archived"]]
        return answer(_page(request, rows, most=500))

    async def read_owner(self, request: web.Request) -> web.Response:
        row = self.account.owners.get(request.match_info["id"])
        if row is None or row["archived"]:
            raise self.account.not_found()
        return answer(row)

    async def list_pipelines(self, request: web.Request) -> web.Response:
        return answer({"results": self.account.pipelines})

    async def create_property(self, request: web.Request) -> web.Response:
        optional = frozenset({"hasUniqueValue", "description", "options", "displayOrder", "hidden", "formField"})
        body = await _body(request, _PROPERTY | optional, _PROPERTY)
        if (body["type"], body["fieldType"]) != ("string", "text") or body["groupName"] != "contactinformation":
            raise failed(400, "VALIDATION_ERROR", "The stand-in makes texts in contactinformation only")
        if body["name"] in self.account.custom:
            raise failed(409, "CONFLICT", f"A property named '{body['name']}' already exists.")
        self.account.custom[body["name"]] = {"hasUniqueValue": False, **body}
        return answer(self.account.custom[body["name"]], 201)

    async def read_property(self, request: web.Request) -> web.Response:
        found = self.account.custom.get(request.match_info["name"])
        if found is None:
            raise self.account.not_found()
        return answer(found)

    # --- records (§3.1) ---

    def _row(self, request: web.Request) -> Record:
        objects, id_ = request.match_info["objects"], request.match_info["id"]
        name = request.query.get("idProperty")
        if name is None:
            row = self.account.objects[objects].get(id_)
        elif objects == "contacts" and (name == "email" or self.account.custom.get(name, {}).get("hasUniqueValue")):
            row = self.account.by_unique(name, id_)
        else:
            words = f"Unable to perform read by non-unique {TYPE_IDS[objects]} property {name}"
            raise failed(400, "VALIDATION_ERROR", words)
        if row is None:
            raise self.account.not_found()
        return row

    def _shown(self, request: web.Request, objects: str, row: Record, names: Iterable[str] | None = None) -> Record:
        """A record as it is answered: default properties, or those that were asked for."""
        wanted = _DEFAULTS.get(objects, ()) if names is None else names
        properties = {name: row["properties"].get(name) for name in dict.fromkeys([*wanted, "hs_object_id"])}
        path = f"/contacts/{self.account.portal}/record/{TYPE_IDS[objects]}/{row['id']}"
        return {**row, "properties": properties, "url": f"{request.url.origin()}{path}"}

    async def list_records(self, request: web.Request) -> web.Response:
        _known(request, {"limit", "after", "properties", "associations", "archived"})
        objects = request.match_info["objects"]
        page = _page(request, list(self.account.objects[objects].values()), most=100)
        return answer({**page, "results": [self._shown(request, objects, row) for row in page["results"]]})

    async def read(self, request: web.Request) -> web.Response:
        _known(request, {"properties", "associations", "idProperty", "archived"})
        objects, row = request.match_info["objects"], self._row(request)
        names = request.query["properties"].split(",") if "properties" in request.query else None
        shown = self._shown(request, objects, row, names)
        others = [name for name in request.query.get("associations", "").split(",") if name]
        if set(others) - TYPE_IDS.keys():
            raise failed(400, "VALIDATION_ERROR", "no such objects")
        tied = {name: self._tied_results(objects, row["id"], name) for name in others}
        shown["associations"] = {name: {"results": results} for name, results in tied.items() if results}
        return answer(shown)

    def _tied_results(self, objects: str, id_: str, others: str) -> list[Record]:
        word = f"{objects[:-1]}_to_{'company' if others == 'companies' else others[:-1]}"
        tied = self.account.tied[objects, id_, others]
        rows = [{"id": other, "type": f"{word}_unlabeled" if others == "companies" else word} for other in tied]
        # type 1 is the primary company
        return rows + [
            {"id": other, "type": word} for other, kind in tied.items() if (others, kind) == ("companies", 1)
        ]

    async def create(self, request: web.Request) -> web.Response:
        objects, account = request.match_info["objects"], self.account
        keys = frozenset({"properties", "associations", "objectWriteTraceId"})
        body = await _body(request, keys, frozenset({"properties"}))
        given = body["properties"]
        self._check(objects, given, create=True)
        others = [self._tie(objects, one) for one in body.get("associations", [])]
        if objects == "contacts":
            self._check_contact(given)
        row = account.add(objects, given)
        for to, id_, kind in others:
            account.tie(objects, row["id"], to, id_, kind)
        return answer(self._shown(request, objects, row, given), 201)

    def _check(self, objects: str, given: Any, *, create: bool) -> None:
        custom = self.account.custom if objects == "contacts" else ()
        owners = [id_ for id_, one in self.account.owners.items() if not one["archived"]]
        rules.check(objects, given, custom, owners, create=create)
        if objects == "tickets" and (stage := given.get("hs_pipeline_stage")):
            pipelines = {one["id"]: one for one in self.account.pipelines}
            pipeline = pipelines.get(given.get("hs_pipeline") or "0")
            if pipeline is None:
                raise rules.invalid([("hs_pipeline", ("INVALID_OPTION", "no such pipeline"))])
            if stage not in [one["id"] for one in pipeline["stages"]]:
                raise rules.invalid([("hs_pipeline_stage", ("INVALID_OPTION", "no such stage in the pipeline"))])

    def _check_contact(self, given: Record) -> None:
        if not any(given.get(name) for name in ("email", "firstname", "lastname")):
            raise failed(400, "VALIDATION_ERROR", "One of email, firstname and lastname is required")
        twin = self.account.twin(given)
        if twin is None:
            return
        name, id_ = twin
        if name == "email":
            raise failed(409, "CONFLICT", f"Contact already exists. Existing ID: {id_}")
        words = f"Cannot set {name}. {id_} already has that value."
        raise rules.invalid([(name, ("CONFLICTING_UNIQUE_VALUE", words))])

    def _tie(self, objects: str, one: Any) -> tuple[str, str, int]:
        """Other object, its id and the type of an association in a create. Raises `Refused`."""
        if not isinstance(one, dict) or set(one) != {"to", "types"} or len(one["types"]) != 1:
            raise failed(400, "VALIDATION_ERROR", "Invalid input JSON: an association has to and types")
        kind, id_ = one["types"][0], one["to"].get("id")
        names = {number: name for name, number in rules.TIES.get(objects, {}).items()}
        to = names.get(kind.get("associationTypeId"))
        if to is None or kind.get("associationCategory") != "HUBSPOT_DEFINED" or not isinstance(id_, str):
            raise failed(400, "VALIDATION_ERROR", "the association type does not fit")
        if id_ not in self.account.objects[to]:
            words = f"{to} {id_} is not valid"
            raise failed(400, "VALIDATION_ERROR", words, subCategory="crm.associations.INVALID_OBJECT_IDS")
        return to, id_, kind["associationTypeId"]

    async def update(self, request: web.Request) -> web.Response:
        _known(request, {"idProperty"})
        objects, row = request.match_info["objects"], self._row(request)
        body = await _body(request, frozenset({"properties"}), frozenset({"properties"}))
        self._check(objects, body["properties"], create=False)
        self.account.write(objects, row, body["properties"])
        return answer(self._shown(request, objects, row, body["properties"]))

    async def archive(self, request: web.Request) -> web.Response:
        self.account.archive(request.match_info["objects"], self._row(request)["id"])
        return web.Response(status=204)

    async def read_batch(self, request: web.Request) -> web.Response:
        objects = request.match_info["objects"]
        required = frozenset({"inputs", "properties", "propertiesWithHistory"})
        body = await _body(request, required | {"idProperty"}, required)
        ids = [one["id"] for one in body["inputs"]]
        if not 0 < len(ids) <= _BATCH or not all(isinstance(id_, str) for id_ in ids):
            raise failed(400, "VALIDATION_ERROR", f"inputs has 1 to {_BATCH} ids, which are texts")
        rows = [self.account.objects[objects][id_] for id_ in ids if id_ in self.account.objects[objects]]
        results = [self._shown(request, objects, row, body["properties"]) for row in rows]
        told: Record = {"status": "COMPLETE", "results": results}
        if len(results) == len(ids):
            return answer(told)
        error = {"status": "error", "category": "OBJECT_NOT_FOUND", "message": "Could not get some records"}
        return answer({**told, "numErrors": 1, "errors": [error]}, 207)

    async def search(self, request: web.Request) -> web.Response:
        if request.match_info["objects"] != "contacts":
            raise failed(400, "VALIDATION_ERROR", "the stand-in searches contacts only")
        body = await _body(request, KEYS, frozenset())
        found = search(self.account, body, len(await request.text()))
        start, limit = int(body.get("after", "0")), body.get("limit", 10)
        rows = found[start : start + limit]
        seen = [
            self._shown(request, "contacts", {**row, "properties": was}, body.get("properties")) for row, was in rows
        ]
        more = {"paging": {"next": {"after": str(start + limit)}}} if len(found) > start + limit else {}
        return answer({"total": len(found), "results": seen, **more})

    async def associations(self, request: web.Request) -> web.Response:
        _known(request, {"limit", "after"})
        objects, others = request.match_info["objects"], request.match_info["to"]
        if others not in TYPE_IDS:
            raise failed(400, "VALIDATION_ERROR", f"Unable to infer object type from: {others}")
        tied = self.account.tied[objects, self._row(request)["id"], others]
        rows = [
            {
                "toObjectId": int(id_),
                "associationTypes": [{"category": "HUBSPOT_DEFINED", "typeId": kind, "label": None}],
            }
            for id_, kind in tied.items()
        ]
        return answer(_page(request, rows, most=500))


async def _body(request: web.Request, allowed: frozenset[str], required: frozenset[str]) -> Record:
    """A body with these keys. Raises `Refused`."""
    try:
        body = json.loads(await request.read())
    except ValueError:
        raise failed(400, "VALIDATION_ERROR", "Invalid input JSON on line 1, column 1") from None
    if not isinstance(body, dict):
        raise failed(400, "VALIDATION_ERROR", "Invalid input JSON: an object is expected")
    if wrong := sorted((body.keys() - allowed) | (required - body.keys())):
        raise failed(400, "VALIDATION_ERROR", f"Invalid input JSON: unknown or missing: {', '.join(wrong)}")
    return body


def _known(request: web.Request, names: set[str]) -> None:
    unknown = set(request.query) - names
    if unknown:
        raise failed(400, "VALIDATION_ERROR", f"unknown query parameters: {', '.join(sorted(unknown))}")


def _page(request: web.Request, rows: list[Record], *, most: int) -> Record:
    """A part of a list, and where the next one begins."""
    limit, start = request.query.get("limit", "10"), request.query.get("after", "0")
    if not limit.isdecimal() or not 0 < int(limit) <= most or not start.isdecimal():
        raise failed(400, "VALIDATION_ERROR", f"limit is 1 to {most}, after a whole number")
    end = int(start) + int(limit)
    more = {"paging": {"next": {"after": str(end), "link": "?"}}} if len(rows) > end else {}
    return {"results": rows[int(start) : end], **more}
