"""The API of the stand-in: what `/api/v1` and the token endpoint answer, as strictly as the real ones.

Sources: docs/reference/zoho_desk.md, by section in the comments.
"""

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler
from standins.zoho_desk import door, pages, rules
from standins.zoho_desk.state import Account, Record, short

from connector.kit.faults import Faults
from connector.kit.standin import Route, answer, file_of, json_object, standin_app

_ROOT = "/api/v1"
#: Of a file, in bytes; of its name, in characters (§5.5, OpenAPI TicketAttachment).
_LARGEST = 20 * 1024 * 1024
_LONGEST_NAME = 100


def standin(account: Account | None = None, faults: Faults | None = None) -> web.Application:
    """An organisation as an aiohttp application: API, token endpoint, pages for people, `/_standin/` to drive it."""
    account = account or Account()
    open_routes: list[Route] = [("POST", "/oauth/v2/token", partial(door.token, account)), *pages.routes(account)]
    app = standin_app(account, faults, _Api(account).routes(), root=_ROOT, admit=door.admit, open_routes=open_routes)
    app.middlewares.append(_few_at_once(account))
    return app


def _few_at_once(account: Account) -> Any:
    under_way = 0

    @web.middleware
    async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
        nonlocal under_way
        under_way += 1
        try:
            if account.at_once is not None and under_way > account.at_once and request.path.startswith(_ROOT):
                words = "The maximum number of concurrent API calls that can be made has been exceeded."
                raise rules.refusal(429, "TOO_MANY_REQUESTS", words, {"Retry-After": "1"})
            return await handler(request)
        finally:
            under_way -= 1

    return count


