"""One tenant's CRM takes connections and never answers, for the whole run: the others' calls are as fast as before."""

import asyncio
import statistics
from datetime import datetime
from pathlib import Path

import pytest

from tests.e2e.service import StandIn, answered, caller, service, stand_in, tenant

SECONDS, OTHERS = 5, 4
#: Calls a second: of each of the others, and of the one whose CRM is dead.
RATE, RATE_OF_DEAD = 6, 20
#: Below it a doubling is the machine's noise; a tenant that waits for another's CRM would wait for 20 s.
FLOOR_S = 0.25


async def p99_of_the_others(folder: Path, crm: StandIn, hanging: StandIn, *, dead: bool) -> float:
    """Seconds from a call's first event to its finished delivery, on a fresh store."""
    await hanging.faults(odds={"slow": 1.0} if dead else {}, slow_s=120)
    sids = [f"exotel{number}" for number in range(OTHERS)]
    tenants = [*(tenant(crm.url, sid=sid) for sid in sids), tenant(hanging.url, sid="exotel99")]
    async with service(folder, *tenants) as served:
        await served.start()

        async def calls_of(sid: str, rate: int) -> None:
            for number in range(rate * SECONDS):
                call = answered(f"{folder.name}c{number}of{sid}", caller(number), sid)
                sending.create_task(served.insist("automated_answered", call, sid))
                await asyncio.sleep(1 / rate)

        async with asyncio.TaskGroup() as sending:
            sending.create_task(calls_of("exotel99", RATE_OF_DEAD))
            for sid in sids:
                sending.create_task(calls_of(sid, RATE))
        took: list[float] = []
        for sid in sids:
            rows: list[dict[str, str]] = []
            for _ in range(60):
                rows = await served.all("deliveries", tenant=sid)
                if all(row["state"] == "done" for row in rows):
                    break
                await asyncio.sleep(0.5)
            assert [row["state"] for row in rows] == ["done"] * RATE * SECONDS
            came = {call["call_sid"]: call["created_at"] for call in await served.all("calls", tenant=sid)}
            took += [_seconds(came[row["call_sid"]], row["updated_at"]) for row in rows]
        if dead:
            rows = await served.all("deliveries", tenant="exotel99")
            assert {row["state"] for row in rows} == {"pending"}
        return statistics.quantiles(took, n=100, method="inclusive")[98]


def _seconds(since: str, until: str) -> float:
    return (datetime.fromisoformat(until) - datetime.fromisoformat(since)).total_seconds()


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [1, pytest.param(3, marks=pytest.mark.long)])
async def test_a_dead_crm_slows_nobody_else(tmp_path: Path, rounds: int) -> None:
    found: dict[bool, list[float]] = {False: [], True: []}
    async with stand_in(tmp_path) as crm, stand_in(tmp_path) as hanging:
        for number in range(2 * rounds):
            dead = number % 2 == 1
            found[dead].append(await p99_of_the_others(tmp_path / f"r{number}", crm, hanging, dead=dead))
    well, dead_s = statistics.median(found[False]), statistics.median(found[True])
    shown = {dead: [round(seconds * 1000) for seconds in each] for dead, each in found.items()}
    print(f"p99 in ms, all well: {shown[False]}, one dead: {shown[True]}")
    assert dead_s <= max(2 * well, well + FLOOR_S), shown
