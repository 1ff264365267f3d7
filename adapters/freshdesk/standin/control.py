"""`/_standin/`: how tests and the demo drive a stand-in that runs as its own process.

| request | does |
| --- | --- |
| `GET /_standin/state` | counts of requests, answers, records and dealt faults |
| `GET /_standin/dump` | every contact, and every ticket with its `conversations` |
| `PUT /_standin/faults` | changes `connector.kit.faults.Faults` by field name |
| `PUT /_standin/account` | changes `search_lag_s`, `exists`, `keys`, `custom_fields`, `limits` (null: none) |
| `POST /_standin/contacts` | adds a contact as a person would have long ago: search sees it at once |
| `PUT /_standin/tickets/{id}` | changes a ticket as a person would: any field, `deleted` too |
"""

from typing import Any

from aiohttp import web

from adapters.freshdesk.standin.state import Account, Limits
from connector.kit.faults import Faults


def control_routes(account: Account, faults: Faults) -> list[web.RouteDef]:
    """The routes of the table above."""

    async def state(request: web.Request) -> web.Response:
        deleted = sum(bool(ticket.get("deleted")) for ticket in account.tickets.values())
        records = {
            "contacts": len(account.contacts),
            "tickets": len(account.tickets),
            "deleted_tickets": deleted,
            "notes": len(account.notes),
        }
        return web.json_response(
            {
                "requests": account.requests,
                "answers": {str(status): count for status, count in account.answers.items()},
                "records": records,
                "faults": faults.dealt,
            }
        )

    async def dump(request: web.Request) -> web.Response:
        tickets = [{**ticket, "conversations": account.conversations[id_]} for id_, ticket in account.tickets.items()]
        return web.json_response({"contacts": list(account.contacts.values()), "tickets": tickets})

    async def change_faults(request: web.Request) -> web.Response:
        try:
            faults.change(await request.json())
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"odds": faults.odds, "script": list(faults.script), "only": faults.only})

    async def change_account(request: web.Request) -> web.Response:
        values: dict[str, Any] = await request.json()
        unknown = values.keys() - {"search_lag_s", "exists", "keys", "custom_fields", "limits"}
        if unknown:
            return web.json_response({"error": f"cannot be changed: {', '.join(sorted(unknown))}"}, status=400)
        for name, value in values.items():
            setattr(account, name, Limits(**value) if name == "limits" and value is not None else value)
        return web.json_response({"changed": sorted(values)})

    async def add_contact(request: web.Request) -> web.Response:
        return web.json_response(account.add_contact(await request.json(), indexed=True), status=201)

    async def change_ticket(request: web.Request) -> web.Response:
        ticket = account.tickets.get(int(request.match_info["id"]))
        if ticket is None:
            return web.json_response({"error": "no such ticket"}, status=404)
        account.change_ticket(ticket, await request.json())
        return web.json_response(ticket)

    return [
        web.get("/_standin/state", state),
        web.get("/_standin/dump", dump),
        web.put("/_standin/faults", change_faults),
        web.put("/_standin/account", change_account),
        web.post("/_standin/contacts", add_contact),
        web.put(r"/_standin/tickets/{id:\d+}", change_ticket),
    ]
