"""The API of the stand-in: what `/api/v2` answers, as strictly as the real one, and what people do.

Sources: docs/reference/freshdesk.md, by section in the comments. Where texts disagree, the stricter reading is
taken: what passes here should pass there.

| request | does |
| --- | --- |
| `POST /_standin/contacts` | adds a contact as a person would have long ago: search sees it at once |
| `PUT /_standin/tickets/{id}` | changes a ticket as a person would: any field, `deleted` too |
"""

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial

from aiohttp import web
from standins.freshdesk import door, pages, rules
from standins.freshdesk.state import Account, Record

from connector.kit.faults import Faults
from connector.kit.standin import Refused, Route, added, answer, changed, json_object, paging, parts_of, standin_app

_ATTACHED = 20 * 1024 * 1024
_SEARCH_PAGE = 30
_TERM = re.compile(r"(phone|mobile):'([^']*)'")


def standin(account: Account | None = None, faults: Faults | None = None) -> web.Application:
    """A Freshdesk account as an aiohttp application: its API, pages for people, and `/_standin/` to drive it."""
    account = account or Account()
    open_routes = [
        *pages.routes(account),
        added("/_standin/contacts", partial(account.add_contact, indexed=True)),
        changed(r"/_standin/tickets/{id:\d+}", lambda id_: account.tickets.get(int(id_)), account.change_ticket),
    ]
    api = _Api(account)
    return standin_app(account, faults, api.routes(), root="/api/v2", admit=door.admit, open_routes=open_routes)


