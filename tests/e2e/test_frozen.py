"""Frozen (SIGSTOP) beyond the lease, wherever a write could still leave, and woken: nothing lost, nothing doubled."""

import asyncio
import signal
from pathlib import Path

import pytest

from tests.e2e.service import answered, caller, service, stand_in, tenant

#: A claim of 3 s and a CRM that settles within 1 s, instead of 60 s and 10 s: the freeze must outlast both.
SHORT = {"lease_s": 3.0, "settle_s": 1.0, "timeout_s": 1.5}
FREEZE_S = 6.0
#: Boundaries (see `test_kill`) that a write follows: `started` is committed, not a byte has left.
STARTED = {1: "contact started", 4: "started ticket", 6: "started note:recording"}
OTHERS = {3: "contact done", 5: "POST tickets"}


@pytest.mark.slow
async def test_frozen_between_started_and_the_bytes(tmp_path: Path) -> None:
    async with stand_in(tmp_path) as crm:
        # Every write takes its time: who looks for the record meanwhile does not find it.
        await crm.faults(odds={"late": 1.0}, only="POST", effect_after_s=0.8, slow_s=0.8)

        async def freezes(at: int, name: str) -> None:
            folder, sid = tmp_path / f"at{at}", f"exotel{at}"
            async with service(folder, tenant(crm.url, sid=sid)) as served:
                passed = folder / "boundaries"
                async with starting:
                    await served.start({"at": at, "do": "SIGSTOP", "boundaries": str(passed), **SHORT})
                waiting = asyncio.create_task(
                    served.insist("automated_answered", answered(f"call{at}", caller(at), sid), sid)
                )
                await served.frozen()
                assert passed.read_text().splitlines()[-1] == name
                # Meanwhile nobody else may serve the store.
                second = await served.run("serve", "--port", "0")
                assert (second.returncode, second.stderr.count("\n")) == (1, 1)
                assert "another connector is serving" in second.stderr
                await asyncio.sleep(FREEZE_S)
                served.signal(signal.SIGCONT)
                await waiting
                # The claim ran out while it slept: once awake, the same process takes the call up anew, and the attempt
                # that slept must find out by itself that it may not send any more.
                await served.settled(60)
                assert await served.stop() == 0

        starting = asyncio.Semaphore(2)
        cases = {**STARTED, **OTHERS}
        await asyncio.gather(*(freezes(at, name) for at, name in cases.items()))
        (await crm.written()).assert_exact([f"call{at}" for at in cases], (1, 1), len(cases))
