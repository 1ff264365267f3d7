"""What people do in Freshdesk, as requests to the stand-in, beside those of `connector.kit.standin`.

| request | does |
| --- | --- |
| `POST /_standin/contacts` | adds a contact as a person would have long ago: search sees it at once |
| `PUT /_standin/tickets/{id}` | changes a ticket as a person would: any field, `deleted` too |
"""

from aiohttp import web
from standins.freshdesk.state import Account


def people_routes(account: Account) -> list[web.RouteDef]:
    """The routes of the table above."""

    async def add_contact(request: web.Request) -> web.Response:
        return web.json_response(account.add_contact(await request.json(), indexed=True), status=201)

    async def change_ticket(request: web.Request) -> web.Response:
        ticket = account.tickets.get(int(request.match_info["id"]))
        if ticket is None:
            return web.json_response({"error": "no such ticket"}, status=404)
        account.change_ticket(ticket, await request.json())
        return web.json_response(ticket)

    return [
        web.post("/_standin/contacts", add_contact),
        web.put(r"/_standin/tickets/{id:\d+}", change_ticket),
    ]
