"""Replicas whose machines disagree about the time by an hour: the database's clock decides."""

import asyncio
import json
import signal
from datetime import datetime
from pathlib import Path

import pytest

from connector.config import Config
from tests.e2e.replicas import Replica, Replicas, frozen_at, new_calls, replicas
from tests.e2e.service import PATCHED, SID, caller, missed, stand_in, tenant

LEASE_S = 6.0
SHORT = {"lease_s": LEASE_S, "settle_s": 2.0, "timeout_s": 3.0, "look_every_s": 3.0}
#: Much less than an hour, and more than a busy machine takes to read a clock from afar.
ABOUT_S = 2.0
HELD = (
    "select delivery.id, fence, lease_until, lease_until - extract(epoch from clock_timestamp()) as left_s"
    " from delivery join step on delivery_id = delivery.id"
    " where owner is not null and slot = 'ticket' and step.state = 'started'"
)
NOW = "select extract(epoch from clock_timestamp()) as at"


@pytest.mark.slow
async def test_an_hour_ahead_and_an_hour_behind_change_nothing(tmp_path: Path, shared_store: Config) -> None:
    calls = new_calls()
    patches = [{**SHORT, "ahead_s": ahead_s} for ahead_s in (-3600, 3600, 0)]
    async with (
        stand_in(tmp_path) as crm,
        replicas(tmp_path, shared_store, tenant(crm.url), patches=patches) as running,
    ):
        for number, one in enumerate(running):
            await one.insist("popup", missed(f"ringing{number}", caller(0)))
        await _same_everywhere(running)
        for victim in running[:2]:
            waiting = await frozen_at("started ticket", victim, calls)
            await _held_until_its_lease_ends(running, victim)
            victim.signal(signal.SIGCONT)
            await asyncio.gather(*waiting)
            await running[2].settled(120)
        sent = next(calls)[0]
        (await crm.written()).assert_exact([f"frozen{number}" for number in range(sent)], (1, 1), sent)
        # As from an operator's machine that is ahead, too.
        command = ("replay", "--tenant", SID, "--call-sid", "frozen0")
        done = await running[0].run(*command, program=PATCHED, CONNECTOR_E2E_PATCH=json.dumps({"ahead_s": 3600}))
        assert done.returncode == 0, done.stderr
        await running[2].settled(120)
        await _same_everywhere(running)


async def _same_everywhere(running: Replicas) -> None:
    """The API says the same at every replica, in times that the database's clock agrees with."""
    first, *others = [await one.all("deliveries") for one in running]
    assert others == [first] * len(others)
    (now,) = await running.fetch(NOW)
    waiting = [row for row in first if row["state"] == "pending"]
    assert len(waiting) == len(running)
    for row in waiting:  # due when the call has been silent for two minutes
        in_s = datetime.fromisoformat(row["due_at"]).timestamp() - float(now["at"])
        assert in_s < 120 + ABOUT_S
    dues = [datetime.fromisoformat(row["due_at"]).timestamp() for row in waiting]
    assert max(dues) - min(dues) < 60


async def _held_until_its_lease_ends(running: Replicas, victim: Replica) -> None:
    (held,) = await running.fetch(HELD)
    assert held["left_s"] < LEASE_S + ABOUT_S
    taken = f"{NOW}, fence from delivery where id = {held['id']}"
    while (seen := (await running.fetch(taken))[0])["fence"] == held["fence"]:
        assert victim.is_frozen
        await asyncio.sleep(0.05)
    assert float(seen["at"]) > held["lease_until"] - ABOUT_S
