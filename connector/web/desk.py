"""The local desk over HTTP: JSON for the `local` adapter at `/desk/v1`, and a page per ticket for people.

Every request names its connection by its bearer token, and sees that connection's records only. A ticket's page is
reached by a signed link, which stands in the ticket's `url`. HTML is cleaned as it comes in, and again when shown.

Errors are `{"error": {"code", "message", "field"}}`: `unreadable` 400, `unauthorized` 401, `not_found` 404,
`too_large` 413, `invalid` 422 (names the field), `busy` 503 (nothing was kept).
"""

import hmac
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import nh3
from aiohttp import web
from markupsafe import Markup
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from connector.errors import IngressError, StoreBusy
from connector.store.engine.database import Database
from connector.store.queries import desk
from connector.web.answers import API_HEADERS, Refused, busy, refusal
from connector.web.body import read_body
from connector.web.pages.page import new_nonce, page, page_headers

#: Four times what a template may render, as JSON may write a character with six.
_MAX_BODY = 256 * 1024

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="desk"'}
_URL_SCHEMES = {"http", "https", "mailto", "tel", "sip"}

_page_template = page("desk_ticket.html")


def clean(html: str) -> str:
    """HTML without scripts, styles, forms, frames, comments and images: what a ticket's words may carry."""
    return nh3.clean(html, url_schemes=_URL_SCHEMES, tags=nh3.ALLOWED_TAGS - {"img", "area", "map"})


def _without_nul(text: str) -> str:
    return text.replace("\0", "")  # PostgreSQL stores every character but this


