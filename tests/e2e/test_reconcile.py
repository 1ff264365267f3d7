"""`statement`, `reconcile` and `backfill` as commands: without a service, and beside one on the same SQLite file."""

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from connector.kit.exotel.account import ExotelAccount
from connector.kit.exotel.app import exotel_app
from connector.kit.faults import Faults
from tests.e2e.service import API_KEY, API_TOKEN, CONNECTOR, SID, Process, Service, tenant
from tests.rig.listening import Server

WITHIN_S = 60.0


@contextlib.asynccontextmanager
async def at_exotel(folder: Path) -> AsyncIterator[tuple[Service, ExotelAccount, Faults]]:
    """A service's store with a tenant whose calls become tickets of the local desk, and its account at Exotel."""
    exotel, faults = ExotelAccount(sid=SID, api_key=API_KEY, api_token=API_TOKEN), Faults()
    async with Server(exotel_app(exotel, faults)) as server:
        service = Service(folder)
        owner = {**tenant(), "api_url": f"http://127.0.0.1:{server.port}"}
        owner["connections"] = [{"name": "desk", "adapter": "local", "options": {"answered": "ticket"}}]
        await service.apply(owner)
        try:
            yield service, exotel, faults
        finally:
            await service.close()


def missed_calls(exotel: ExotelAccount, count: int, ago_s: float) -> None:
    for number in range(count):
        facts = {"ending": "missed", "customer": f"+91987650{number:04d}", "created_at": time.time() - ago_s - number}
        exotel.add_call(facts)


async def done(service: Service, *arguments: str) -> str:
    ran = await service.run(*arguments)
    assert ran.returncode == 0, ran.stderr
    return str(ran.stdout)


async def lines(service: Service, *more: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (await done(service, "statement", SID, "--json", *more)).splitlines()]


async def written(service: Service, count: int) -> None:
    """Returns once the statements of the last days say that so many calls are written."""
    until = time.monotonic() + WITHIN_S
    while sum(row["written"] for row in await lines(service) if row["connection"] is None) < count:
        assert time.monotonic() < until, service.tail()
        await asyncio.sleep(0.2)


async def test_a_backfill_without_a_service_waits_in_the_store(tmp_path: Path) -> None:
    async with at_exotel(tmp_path) as (service, exotel, _faults):
        missed_calls(exotel, 250, 2 * 86400)
        assert "250 calls were gone through; 250 were not known before." in await done(
            service, "backfill", SID, "--from", "3d"
        )
        before = await lines(service)
        assert sum(row["calls"] for row in before if row["connection"] is None) == 250
        assert all(row["percent"] in (0.0, 100.0) for row in before)
        assert "250 calls were gone through; 0 were not known before." in await done(
            service, "backfill", SID, "--from", "3d"
        )
        await service.start()
        await service.take_token()
        await written(service, 250)
        (day,) = {row["day"] for row in await lines(service) if row["calls"]}
        shown = await service.get("statement", tenant=SID, day=day)
        assert (shown["calls"], shown["written"], shown["missing"], shown["percent"]) == (250, 250, 0, 100.0)
        assert [row["connection"] for row in shown["connections"]] == ["desk"]
        alone = await service.get("statement", tenant=SID, day=day, connection="desk")
        assert (alone["written"], alone["connections"]) == (250, [])
        table = await done(service, "statement", SID, "--day", day)
        assert "250" in table
        assert "desk" in table


async def test_reconcile_beside_a_service(tmp_path: Path) -> None:
    async with at_exotel(tmp_path) as (service, exotel, _faults):
        await service.start()
        exotel.add_call({"ending": "missed", "created_at": time.time() + 1, "ring_s": 0})
        await asyncio.sleep(2)
        said = await done(service, "reconcile", SID, "--now")
        assert "1 calls were not known before." in said
        await written(service, 1)
        assert "0 calls were not known before." in await done(service, "reconcile", SID)
        (call,) = [json.loads(line) for line in (await done(service, "calls", "--json")).splitlines()]
        assert (call["outcome"], call["customer_number"]) == ("missed", "+919876543210")
        assert [one["kind"] for one in call["records"] if one["slot"] == "ticket"] == ["ticket"]


async def test_a_backfill_that_is_interrupted_goes_on_where_it_was(tmp_path: Path) -> None:
    async with at_exotel(tmp_path) as (service, exotel, faults):
        missed_calls(exotel, 350, 86400)
        faults.latency_s = 1.0
        command = Process(tmp_path / "backfill.log")
        command.spawn([*CONNECTOR, "backfill", SID, "--from", "2d"], service.env)
        until = time.monotonic() + WITHIN_S
        while sum(exotel.requests.values()) < 2:
            assert time.monotonic() < until, command.tail()
            await asyncio.sleep(0.05)
        command.signal(signal.SIGINT)
        assert await command.ended(30) == 130
        faults.latency_s = 0.0
        await done(service, "backfill", SID, "--from", "2d")
        assert sum(row["calls"] for row in await lines(service) if row["connection"] is None) == 350
        assert sum(exotel.requests.values()) <= 6


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("backfill {sid} --from 300d", "more than six months ago"),
        ("backfill {sid} --from 1d --to 2d", "`to` is not after `from`"),
        ("backfill {sid}", "Missing option '--from'"),
        ("statement {sid} --day yesterday", "--day takes a day"),
        ("statement nobody", "nobody"),
        ("reconcile nobody", "nobody"),
    ],
)
async def test_wrong_use_is_one_line(tmp_path: Path, arguments: str, words: str) -> None:
    async with at_exotel(tmp_path) as (service, _exotel, _faults):
        ran = await service.run(*arguments.format(sid=SID).split())
        assert ran.returncode == 2, ran.stderr
        assert words in ran.stderr
        assert ran.stderr.count("\n") == 1
