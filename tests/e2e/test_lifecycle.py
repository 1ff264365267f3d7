"""Stopping, restarting, configuring and copying a service at work: no caller refused, nothing lost, nothing doubled."""

import asyncio
import shutil
import signal
import socket
import sqlite3
import sys
import time
from base64 import b64encode
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from tests.e2e.service import API_KEY, SID, Service, answered, both, caller, hook_token, missed, tenant

#: The service looks each second; a machine that has other things to do takes longer.
SEEN_WITHIN_S = 3.0


def held(served: Service) -> int:
    """Deliveries that a process which is gone holds claimed."""
    with closing(sqlite3.connect(served.database)) as store:
        (count,) = store.execute("select count(*) from delivery where owner is not null").fetchone()
    return int(count)


async def test_sigterm_in_the_midst_of_work_loses_nothing(tmp_path: Path) -> None:
    async with both(tmp_path, "--latency-ms", "50") as (served, crm):
        await served.start()
        calls = {f"call{number}": caller(number % 50) for number in range(300)}
        statuses: dict[str, int] = {}

        async def send(call_sid: str) -> None:
            statuses[call_sid] = await served.hook("automated_answered", answered(call_sid, calls[call_sid]))

        async with asyncio.TaskGroup() as sending:
            for number, call_sid in enumerate(calls):
                sending.create_task(send(call_sid))
                await asyncio.sleep(0.005)
                if number == 150:
                    served.signal(signal.SIGTERM)
        assert await served.ended(30) == 0
        assert held(served) == 0, "what ran was neither finished nor released"
        print(f"answers: {Counter(statuses.values())}")
        assert set(statuses.values()) <= {200, 0, 503}
        assert 100 <= list(statuses.values()).count(200) < 300

        await served.start()
        for call_sid in [call_sid for call_sid, status in statuses.items() if status != 200]:
            await served.insist("automated_answered", answered(call_sid, calls[call_sid]))
        await served.settled(60)
        (await crm.written()).assert_exact(calls, (1, 1), 50)


@pytest.mark.slow
async def test_sigterm_while_the_crm_hangs_ends_in_time(tmp_path: Path) -> None:
    async with both(tmp_path) as (served, crm):
        # What is sent takes effect after the process is gone.
        await crm.faults(odds={"late": 1.0}, only="POST /api/v2/tickets", effect_after_s=23, slow_s=60)
        await served.start({"timeout_s": 60.0})
        for number in range(5):
            await served.insist("missed", missed(f"call{number}", caller(number)))
        await asyncio.sleep(1)
        began = time.monotonic()
        assert await served.stop(35) == 0
        assert time.monotonic() - began < 30
        await crm.faults(odds={})
        await served.start()
        await served.settled(60)
        (await crm.written()).assert_exact([f"call{number}" for number in range(5)], (1, 0), 5)


async def test_an_inherited_socket_refuses_no_caller_during_restarts(tmp_path: Path) -> None:
    """As systemd does it: the socket is not the process's own, and callers wait in its queue meanwhile."""
    async with both(tmp_path) as (served, crm):
        with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
            served.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            # LISTEN_PID has to be the process's own number, which is known after the fork only.
            shell = f'export LISTEN_PID=$$ LISTEN_FDS=1; exec 3<&{listener.fileno()}; exec "$@"'
            command = ["bash", "-c", shell, "bash", sys.executable, "-m", "connector", "serve"]
            statuses: dict[str, int] = {}
            restarting = True

            async def send(call_sid: str, number: int) -> None:
                statuses[call_sid] = await served.hook("missed", missed(call_sid, caller(number)))

            async def keep_calling() -> None:
                while restarting:
                    number = len(statuses)
                    statuses[f"call{number}"] = -1
                    sending.create_task(send(f"call{number}", number))
                    await asyncio.sleep(0.01)

            served.spawn(command, served.env, pass_fds=[listener.fileno()])
            await served.ready()
            async with asyncio.TaskGroup() as sending:
                sending.create_task(keep_calling())
                for _ in range(3):
                    await asyncio.sleep(0.5)
                    assert await served.stop() == 0
                    served.spawn(command, served.env, pass_fds=[listener.fileno()])
                    await served.ready()
                restarting = False
            print(f"answers: {Counter(statuses.values())}")
            assert set(statuses.values()) == {200}
            await served.settled(60)
            (await crm.written()).assert_exact(statuses, (1, 0), len(statuses))
            assert await served.stop() == 0


async def test_a_wrong_key_is_one_line(tmp_path: Path) -> None:
    async with both(tmp_path) as (served, _):
        for command in (("serve", "--port", "0"), ("calls",)):
            done = await served.run(*command, CONNECTOR_SECRET_KEY=Fernet.generate_key().decode())
            assert done.returncode == 2
            assert done.stderr.startswith("connector: ")
            assert done.stderr.count("\n") == 1
            assert "key" in done.stderr.lower()


