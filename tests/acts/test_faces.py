"""The same wish through both faces, against a running service: the same words of refusal, the same trail."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from connector.app import DATABASE
from tests.calls.placed import Placed, Run, commands_beside, placed
from tests.calls.test_agents_and_devices import device, user
from tests.pipeline.world import CALLER, SID

#: What is asked for: as a command, and as a request (method, path, query or body); how both refuse it: exit code, code.
REFUSED: tuple[tuple[str, tuple[str, str, dict[str, Any]], int, str], ...] = (
    ("calls --tenant nobody", ("GET", "calls", {"tenant": "nobody"}), 2, "not_found"),
    ("deliveries --tenant nobody", ("GET", "deliveries", {"tenant": "nobody"}), 2, "not_found"),
    (f"replay --tenant {SID} --call-sid c1", ("POST", "replay", {"tenant": SID, "call_sid": "c1"}), 2, "not_found"),
    (
        "replay --tenant nobody --call-sid c1",
        ("POST", "replay", {"tenant": "nobody", "call_sid": "c1"}),
        2,
        "not_found",
    ),
    (
        f"replay --tenant {SID} --call-sid c1 --connection off",
        ("POST", "replay", {"tenant": SID, "call_sid": "c1", "connection": "off"}),
        2,
        "unknown_connection",
    ),
    ("recordings nobody", ("GET", "recordings", {"tenant": "nobody"}), 2, "not_found"),
    (f"recordings {SID} --revoke c1", ("DELETE", "recordings/c1", {"tenant": SID}), 2, "not_found"),
    ("statement nobody", ("GET", "statement", {"tenant": "nobody"}), 2, "not_found"),
    ("agents nobody", ("GET", "agents", {"tenant": "nobody"}), 2, "not_found"),
    (f"agents {SID} --connection x", ("GET", "agents", {"tenant": SID, "connection": "x"}), 2, "unknown_connection"),
    (
        f"agents {SID} --connection off --sync",
        ("POST", "agents/sync", {"tenant": SID, "connection": "off"}),
        2,
        "unknown_connection",
    ),
    (f"device {SID} nobody@x.example on", ("PUT", "devices", {"agent": "nobody@x.example"}), 1, "unknown_agent"),
    (f"device {SID} two@acme.example on", ("PUT", "devices", {"agent": "two@acme.example"}), 1, "device_unverified"),
    (f"device {SID} three@acme.example on", ("PUT", "devices", {"agent": "three@acme.example"}), 1, "unknown_device"),
    (f"call {SID} nobody {CALLER} --connection support", ("POST", "calls", {"agent": "nobody"}), 1, "unknown_agent"),
    (f"call {SID} agent 12 --connection support", ("POST", "calls", {"number": "12"}), 1, "invalid_number"),
    (f"call {SID} agent {CALLER} --connection x", ("POST", "calls", {"connection": "x"}), 2, "unknown_connection"),
    (f"call {SID} agent {CALLER} --connection off", ("POST", "calls", {"connection": "off"}), 2, "unknown_connection"),
)
#: What requests of a kind have in common.
USUAL: dict[tuple[str, str], dict[str, Any]] = {
    ("PUT", "devices"): {"tenant": SID, "on": True},
    ("POST", "calls"): {"tenant": SID, "connection": "support", "agent": "agent", "number": CALLER},
}


@pytest.fixture
async def p(tmp_path: Path) -> AsyncIterator[Placed]:
    async with placed(tmp_path) as made:
        made.exotel.users = [
            user("u1", "avnish@acme.example", device(1, "+919711581199", on=True)),
            user("u2", "two@acme.example", device(3, "+919711500002", verified=False)),
            user("u3", "three@acme.example"),
        ]
        await made.apply({"tenants": [{"sid": SID, "connections": [OFF]}]})
        yield made


OFF = {"name": "off", "adapter": "local", "enabled": False}


@pytest.fixture
def run(p: Placed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return commands_beside(p, monkeypatch, capsys)


async def ask(p: Placed, method: str, path: str, asked: dict[str, Any]) -> tuple[int, Any]:
    asked = {**USUAL.get((method, path), {}), **asked}
    if method in ("POST", "PUT"):
        return await p.ask(method, f"/api/v1/{path}", asked)
    return await p.ask(method, f"/api/v1/{path}?" + "&".join(f"{name}={value}" for name, value in asked.items()))


async def test_a_refusal_has_the_same_words_in_both(p: Placed, run: Run) -> None:
    for command, request, exit_code, code in REFUSED:
        status, body = await ask(p, *request)
        assert (status >= 400, body.get("error", {}).get("code")) == (True, code), command
        assert await run(*command.split()) == (exit_code, "", f"connector: {body['error']['message']}\n"), command


async def test_both_leave_the_same_trail(p: Placed, run: Run, tmp_path: Path) -> None:
    status, body = await p.place()
    assert status == 202
    await p.done(body["id"])
    sid = body["call_sid"]
    file = tmp_path / "agents.csv"
    for number, (command, request) in enumerate(
        (
            (f"replay --tenant {SID} --call-sid {sid}", ("POST", "replay", {"tenant": SID, "call_sid": sid})),
            (
                f"agents {SID} --connection support --import {file}",
                ("PUT", "agents", {"tenant": SID, "connection": "support", "agents": [{"crm_id": "7", "name": "A"}]}),
            ),
            (
                f"device {SID} avnish@acme.example off",
                ("PUT", "devices", {"agent": "avnish@acme.example", "on": False}),
            ),
        )
    ):
        file.write_text("crm_id,name\n7,B\n")
        await asyncio.to_thread(p.app[DATABASE].transact, lambda sql: sql.execute(text("delete from audit")))
        status, body = await ask(p, *request)
        assert status == 200, body
        assert (await run(*command.split()))[0] == 0
        api, cli = await p.rows("select who, what, tenant_id, detail from audit order by id")
        assert (api.pop("who").partition(":")[0], cli.pop("who")) == ("api", "cli")
        if number == 1:  # the first hand added the agent that the second one changed
            del api["detail"], cli["detail"]
        assert api == cli
