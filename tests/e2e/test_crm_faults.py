"""A CRM that fails in every way at once: nothing is lost, nothing is doubled."""

import asyncio
from pathlib import Path

import pytest

from tests.e2e.service import answered, both, caller

CALLS, CALLERS = 300, 150
#: Instead of 20 s: a hundred time-outs would take the test's time. What matters is that effects come after it.
TIMEOUT_S = 2.0
#: The issue's odds; half of the errors come after the effect, half of the silences are followed by one.
ODDS = {
    "error_before": 0.025,
    "error_after": 0.025,
    "rate_limited": 0.05,
    "reset_after": 0.02,
    "slow": 0.01,
    "late": 0.01,
}


@pytest.mark.slow
async def test_a_crm_that_errs_refuses_resets_and_answers_late(tmp_path: Path) -> None:
    async with both(tmp_path) as (service, crm):
        await service.start({"timeout_s": TIMEOUT_S})
        await crm.faults(odds=ODDS, effect_after_s=TIMEOUT_S + 5, slow_s=TIMEOUT_S + 6)
        calls = {f"call{number:04d}": caller(number % CALLERS) for number in range(CALLS)}
        async with asyncio.TaskGroup() as sending:
            for call_sid, number in calls.items():
                sending.create_task(service.insist("automated_answered", answered(call_sid, number)))
                await asyncio.sleep(0.01)
        await service.settled(200)
        dealt = (await crm.control("state"))["faults"]
        print(f"faults: {dealt}")
        assert dealt.keys() >= ODDS.keys()
        # Effects that are still on their way would show themselves as doubles.
        await asyncio.sleep(TIMEOUT_S + 6)
        (await crm.written()).assert_exact(calls, (1, 1), CALLERS)