Line = Annotated[str, StringConstraints(max_length=255), AfterValidator(_without_nul)]
Reference = Annotated[str, StringConstraints(min_length=1, max_length=255), AfterValidator(_without_nul)]
Html = Annotated[str, StringConstraints(max_length=128 * 1024), AfterValidator(_without_nul), AfterValidator(clean)]
Fields = Annotated[dict[Line, Annotated[str, StringConstraints(max_length=8192)]], Field(max_length=100)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class NewContact(_Body):
    """Body of `POST contacts`."""

    external_ref: Reference
    name: Line
    phone: Line


class NewTicket(_Body):
    """Body of `POST tickets`."""

    external_ref: Reference
    contact_id: int
    subject: Line = ""
    body_html: Html = ""
    state: desk.State = "open"
    assignee: Line | None = None
    fields: Fields = Field(default_factory=dict)


class TicketChange(_Body):
    """Body of `PUT tickets/{id}`: what is left out stays. With `if_subject`, so does a ticket of another subject."""

    if_subject: str | None = None
    subject: Line = ""
    body_html: Html = ""
    state: desk.State = "open"
    assignee: Line | None = None
    fields: Fields = Field(default_factory=dict)


class NewNote(_Body):
    """Body of `POST tickets/{id}/notes`."""

    external_ref: Reference
    body_html: Html = ""
    private: bool = True
    author: Line | None = None


class NoteChange(_Body):
    """Body of `PUT notes/{id}`: what is left out stays."""

    body_html: Html = ""
    private: bool = True
    author: Line | None = None


B = TypeVar("B", bound=_Body)


def add_desk(
    app: web.Application,
    *,
    db: Callable[[], Database],
    authenticate: Callable[[str], str | None],
    sign: Callable[[str], str],
    public_url: Callable[[], str],
    number_shown: Callable[[str, str], str] = lambda _connection_id, phone: phone,
) -> None:
    """Adds the desk's routes to `app`.

    `authenticate`: bearer token -> id of its connection, or None, in constant time. `sign`: a keyed hash, hex, of at
    least 32 digits. `public_url`: where people reach this service, without a slash at the end. `number_shown`: a
    contact's number as the people of this connection see it.
    """
    pages = DeskHandlers(db, authenticate, sign, public_url, number_shown)
    api = pages.guarded
    app.router.add_get("/desk/v1/account", api(pages.account))
    app.router.add_get("/desk/v1/agents", api(pages.agents))
    app.router.add_get("/desk/v1/contacts", api(pages.find_contacts))
    app.router.add_post("/desk/v1/contacts", api(pages.create_contact))
    app.router.add_get("/desk/v1/tickets", api(pages.find_tickets))
    app.router.add_post("/desk/v1/tickets", api(pages.create_ticket))
    app.router.add_get(r"/desk/v1/tickets/{id:\d{1,18}}", api(pages.get_ticket))
    app.router.add_put(r"/desk/v1/tickets/{id:\d{1,18}}", api(pages.change_ticket))
    app.router.add_get(r"/desk/v1/tickets/{id:\d{1,18}}/notes", api(pages.find_notes))
    app.router.add_post(r"/desk/v1/tickets/{id:\d{1,18}}/notes", api(pages.add_note))
    app.router.add_put(r"/desk/v1/notes/{id:\d{1,18}}", api(pages.change_note))
    app.router.add_get(r"/desk/tickets/{id:\d{1,18}}", pages.page)


class DeskHandlers:
    """The desk's handlers."""

    def __init__(
        self,
        db: Callable[[], Database],
        authenticate: Callable[[str], str | None],
        sign: Callable[[str], str],
        public_url: Callable[[], str],
        number_shown: Callable[[str, str], str],
    ) -> None:
        self._number_shown = number_shown
        self._db = db
        self._authenticate = authenticate
        self._sign = sign
        self._public_url = public_url

    def guarded(
        self, handler: Callable[[web.Request, str], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        """A route's handler that knows its connection, and whose refusals are JSON."""

        async def answer(request: web.Request) -> web.Response:
            scheme, _, token = request.headers.get("Authorization", "").partition(" ")
            connection_id = self._authenticate(token.strip()) if scheme.lower() == "bearer" else None
            try:
                if connection_id is None:
                    raise Refused(
                        "unauthorized", "The desk wants the bearer token of a connection.", headers=_CHALLENGE
                    )
                return await handler(request, connection_id)
            except IngressError as error:
                return refusal(error)
            except StoreBusy as error:
                return busy(error)

        return answer

    async def account(self, _request: web.Request, connection_id: str) -> web.Response:
        """Proves the token."""
        return _json({"name": "Local desk", "connection": connection_id})

    async def agents(self, _request: web.Request, connection_id: str) -> web.Response:
        """The connection's agents: the desk has no users besides."""
        users = await self._db().read(desk.users, connection_id)
        return _json({"agents": [{"id": user.id, "name": user.name, "email": user.email} for user in users]})

    async def find_contacts(self, request: web.Request, connection_id: str) -> web.Response:
        """By `external_ref`, or by `phone` (repeatable, any of them)."""
        if (ref := request.query.get("external_ref")) is not None:
            known = await self._db().read(desk.find_contact, connection_id, ref)
            return _json({"contacts": [_contact(known)] if known else []})
        phones = request.query.getall("phone", [])
        if not phones:
            raise Refused("invalid", "Give external_ref or phone.", "phone")
        found = await self._db().read(desk.find_contacts, connection_id, phones[:20])
        return _json({"contacts": [_contact(contact) for contact in found]})

    async def create_contact(self, request: web.Request, connection_id: str) -> web.Response:
        """Makes a contact, or gives back the one of this `external_ref`."""
        body = await _read(request, NewContact)
        row = (connection_id, body.external_ref, body.name, body.phone, time.time())
        contact, made = await self._db().write(desk.create_contact, row)
        return _json(_contact(contact), 201 if made else 200)

    async def find_tickets(self, request: web.Request, connection_id: str) -> web.Response:
        """By `external_ref`, or by `contact_id` and, where wanted, `state`; newest first."""
        if (ref := request.query.get("external_ref")) is not None:
            known = await self._db().read(desk.find_ticket, connection_id, ref)
            return _json({"tickets": [self._ticket(known)] if known else []})
        contact_id, state = request.query.get("contact_id", ""), request.query.get("state")
        if not _is_id(contact_id):
            raise Refused("invalid", "Give external_ref, or a contact's id.", "contact_id")
        if state not in (None, "open", "closed"):
            raise Refused("invalid", "A ticket is open or closed.", "state")
        found = await self._db().read(desk.tickets_of, connection_id, int(contact_id), state)
        return _json({"tickets": [self._ticket(ticket) for ticket in found]})

    async def create_ticket(self, request: web.Request, connection_id: str) -> web.Response:
        """Makes a ticket, or gives back the one of this `external_ref`."""
        body = await _read(request, NewTicket)
        found = await self._db().write(desk.create_ticket, (connection_id, _values(body), time.time()))
        if found is None:
            raise Refused("invalid", "There is no such contact.", "contact_id", status=422)
        ticket, made = found
        return _json(self._ticket(ticket), 201 if made else 200)

    async def get_ticket(self, request: web.Request, connection_id: str) -> web.Response:
        """One ticket."""
        ticket = await self._db().read(desk.get_ticket, connection_id, _id(request))
        return _json(self._ticket(_there(ticket, "ticket")))

    async def change_ticket(self, request: web.Request, connection_id: str) -> web.Response:
        """Changes a ticket; answers with it as it is then."""
        body = await _read(request, TicketChange)
        values = _values(body, given_only=True)
        if_subject = values.pop("if_subject", None)
        row = (connection_id, _id(request), values, if_subject, time.time())
        ticket = await self._db().write(desk.change_ticket, row)
        return _json(self._ticket(_there(ticket, "ticket")))

    async def find_notes(self, request: web.Request, connection_id: str) -> web.Response:
        """A ticket's notes, oldest first, or the one of this `external_ref`."""
        ref = request.query.get("external_ref")
        notes = await self._db().read(desk.notes_of, connection_id, _id(request), ref)
        return _json({"notes": [_note(note) for note in _there(notes, "ticket")]})

    async def add_note(self, request: web.Request, connection_id: str) -> web.Response:
        """Adds a note, or gives back the one of this `external_ref`."""
        body = await _read(request, NewNote)
        row = (connection_id, _id(request), _values(body), time.time())
        found = await self._db().write(desk.add_note, row)
        note, made = _there(found, "ticket")
        return _json(_note(note), 201 if made else 200)

    async def change_note(self, request: web.Request, connection_id: str) -> web.Response:
        """Changes a note."""
        body = await _read(request, NoteChange)
        row = (connection_id, _id(request), _values(body, given_only=True), time.time())
        note = await self._db().write(desk.change_note, row)
        return _json(_note(_there(note, "note")))

    async def page(self, request: web.Request) -> web.Response:
        """A ticket for people, by its signed link; a wrong signature is told nothing."""
        id_ = _id(request)
        if not hmac.compare_digest(request.query.get("key", "").encode(), self._signature(id_).encode()):
            raise web.HTTPNotFound
        found = await self._db().read(desk.page, id_)
        if found is None:
            raise web.HTTPNotFound
        phone = self._number_shown(found.ticket.connection_id, found.contact.phone)
        found = replace(found, contact=replace(found.contact, phone=phone))
        nonce = new_nonce()
        html = _page_template.render(page=found, nonce=nonce, clean=_shown, when=_when)
        return web.Response(text=html, content_type="text/html", headers=page_headers(nonce))

    def _ticket(self, ticket: desk.Ticket) -> dict[str, Any]:
        return {
            "id": ticket.id,
            "contact_id": ticket.contact_id,
            "external_ref": ticket.external_ref,
            "subject": ticket.subject,
            "body_html": ticket.body,
            "state": ticket.state,
            "assignee": ticket.assignee,
            "fields": ticket.fields,
            "created_at": ticket.created_at,
            "updated_at": ticket.updated_at,
            "url": f"{self._public_url()}/desk/tickets/{ticket.id}?key={self._signature(ticket.id)}",
        }

    def _signature(self, id_: int) -> str:
        return self._sign(f"desk-ticket:{id_}")[:32]


def _contact(contact: desk.Contact) -> dict[str, Any]:
    return {
        "id": contact.id,
        "name": contact.name,
        "phone": contact.phone,
        "external_ref": contact.external_ref,
        "updated_at": contact.updated_at,
    }


def _note(note: desk.Note) -> dict[str, Any]:
    return {
        "id": note.id,
        "ticket_id": note.ticket_id,
        "external_ref": note.external_ref,
        "body_html": note.body,
        "private": note.private,
        "author": note.author,
        "created_at": note.created_at,
        "updated_at": note.updated_at,
    }


async def _read(request: web.Request, model: type[B]) -> B:
    raw = await read_body(request, _MAX_BODY)
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        if not field:
            raise Refused("unreadable", f"The body is not what is wanted: {first['msg']}") from None
        raise Refused("invalid", first["msg"], field, status=422) from None


def _values(body: _Body, *, given_only: bool = False) -> dict[str, Any]:
    values = body.model_dump(exclude_unset=given_only)
    if "body_html" in values:
        values["body"] = values.pop("body_html")
    return values


_T = TypeVar("_T")


def _there(found: _T | None, what: str) -> _T:
    if found is None:
        raise Refused("not_found", f"There is no such {what}.")
    return found


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18


def _id(request: web.Request) -> int:
    return int(request.match_info["id"])


def _json(body: Any, status: int = 200) -> web.Response:
    raw = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return web.Response(body=raw, status=status, headers=API_HEADERS, content_type="application/json", charset="utf-8")


def _shown(html: str) -> Markup:
    return Markup(clean(html))  # noqa: S704 - cleaned


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
