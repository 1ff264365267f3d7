"""Unknown callers who redial within a second, at a CRM whose contact search lags a minute behind."""

import asyncio
from pathlib import Path

from tests.e2e.service import both, caller, missed

CALLERS, CALLS_EACH = 200, 3


async def test_a_caller_who_redials_is_one_contact(tmp_path: Path) -> None:
    async with both(tmp_path, "--search-lag-s", "60") as (service, crm):
        await service.start()
        calls = {f"call{number}": caller(number % CALLERS) for number in range(CALLERS * CALLS_EACH)}
        async with asyncio.TaskGroup() as sending:
            for call_sid, number in calls.items():
                sending.create_task(service.insist("missed", missed(call_sid, number)))
        await service.settled(60)
        (await crm.written()).assert_exact(calls, (1, 0), CALLERS)
        made = (await crm.control("state"))["requests"]["POST /contacts"]
        assert made == CALLERS, "the CRM's unique external id had to refuse a second one"
