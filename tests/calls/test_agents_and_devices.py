"""Agents and their phones by API and by command, against a running service and a stand-in of Exotel."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.calls.placed import CALLED, RUNG, Placed, Run, commands_beside, placed
from tests.pipeline.world import CALLER, SID


def device(id_: int, uri: str, *, on: bool = False, verified: bool = True) -> dict[str, Any]:
    kind = "sip" if uri.startswith("sip:") else "tel"
    return {
        "id": id_, "name": f"{kind} {id_}", "contact_uri": uri, "type": kind, "available": on, "verified": verified,
        "status": "free",
    }  # fmt: skip


def user(id_: str, email: str, *devices: dict[str, Any]) -> dict[str, Any]:
    names = {"first_name": email.partition("@")[0], "last_name": "", "role": "user", "active_call": None}
    return {"id": id_, "email": email, **names, "devices": list(devices)}


@pytest.fixture
async def p(tmp_path: Path) -> AsyncIterator[Placed]:
    async with placed(tmp_path, crm_id=None) as made:
        made.exotel.users = [
            user("u1", "avnish@acme.example", device(1, RUNG, on=True), device(2, "sip:avnish")),
            user("u2", "two@acme.example", device(3, "+919711500002", verified=False)),
            user("u3", "three@acme.example"),
        ]
        yield made


@pytest.fixture
def run(p: Placed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return commands_beside(p, monkeypatch, capsys)


def states(p: Placed) -> dict[int, bool]:
    return {one["id"]: one["available"] for person in p.exotel.users for one in person["devices"]}


class TestDevices:
    async def test_one_is_on_at_a_time(self, p: Placed) -> None:
        path = f"/api/v1/devices?tenant={SID}&agent="
        status, body = await p.ask("GET", path + "Avnish@acme.example")
        assert status == 200
        assert [(one["number"], one["on"]) for one in body["devices"]] == [(RUNG, True), ("sip:avnish", False)]
        wish = {"tenant": SID, "agent": "09711581199", "on": True, "device": "sip"}
        status, body = await p.ask("PUT", "/api/v1/devices", wish)
        assert status == 200
        assert [one["on"] for one in body["devices"]] == [False, True]
        assert states(p) == {1: False, 2: True, 3: False}
        status, body = await p.ask(
            "PUT", "/api/v1/devices", {"tenant": SID, "agent": "avnish@acme.example", "on": False}
        )
        assert status == 200
        assert not any(states(p).values())
        assert [one["on"] for one in body["devices"]] == [False, False]

    async def test_refusals_say_what_to_do(self, p: Placed) -> None:
        async def set_(agent: str, **more: Any) -> tuple[int, str, str | None, str]:
            status, body = await p.ask("PUT", "/api/v1/devices", {"tenant": SID, "agent": agent, "on": True, **more})
            error = body["error"]
            return status, error["code"], error["field"], error["message"]

        found = await set_("two@acme.example")
        assert found[:3] == (400, "device_unverified", "device")
        assert "verif" in found[3]
        assert (await set_("three@acme.example"))[:3] == (404, "unknown_device", "device")
        assert (await set_("nobody@acme.example"))[:3] == (400, "unknown_agent", "agent")
        several = await set_("avnish@acme.example")
        assert several[:3] == (400, "ambiguous_device", "device")
        assert "tel 1 (tel), sip 2 (sip)" in several[3]
        p.exotel.api_token = "rotated"
        assert (await set_("two@acme.example"))[:2] == (422, "exotel_credentials")
        p.exotel_faults.odds = {"error_before": 1.0}
        assert (await set_("two@acme.example"))[0] in (422, 503)
        assert states(p) == {1: True, 2: False, 3: False}

    async def test_the_command(self, p: Placed, run: Run) -> None:
        code, out, _ = await run("device", SID, "avnish@acme.example", "on", "--device", "sip")
        assert code == 0
        assert states(p) == {1: False, 2: True, 3: False}
        assert "sip 2" in out
        code, out, _ = await run("device", SID, "avnish@acme.example", "off", "--json")
        assert [json.loads(line)["state"] for line in out.splitlines()] == ["off", "off"]
        code, out, err = await run("device", SID, "two@acme.example", "on")
        assert (code, out) == (1, "")
        assert "verif" in err
        assert (await run("device", SID, "avnish@acme.example", "up"))[0] == 2


class TestAgents:
    async def test_a_sync_matches_both_sides(self, p: Placed, run: Run) -> None:
        code, out, _ = await run("agents", SID, "--sync", "--json")
        lines = {line["crm_id"]: line for line in map(json.loads, out.splitlines())}
        assert [line["result"] for line in lines.values()].count("kept") == 1, "the file's agent is the file's"
        refused = [line for line in lines.values() if line["result"] == "refused"]
        assert (code, bool(refused)) == (1, True), lines
        assert all("no user of Exotel has the e-mail" in line["reason"] for line in refused)
        names = {line["reason"].rpartition(" ")[2] for line in refused}
        p.exotel.users += [
            user(f"v{place}", email, device(10 + place, f"+91971150010{place}"))
            for place, email in enumerate(sorted(names))
        ]
        code, out, _ = await run("agents", SID, "--sync")
        assert code == 0, out
        assert out.count("added") == len(refused)
        _, body = await p.ask("GET", f"/api/v1/agents?tenant={SID}")
        synced = [agent for agent in body["agents"] if agent["origin"] == "sync"]
        phones = {agent["email"]: agent["phone"] for agent in synced}
        assert {phones[email] for email in names} == {f"+91971150010{place}" for place in range(len(names))}
        assert len(synced) > len(refused), "who has a number in the CRM needs no user at Exotel"
        assert (await run("agents", SID, "--sync"))[1].count("unchanged") == len(synced)

    async def test_a_sync_by_the_api(self, p: Placed) -> None:
        status, body = await p.ask("POST", "/api/v1/agents/sync", {"tenant": SID, "connection": "support"})
        assert status == 200
        assert body["refused"] == sum(line["result"] == "refused" for line in body["lines"]) > 0
        assert {line["connection"] for line in body["lines"]} == {"support"}
        p.crm.keys = {"another": "admin"}
        status, body = await p.ask("POST", "/api/v1/agents/sync", {"tenant": SID})
        assert (status, body["error"]["code"], body["error"]["field"]) == (422, "crm_credentials", "connection")
        p.exotel.api_token = "rotated"
        status, body = await p.ask("POST", "/api/v1/agents/sync", {"tenant": SID})
        assert (status, body["error"]["code"]) == (422, "exotel_credentials")

    async def test_export_edit_import(self, p: Placed, run: Run, tmp_path: Path) -> None:
        agents = [{"crm_id": "7", "name": "Seven", "phone": "09711500007"}]
        status, body = await p.ask("PUT", f"/api/v1/agents?tenant={SID}&connection=support", {"agents": agents})
        assert (status, body) == (200, {"refused": 0, "lines": [{"crm_id": "7", "result": "added", "reason": None}]})
        code, out, _ = await run("agents", SID, "--export")
        assert code == 0
        file = tmp_path / "agents.csv"
        file.write_text(
            out.replace("09711500007", "x").replace("Seven,,+919711500007,,false", "Seven,,+919711500007,,true")
        )
        code, out, _ = await run("agents", SID, "--import", str(file))
        assert code == 1, "the file's agent is in the list, and refused"
        assert "the tenant file names this agent" in out

        async def seen() -> bool:
            status, _ = await p.place(agent="7")
            return bool(status == 202)

        await p.until(seen)
        assert p.exotel.connects[0]["From"] == "+919711500007"

    async def test_wrong_use(self, run: Run, tmp_path: Path) -> None:
        for arguments in (
            ("agents",),
            ("agents", SID, "--sync", "--export"),
            ("agents", SID, "--import", str(tmp_path / "nothing.csv")),
            ("agents", "nobody1"),
            ("agents", SID, "--connection", "other"),
        ):
            code, out, err = await run(*arguments)
            assert (code, out, err.count("\n")) == (2, "", 1), (arguments, err)

    async def test_what_the_api_refuses(self, p: Placed) -> None:
        for path, body, field in (
            (f"/api/v1/agents?tenant={SID}", {"agents": []}, "connection"),
            (f"/api/v1/agents?tenant={SID}&connection=other", {"agents": []}, "connection"),
            (f"/api/v1/agents?tenant={SID}&connection=support&colour=red", {"agents": []}, "colour"),
            (
                f"/api/v1/agents?tenant={SID}&connection=support",
                {"agents": [{"crm_id": "1", "fone": "2"}]},
                "agents.0.fone",
            ),
        ):
            status, answer = await p.ask("PUT", path, body)
            assert (status, answer["error"]["field"]) == (400, field)


@pytest.mark.usefixtures("both_databases")
class TestTheCommandCall:
    async def test_it_rings_beside_the_service(self, p: Placed, run: Run) -> None:
        code, out, err = await run("call", SID, "avnish@acme.example", CALLER, "--custom-field", "order 7", "--json")
        assert code == 0, err
        told = json.loads(out)
        assert told["state"] == "placed"
        assert (p.exotel.connects[0]["From"], p.exotel.connects[0]["To"]) == (RUNG, CALLED)
        found = await p.done(told["id"])
        assert (found["call_sid"], found["call"]["custom_field"]) == (told["call_sid"], "order 7")
        assert len(p.crm.tickets) == 1
        audit = await p.rows("select who, what from audit where what = 'call'")
        assert audit == [{"who": "cli", "what": "call"}]

    async def test_unsure_is_said_and_found_by_the_service(self, p: Placed, run: Run) -> None:
        p.exotel_faults.script.append("error_after")
        arguments = ("call", SID, "avnish@acme.example", CALLER, "--idempotency-key", "k1")
        code, out, _ = await run(*arguments)
        assert code == 0
        assert "Exotel did not say" in out
        (row,) = await p.rows("select token from placement")
        await p.done(row["token"])
        code, out, _ = await run(*arguments, "--json")
        assert json.loads(out)["state"] == "placed"
        assert len(p.exotel.connects) == 1

    async def test_refused(self, p: Placed, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        code, out, err = await run("call", SID, "nobody", CALLER)
        assert (code, out) == (1, "")
        assert "No agent of support" in err
        assert (await run("call", SID, "avnish@acme.example"))[0] == 2
        monkeypatch.delenv("CONNECTOR_PUBLIC_URL")
        code, _, err = await run("call", SID, "avnish@acme.example", CALLER)
        assert code == 1
        assert "CONNECTOR_PUBLIC_URL" in err
        assert p.exotel.connects == []
