"""The whole application on a fresh SQLite file: a hook becomes a ticket, and the API tells of it."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from connector.app import BOX, DATABASE, HOME, create_app
from connector.config import Config
from connector.errors import ConfigError
from connector.tenants.apply import apply_file
from tests.web.stubs import HOOK, SID, Client, client_of, raw_request

TENANT = f"""
tenants:
  - sid: exotel535
    api_key: demo_key
    api_token: demo_token
    hook_token: {HOOK}
    connections:
      - {{name: support, adapter: local, settings: {{}}}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(database_url=f"sqlite:///{tmp_path / 'app.db'}")


@pytest.fixture
async def served(config: Config, tmp_path: Path) -> AsyncIterator[Client]:
    app = create_app(config)
    async with client_of(app) as client:
        file = tmp_path / "tenants.yaml"
        file.write_text(TENANT)
        await asyncio.to_thread(apply_file, file, app[DATABASE], app[BOX], os.environ)
        yield client


def operator(config: Config) -> dict[str, str]:
    file = config.beside("token")
    assert file is not None
    assert file.stat().st_mode & 0o777 == 0o600
    return {"Authorization": f"Bearer {file.read_text().strip()}"}


async def call_when_done(client: Client, headers: dict[str, str]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for _ in range(100):
        async with client.get(f"/api/v1/calls/{SID}", params={"tenant": "exotel535"}, headers=headers) as answer:
            body = await answer.json()
        if any(delivery["state"] == "done" for delivery in body.get("deliveries", [])):
            return body
        await asyncio.sleep(0.1)
    raise AssertionError(body)


async def test_from_hook_to_ticket(served: Client, config: Config) -> None:
    url = f"/h/{HOOK}/missed?CallSid={SID}&CallFrom=09711581199&CallTo=08047494574&CallType=incomplete"
    async with served.get(url) as answer:
        assert answer.status == 200
    body = await call_when_done(served, operator(config))
    assert body["call"]["outcome"] == "missed"
    tickets = [record for record in body["records"] if record["slot"] == "ticket"]
    assert [ticket["connection"] for ticket in tickets] == ["support"]
    async with served.session.get(tickets[0]["url"]) as page:
        assert page.status == 200
        assert "Missed call from 09711581199" in await page.text()


async def test_the_desk_takes_its_own_tokens_only(served: Client, config: Config) -> None:
    for headers in ({}, operator(config), {"Authorization": f"Bearer {HOOK}"}):
        async with served.get("/desk/v1/account", headers=headers) as answer:
            assert answer.status == 401


async def test_what_is_common_to_all_answers(served: Client) -> None:
    async with served.get("/nothing/here", allow_redirects=False) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (404, "not_found")
    async with served.delete("/readyz") as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (405, "method_not_allowed")
    async with served.get("/readyz") as answer:
        assert answer.status == 200


async def test_a_long_query_is_refused_with_a_word_of_why(served: Client) -> None:
    answer = await raw_request(served, b"GET /h/%b/pop?%b HTTP/1.1\r\nHost: a\r\n\r\n" % (HOOK.encode(), b"x" * 70_000))
    assert b" 413 " in answer
    assert b"too_large" in answer


async def test_starts_again_on_its_own_store(config: Config) -> None:
    tokens = []
    for _ in range(2):
        async with client_of(create_app(config)) as client, client.get("/readyz") as answer:
            assert answer.status == 200
            tokens.append(operator(config))
    assert tokens[0] == tokens[1]


async def test_a_wrong_key_refuses_to_start(config: Config) -> None:
    async with client_of(create_app(config)):
        pass
    key = config.beside("key")
    assert key is not None
    key.write_text("A" * 43 + "=\n")
    runner = web.AppRunner(create_app(config))
    with pytest.raises(ConfigError):
        await runner.setup()
    await runner.cleanup()


async def test_where_it_is_reached(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'home.db'}"
    app = create_app(Config(database_url=url, port=0))
    async with client_of(app) as client:
        await client.get("/healthz")
        assert app[HOME].url == app[HOME].public_url == f"http://127.0.0.1:{client.port}"
    home = create_app(Config(database_url=url, public_url="https://calls.example.com"))[HOME]
    home.bound_to("0.0.0.0", 9000)
    assert (home.url, home.public_url) == ("http://127.0.0.1:9000", "https://calls.example.com")
    home.bound_to("::", 9000)
    assert home.url == "http://[::1]:9000"


async def test_what_was_keyed_in_a_gather_is_an_event_where_no_applet_asks(served: Client, config: Config) -> None:
    keyed = {"CallSid": SID, "CallFrom": "08884643606", "CallTo": "08047494574", "Direction": "incoming"}
    for told in ({"digits": '"15246"', "gather_tag_1": "order"}, {}):
        async with served.get(f"/h/{HOOK}/gather", params={**keyed, **told}) as answer:
            assert answer.status == 200
    async with served.get(f"/api/v1/calls/{SID}", params={"tenant": "exotel535"}, headers=operator(config)) as answer:
        assert [event["kind"] for event in (await answer.json())["events"]] == ["gather", "gather"]