class _Api:
    def __init__(self, account: Account) -> None:
        self.account = account

    def routes(self) -> Iterable[Route]:
        """Method, path, handler."""
        return (
            ("GET", "/agents/me", self.me),
            ("GET", "/agents", self.list_agents),
            ("GET", "/ticket_fields", self.list_fields),
            ("GET", "/contacts", self.list_contacts),
            ("POST", "/contacts", self.create_contact),
            ("GET", r"/contacts/{id:\d+}", self.view_contact),
            ("PUT", r"/contacts/{id:\d+}", self.update_contact),
            ("DELETE", r"/contacts/{id:\d+}", self.delete_contact),
            ("PUT", r"/contacts/{id:\d+}/restore", self.restore_contact),
            ("GET", "/search/contacts", self.search_contacts),
            ("GET", "/tickets", self.list_tickets),
            ("POST", "/tickets", self.create_ticket),
            ("GET", r"/tickets/{id:\d+}", self.view_ticket),
            ("PUT", r"/tickets/{id:\d+}", self.update_ticket),
            ("DELETE", r"/tickets/{id:\d+}", self.delete_ticket),
            ("GET", r"/tickets/{id:\d+}/conversations", self.list_conversations),
            ("POST", r"/tickets/{id:\d+}/notes", self.create_note),
            ("PUT", r"/conversations/{id:\d+}", self.update_conversation),
        )

    # --- agents and fields (§5) ---

    async def me(self, request: web.Request) -> web.Response:
        return answer(self.account.agent_row(next(iter(self.account.agents.values()))))

    async def list_agents(self, request: web.Request) -> web.Response:
        return _page(request, list(self.account.agents.values()), self.account.agent_row)

    async def list_fields(self, request: web.Request) -> web.Response:
        return answer(self.account.ticket_fields())

    # --- contacts (§3) ---

    async def list_contacts(self, request: web.Request) -> web.Response:
        query = request.query
        filters = {"email", "phone", "mobile", "unique_external_id", "company_id", "state", "updated_since"}
        _known(request, filters | {"page", "per_page"})
        number = next((name for name in ("mobile", "phone") if name in query), None)
        found: Iterable[Record] = (
            self.account.contacts_with(number, query[number]) if number else self.account.contacts.values()
        )
        found = [c for c in found if bool(c.get("deleted")) == (query.get("state") == "deleted")]
        for name in filters & set(query) - {"state", "updated_since"}:
            found = [c for c in found if str(c[name]) == query[name]]
        return _page(request, found, lambda contact: contact)

    async def search_contacts(self, request: web.Request) -> web.Response:
        query = request.query.get("query", "")
        inner = query[1:-1]
        if len(query) < 2 or query[0] != '"' or query[-1] != '"' or len(inner) > 512:
            raise _invalid("query", "The query stands in double quotes and has 512 characters at most")
        terms = [_TERM.fullmatch(term) for term in inner.split(" OR ")]
        page = request.query.get("page", "1")
        if not all(terms) or page not in map(str, range(1, 11)):
            raise _invalid("query", "Given query is invalid")
        found = {
            contact["id"]: contact
            for term in terms
            if term
            for contact in self.account.contacts_with(term[1], term[2], search=True)
            if not contact.get("deleted")
        }
        start = (int(page) - 1) * _SEARCH_PAGE
        return answer({"total": len(found), "results": list(found.values())[start : start + _SEARCH_PAGE]})

    async def create_contact(self, request: web.Request) -> web.Response:
        body = await _body(request)
        wrong = rules.problems(body, rules.CONTACT, required=("name",))
        if not wrong and not any(body.get(name) for name in ("email", "mobile", "phone", "twitter_id")):
            # the older, stricter text; an external id alone is not enough
            words = "A contact needs an e-mail address, a phone or mobile number, or a Twitter name"
            wrong = [rules.problem("email", words, "missing_field")]
        _refuse(wrong)
        self._unique(body)
        contact = self.account.add_contact(body)
        return answer(contact, 201, {"Location": f"{request.url.origin()}/api/v2/contacts/{contact['id']}"})

    def _unique(self, body: Record, but: int | None = None) -> None:
        twin = self.account.twin(body, but)
        if twin is not None:
            name, user = twin
            error = rules.problem(name, "It should be a unique value", "duplicate_value")
            raise _validation(409, [{**error, "additional_info": {"user_id": user}}])

    def _contact(self, request: web.Request) -> Record:
        contact = self.account.contacts.get(int(request.match_info["id"]))
        if contact is None or contact["id"] in self.account.agents:
            raise Refused(404)
        return contact

    async def view_contact(self, request: web.Request) -> web.Response:
        return answer(self._contact(request))

    async def update_contact(self, request: web.Request) -> web.Response:
        contact = self._contact(request)
        if contact.get("deleted"):
            raise Refused(405)
        body = await _body(request)
        _refuse(rules.problems(body, rules.CONTACT))
        self._unique(body, but=contact["id"])
        self.account.change_contact(contact, body)
        return answer(contact)

    async def delete_contact(self, request: web.Request) -> web.Response:
        self._contact(request)["deleted"] = True
        return web.Response(status=204)

    async def restore_contact(self, request: web.Request) -> web.Response:
        if self._contact(request).pop("deleted", None) is None:
            raise Refused(404)
        return web.Response(status=204)

    # --- tickets (§4) ---

    async def list_tickets(self, request: web.Request) -> web.Response:
        query = request.query
        orders = ("created_at", "due_by", "updated_at", "status")
        _known(
            request,
            {"requester_id", "email", "company_id", "filter", "updated_since", "include", "order_by", "order_type"}
            | {"page", "per_page"},
        )
        order = query.get("order_by", "created_at")
        if order not in orders:
            raise _invalid("order_by", f"It should be one of these values: '{','.join(orders)}'")
        requester = query.get("requester_id")
        if requester is not None and not requester.isdecimal():
            raise _invalid("requester_id", "A positive whole number is expected", "datatype_mismatch")
        found = self.account.tickets_of(int(requester) if requester is not None else None)
        if since := query.get("updated_since"):
            found = [ticket for ticket in found if ticket["updated_at"] >= since]
        else:
            month_ago = self.account.clock() - 30 * 86400
            found = [ticket for ticket in found if _unix(ticket["created_at"]) >= month_ago]
        # ids rise with the time of creation: they part the tickets of one second
        found.sort(key=lambda t: (t.get(order) or "", t["id"]), reverse=query.get("order_type", "desc") == "desc")
        left_out = () if "description" in query.get("include", "") else ("description", "description_text")
        return _page(request, found, lambda ticket: {k: v for k, v in ticket.items() if k not in left_out})

    async def create_ticket(self, request: web.Request) -> web.Response:
        body = await _body(request)
        wrong = rules.problems(body, rules.TICKET, required=("subject", "description"))
        if not wrong and "requester_id" not in body:
            # the real one would also make a contact of an e-mail or number; the connector never asks for that
            wrong = [rules.problem("requester_id", "A positive whole number is expected", "missing_field")]
        _refuse(wrong)
        _refuse(self._references(body, create=True))
        ticket = self.account.add_ticket(body)
        return answer(ticket, 201, {"Location": f"{request.url.origin()}/api/v2/tickets/{ticket['id']}"})

    def _references(self, body: Record, *, create: bool) -> list[rules.Problem]:
        account = self.account
        wrong = []
        requester = body.get("requester_id")
        contact = account.contacts.get(requester or 0)
        if requester is not None and requester not in account.agents and (contact is None or contact.get("deleted")):
            wrong.append(("requester_id", "There is no contact matching the given requester_id"))
        if body.get("responder_id") is not None and body["responder_id"] not in account.agents:
            wrong.append(("responder_id", "No agent has this id"))
        if body.get("group_id") is not None and body["group_id"] not in account.groups:
            wrong.append(("group_id", "There is no group matching the given group_id"))
        for name, values in (("status", account.statuses), ("type", account.types)):
            if body.get(name) is not None and body[name] not in values:
                wrong.append((name, f"It should be one of these values: '{','.join(map(str, values))}'"))
        custom = rules.custom_problems(body.get("custom_fields", {}), account.custom_fields, create=create)
        return [rules.problem(*each, "invalid_value") for each in wrong] + custom

    def _ticket(self, request: web.Request) -> Record:
        ticket = self.account.tickets.get(int(request.match_info["id"]))
        if ticket is None:
            raise Refused(404)
        return ticket

    def _live_ticket(self, request: web.Request) -> Record:
        ticket = self._ticket(request)
        if ticket.get("deleted"):
            raise Refused(404 if request.method == "POST" else 405)
        return ticket

    async def view_ticket(self, request: web.Request) -> web.Response:
        return answer(self._ticket(request))

    async def update_ticket(self, request: web.Request) -> web.Response:
        ticket = self._live_ticket(request)
        body = await _body(request)
        _refuse(rules.problems(body, rules.TICKET))
        _refuse(self._references(body, create=False))
        self.account.change_ticket(ticket, body)
        return answer(ticket)

    async def delete_ticket(self, request: web.Request) -> web.Response:
        self._live_ticket(request)["deleted"] = True
        return web.Response(status=204)

    async def list_conversations(self, request: web.Request) -> web.Response:
        _known(request, {"page", "per_page"})
        return _page(request, self.account.conversations[self._ticket(request)["id"]], lambda note: note)

    async def create_note(self, request: web.Request) -> web.Response:
        ticket = self._live_ticket(request)
        body = await _body(request)
        wrong = rules.problems(body, rules.NOTE, required=("body",))
        if not wrong and "user_id" in body and body["user_id"] not in self.account.agents:
            words = "Nobody has this id"
            wrong = [rules.problem("user_id", words, "invalid_value")]
        _refuse(wrong)
        note = self.account.add_note(ticket, body, author=next(iter(self.account.agents)))
        return answer(note, 201)

    async def update_conversation(self, request: web.Request) -> web.Response:
        note = self.account.notes.get(int(request.match_info["id"]))
        if note is None:
            raise Refused(404)
        body = await _body(request)
        _refuse(rules.problems(body, rules.CONVERSATION))
        self.account.change_note(note, body)
        return answer(note)