class _Api:
    def __init__(self, account: Account) -> None:
        self.account = account

    def routes(self) -> Iterable[Route]:
        """Method, path, handler."""
        return (
            ("GET", "/organizations", self.organizations),
            ("GET", "/departments", self.departments),
            ("GET", "/organizationFields", self.fields),
            ("GET", "/agents", self.agents),
            ("GET", "/contacts/search", self.search_contacts),
            ("POST", "/contacts", self.create_contact),
            ("GET", r"/contacts/{id:\d+}", self.view_contact),
            ("GET", r"/contacts/{id:\d+}/tickets", self.tickets_of_contact),
            ("GET", "/tickets", self.list_tickets),
            ("POST", "/tickets", self.create_ticket),
            ("GET", r"/tickets/{id:\d+}", self.view_ticket),
            ("PATCH", r"/tickets/{id:\d+}", self.update_ticket),
            ("GET", r"/tickets/{id:\d+}/comments", self.list_comments),
            ("POST", r"/tickets/{id:\d+}/comments", self.create_comment),
            ("PATCH", r"/tickets/{id:\d+}/comments/{comment:\d+}", self.update_comment),
            ("GET", r"/tickets/{id:\d+}/attachments", self.list_attachments),
            ("POST", r"/tickets/{id:\d+}/attachments", self.create_attachment),
            ("GET", r"/tickets/{id:\d+}/calls", self.calls_of_ticket),
            ("GET", "/calls", self.list_calls),
            ("POST", "/calls", self.create_call),
            ("GET", r"/calls/{id:\d+}", self.view_call),
            ("PATCH", r"/calls/{id:\d+}", self.update_call),
        )

    # --- the organisation (§6) ---

    async def organizations(self, request: web.Request) -> web.Response:
        rules.check_query("/organizations", request.query)
        row = {"id": self.account.org_id, "companyName": self.account.name, "portalName": "acme", "isDefault": True}
        return answer({"data": [row]})

    async def departments(self, request: web.Request) -> web.Response:
        return _page(request, "/departments", self.account.departments)

    async def fields(self, request: web.Request) -> web.Response:
        if "module" not in request.query:
            raise rules.unprocessable("The value for field 'module' is missing.")
        return _page(request, "/organizationFields", self.account.fields, all_at_once=True)

    async def agents(self, request: web.Request) -> web.Response:
        rows = [{"status": "ACTIVE", "isConfirmed": True, **agent} for agent in self.account.agents.values()]
        return _page(request, "/agents", rows)

    # --- contacts (§4.1, §5.1) ---

    async def search_contacts(self, request: web.Request) -> web.Response:
        rules.check_query("/contacts/search", request.query)
        query = request.query
        found = self.account.searchable()
        for name in {"phone", "mobile", "email"} & set(query):
            values = query[name].split(",")
            if len(values) > 30:
                raise rules.unprocessable(f"The value passed for field '{name}' is invalid.")
            found = [c for c in found if any(fnmatchcase(c.get(name) or "", value) for value in values)]
        if words := query.get("_all"):
            texts = ("firstName", "lastName", "email", "phone", "mobile", "description")
            found = [c for c in found if any(words.casefold() in (c.get(name) or "").casefold() for name in texts)]
        return _page(request, "/contacts/search", found, counted=True)

    async def create_contact(self, request: web.Request) -> web.Response:
        body = await _body(request)
        rules.check_body(body, rules.CONTACT, required=("lastName",))
        twins = (c for c in self.account.contacts.values() if c["phone"] and c["phone"] == body.get("phone"))
        if self.account.unique_phone and next(twins, None):
            raise rules.invalid([rules.problem("phone", "The value is there already", "duplicate")])
        return answer(self.account.add_contact(body, _origin(request)))

    async def view_contact(self, request: web.Request) -> web.Response:
        return answer(self._one(self.account.contacts, request))

    async def tickets_of_contact(self, request: web.Request) -> web.Response:
        contact = self._one(self.account.contacts, request)
        return _page(request, "/contacts/{id}/tickets", self.account.tickets_of(contact["id"]), default=25)

    # --- tickets and comments (§5.2 to §5.4) ---

    async def list_tickets(self, request: web.Request) -> web.Response:
        rows = [ticket for ticket in self.account.tickets.values() if not ticket["isTrashed"]]
        return _page(request, "/tickets", rows, default=25)

    async def create_ticket(self, request: web.Request) -> web.Response:
        body = await _body(request)
        rules.check_body(body, rules.TICKET, required=("departmentId", "contactId", "subject"))
        self._references(body)
        self._custom(body, create=True)
        return answer(self.account.add_ticket(body, _origin(request)))

    async def view_ticket(self, request: web.Request) -> web.Response:
        return answer(self._one(self.account.tickets, request))

    async def update_ticket(self, request: web.Request) -> web.Response:
        ticket = self._living_ticket(request)
        body = await _body(request)
        rules.check_body(body, rules.TICKET)
        self._references(body)
        self._custom(body, create=False)
        self.account.change_ticket(ticket, body)
        return answer(ticket)

    async def list_comments(self, request: web.Request) -> web.Response:
        rows = self.account.comments[self._one(self.account.tickets, request)["id"]]
        return _page(request, "/tickets/{id}/comments", rows, default=50, whole=True)

    async def create_comment(self, request: web.Request) -> web.Response:
        ticket = self._living_ticket(request)
        body = await _body(request)
        rules.check_body(body, rules.COMMENT, required=("content",))
        return answer(self.account.add_comment(ticket, body))

    async def update_comment(self, request: web.Request) -> web.Response:
        comments = self.account.comments[self._living_ticket(request)["id"]]
        comment = next((one for one in comments if one["id"] == request.match_info["comment"]), None)
        if comment is None:
            raise self.account.not_found()
        body = await _body(request)
        rules.check_body(body, {"content": rules.COMMENT["content"]}, required=("content",))
        self.account.change_comment(comment, body)
        return answer(comment)

    async def list_attachments(self, request: web.Request) -> web.Response:
        rows = self.account.attachments[self._one(self.account.tickets, request)["id"]]
        return _page(request, "/tickets/{id}/attachments", rows, whole=True)

    async def create_attachment(self, request: web.Request) -> web.Response:
        ticket = self._living_ticket(request)
        rules.check_query("POST /tickets/{id}/attachments", request.query)
        # the schema allows one part and no other (§5.5)
        name, size = await file_of(request, "file", rules.unprocessable("The value for field 'file' is missing."))
        if size > _LARGEST or len(name) > _LONGEST_NAME:
            raise rules.invalid([rules.problem("file", "The file is too large, or its name too long")])
        is_public = request.query.get("isPublic") == "true"
        origin = _origin(request)
        return answer(self.account.add_attachment(ticket, name, size, is_public=is_public, origin=origin))

    # --- call activities (§5.6) ---

    async def list_calls(self, request: web.Request) -> web.Response:
        rows = [call for call in self.account.calls.values() if not call["isTrashed"]]
        if department := request.query.get("departmentId"):
            rows = [call for call in rows if call["departmentId"] == department]
        return _page(request, "/calls", rows)

    async def calls_of_ticket(self, request: web.Request) -> web.Response:
        ticket = self._one(self.account.tickets, request)
        rows = [call for call in self.account.calls.values() if call["ticketId"] == ticket["id"]]
        return _page(request, "/tickets/{id}/calls", rows)

    async def create_call(self, request: web.Request) -> web.Response:
        body = await _body(request)
        required = ("contactId", "departmentId", "subject", "startTime", "status", "direction", "duration")
        rules.check_body(body, rules.CALL, required=required)
        self._references(body)
        self._custom(body, create=False)
        return answer(self.account.add_call(body, _origin(request)))

    async def view_call(self, request: web.Request) -> web.Response:
        return answer(self._one(self.account.calls, request))

    async def update_call(self, request: web.Request) -> web.Response:
        call = self._one(self.account.calls, request)
        body = await _body(request)
        rules.check_body(body, rules.CALL)
        self._references(body)
        self._custom(body, create=False)
        self.account.change_call(call, body)
        return answer(call)

    def _one(self, records: Mapping[str, Record], request: web.Request) -> Record:
        record = records.get(request.match_info["id"])
        if record is None:
            raise self.account.not_found()
        return record

    def _living_ticket(self, request: web.Request) -> Record:
        ticket = self._one(self.account.tickets, request)
        if ticket["isTrashed"]:
            raise self.account.not_found()
        return ticket

    def _references(self, body: Record) -> None:
        account = self.account
        departments = {row["id"] for row in account.departments if row["isEnabled"]}
        living = {id_ for id_, contact in account.contacts.items() if not contact["isTrashed"]}
        known: Mapping[str, Any] = {
            "departmentId": departments,
            "contactId": living,
            "ticketId": account.tickets,
            "assigneeId": account.agents,
            "ownerId": account.agents,
            "priority": account.priorities,
        }
        wrong = [
            rules.problem(n, "The value is invalid")
            for n, values in known.items()
            if n in body and body[n] not in values
        ]
        if "channel" in body and body.get("status", "Open") not in account.statuses:
            wrong.append(rules.problem("status", "The value is invalid"))
        if wrong:
            raise rules.invalid(wrong)

    def _custom(self, body: Record, *, create: bool) -> None:
        own = {row["apiName"]: row for row in self.account.fields if row.get("isCustomField")}
        values = body.get("cf", {})
        wrong = [rules.problem(f"cf/{name}", "The field is not known") for name in values if name not in own]
        for name, row in own.items():
            choices = [choice["value"] for choice in row.get("allowedValues", ())]
            if values.get(name) and choices and values[name] not in choices:
                wrong.append(rules.problem(f"cf/{name}", "The value is not one of the choices"))
            if create and row.get("isMandatory") and not values.get(name):
                wrong.append(rules.problem(f"cf/{name}", "The field is missing", "missing"))
        if wrong:
            raise rules.invalid(wrong)