@pytest.mark.slow
async def test_a_restored_backup_writes_no_old_call_twice(tmp_path: Path) -> None:
    async with both(tmp_path / "original", "--latency-ms", "50") as (original, crm):
        await original.start()
        old = {f"old{number}": caller(number % 40) for number in range(120)}
        # In the midst of it: some calls are written, some under way, some not begun, some not even there.
        async with asyncio.TaskGroup() as sending:
            making = sending.create_task(original.run("backup", str(tmp_path / "copy.db")))
            for call_sid, number in old.items():
                sending.create_task(original.insist("automated_answered", answered(call_sid, number)))
                await asyncio.sleep(0.02)
        assert making.result().returncode == 0, making.result().stderr
        # The original goes on: old calls are finished, new ones come.
        new = {f"new{number}": caller(40 + number) for number in range(20)}
        for call_sid, number in new.items():
            await original.insist("automated_answered", answered(call_sid, number))
        await original.settled(60)
        (await crm.written()).assert_exact({**old, **new}, (1, 1), 60)
        assert await original.stop() == 0

        copy = Service(tmp_path / "restored")
        try:
            for suffix in ("", ".key"):
                shutil.copy(tmp_path / f"copy.db{suffix}", f"{copy.database}{suffix}")
            print(f"under way when the copy was made: {held(copy)}")
            assert held(copy)
            await copy.start()
            await copy.take_token()
            there = await copy.all("calls")
            assert 0 < len(there) < len(old)
            await copy.settled(60)
            (await crm.written()).assert_exact({**old, **new}, (1, 1), 60)
            # Exotel's requests of all of them again, and a replay of all: still nothing is written twice. What the
            # copy never heard of are new calls to it: a backup protects those that are in it.
            for call in there:
                await copy.insist("automated_answered", answered(call["call_sid"], old[call["call_sid"]]))
            assert (await copy.run("replay", "--from", "1h")).returncode == 0
            await asyncio.sleep(2)
            await copy.settled(60)
            (await crm.written()).assert_exact({**old, **new}, (1, 1), 60)
        finally:
            await copy.close()


async def test_wrong_input_is_refused_in_json(tmp_path: Path) -> None:
    async with both(tmp_path) as (served, _):
        await served.start()
        basic = {"Authorization": "Basic " + b64encode(f"{API_KEY}:wrong".encode()).decode()}
        hook = f"/h/{hook_token()}"
        cases: list[tuple[str, str, dict[str, Any], int, str]] = [
            ("GET", f"{hook}/missed", {}, 400, "no_call_sid"),
            ("GET", f"{hook}/sneezed?CallSid=c1", {}, 400, "unknown_event"),
            ("POST", f"{hook}/status", {"data": b"\xff\xfe{", "headers": {"Content-Type": "x/y"}}, 400, "unreadable"),
            ("POST", f"{hook}/status?CallSid=c1", {"data": b"x" * 70_000}, 413, "too_large"),
            ("GET", f"{hook}/missed?CallSid=c1&connection=nobody", {}, 400, "unknown_connection"),
            ("GET", "/h/no-such-token/missed?CallSid=c1", {}, 404, "not_found"),
            ("GET", "/nowhere", {}, 404, "not_found"),
            ("PUT", f"{hook}/missed?CallSid=c1", {}, 405, "method_not_allowed"),
            ("GET", f"/v2/accounts/{SID}/call-events?event=missed&CallSid=c1", {}, 401, "unauthorized"),
            ("GET", f"/missed/{SID}?CallSid=c1", {"headers": basic}, 401, "unauthorized"),
            ("GET", "/v2/accounts/nobody/call-events?event=missed&CallSid=c1", {}, 401, "unauthorized"),
        ]
        for method, path, how, status, code in cases:
            async with served.session.request(method, served.url + path, **how) as answer:
                found = await answer.json()
                assert (answer.status, found["error"]["code"]) == (status, code), (method, path, found)
                assert found["error"].keys() == {"code", "message", "field"}
                assert (status == 401) == ("WWW-Authenticate" in answer.headers)
        assert await served.all("calls") == []


async def test_what_apply_changes_is_seen_without_a_restart(tmp_path: Path) -> None:
    async with both(tmp_path) as (served, crm):
        await served.start()
        # A tenant that is new is known at its first request, however soon that comes.
        await served.apply(tenant(crm.url), tenant(crm.url, sid="exotel2"))
        assert await served.hook("missed", missed("call1", caller(1)), "exotel2") == 200

        # An option counts for calls that come a second later.
        await served.apply(tenant(crm.url, options={"answered": "ticket"}))
        await asyncio.sleep(SEEN_WITHIN_S)
        await served.insist("answered", answered("call2", caller(2)))

        # A rotated token: the new one at once, the old one no more.
        done = await served.run("hook", SID, "--rotate")
        (new,) = {line.partition("/h/")[2].partition("/")[0] for line in done.stdout.splitlines() if "/h/" in line}
        async with served.session.get(f"{served.url}/h/{new}/missed", params=missed("call3", caller(3))) as answer:
            assert answer.status == 200
        began = time.monotonic()
        while await served.hook("pop", {"CallSid": "call4"}) != 404:
            assert time.monotonic() - began < SEEN_WITHIN_S
            await asyncio.sleep(0.1)

        await served.settled(30)
        calls = (await crm.written()).calls()
        assert calls == {"call1": (1, 0), "call2": (1, 1), "call3": (1, 0)}


async def test_a_caller_who_is_cut_off_is_not_half_stored(tmp_path: Path) -> None:
    """A request that ends before its body came is nothing; the next one on a fresh connection is served."""
    async with both(tmp_path) as (served, _):
        await served.start()
        head = f"POST /h/{hook_token()}/status HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        _, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(f'{head}Content-Length: 100\r\n\r\n{{"CallSid": "c1"'.encode())
        await writer.drain()
        writer.close()
        await asyncio.sleep(0.5)
        assert await served.hook("missed", missed("c2", caller(1))) == 200
        assert [call["call_sid"] for call in await served.all("calls")] == ["c2"]