async def _body(request: web.Request) -> Record:
    if request.content_type == "multipart/form-data":
        return await _form(request)
    wrong = {"code": "invalid_json", "message": "Request body has invalid json format"}
    return await json_object(request, Refused(400, wrong))


async def _form(request: web.Request) -> Record:
    body: Record = {}
    for part in await parts_of(request):
        if part.filename is not None:
            attachment = {"name": part.filename, "content_type": part.content_type, "size": len(part.content)}
            body.setdefault(part.name.removesuffix("[]"), []).append(attachment)
        else:
            text = part.content.decode()
            body[part.name] = {"true": True, "false": False}.get(text, text)
    if sum(attachment["size"] for attachment in body.get("attachments", ())) > _ATTACHED:
        raise _invalid("attachments", "Files of a ticket may have 20 MB together", "invalid_size")
    return body


def _page(request: web.Request, rows: list[Record], shown: Callable[[Record], Record]) -> web.Response:
    wrong = _invalid("per_page", "A whole number from 1 to 100 is expected")
    page, size = paging(request, "per_page", wrong, default=30, most=100)
    start = (page - 1) * size
    headers = {}
    if len(rows) > start + size:
        headers["Link"] = f'<{request.url.update_query(page=page + 1)}>; rel="next"'
    return answer([shown(row) for row in rows[start : start + size]], headers=headers)


def _known(request: web.Request, names: set[str]) -> None:
    unknown = [name for name in request.query if name not in names]
    if unknown:
        raise _invalid(unknown[0], "Unexpected/invalid field in request", "invalid_field")


def _invalid(field: str, message: str, code: str = "invalid_value") -> Refused:
    return _validation(400, [rules.problem(field, message, code)])


def _validation(status: int, errors: list[rules.Problem]) -> Refused:
    return Refused(status, {"description": "Validation failed", "errors": errors})


def _refuse(wrong: list[rules.Problem]) -> None:
    if wrong:
        raise _validation(400, wrong)


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
