"""What people do in Freshchat, as requests to the stand-in, beside those of `connector.kit.standin`.

| request | does |
| --- | --- |
| `POST /_standin/users` | adds a user who has been there for long: the list shows him at once |
| `PUT /_standin/conversations/{id}` | changes a conversation as a person would: `status`, `assigned_agent_id` |
"""

from aiohttp import web
from standins.freshchat.state import Account


def people_routes(account: Account) -> list[web.RouteDef]:
    """The routes of the table above."""

    async def add_user(request: web.Request) -> web.Response:
        return web.json_response(account.add_user(await request.json(), indexed=True), status=201)

    async def change_conversation(request: web.Request) -> web.Response:
        row = account.conversations.get(request.match_info["id"])
        if row is None:
            return web.json_response({"error": "no such conversation"}, status=404)
        row.update(await request.json())
        return web.json_response(row)

    return [
        web.post("/_standin/users", add_user),
        web.put("/_standin/conversations/{id}", change_conversation),
    ]