async def _body(request: web.Request) -> Record:
    if not await request.read():
        raise rules.refusal(400, "EMPTY_PAYLOAD", "The request has no body.")
    body = await json_object(request, rules.refusal(400, "BAD_REQUEST", "The body is no JSON object."))
    if not body:
        raise rules.refusal(400, "EMPTY_PAYLOAD", "The body is empty.")
    return body


def _page(
    request: web.Request,
    route: str,
    rows: list[Record],
    *,
    default: int = 10,
    counted: bool = False,
    whole: bool = False,
    all_at_once: bool = False,
) -> web.Response:
    """A part of a list; an empty one is 204 without a body (§3). Searches count all that they found."""
    query = request.query
    rules.check_query(route, query)
    by = query.get("sortBy", "")
    if by.lstrip("-") not in ("", "relevance"):
        field: Callable[[Record], Any] = lambda row: (str(row.get(by.lstrip("-")) or ""), int(row["id"]))  # noqa: E731
        rows = sorted(rows, key=field, reverse=by.startswith("-"))
    start, size = int(query.get("from", "0")), len(rows) if all_at_once else int(query.get("limit", str(default)))
    part = rows[start : start + size]
    if not part:
        return web.Response(status=204)
    data = part if whole else [short(row) for row in part]
    return answer({"data": data, "count": len(rows)} if counted else {"data": data})


def _origin(request: web.Request) -> str:
    return str(request.url.origin())
