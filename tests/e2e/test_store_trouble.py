"""The store is locked or has no room: 503, never 200 for what is not stored, and it recovers by itself."""

import asyncio
import contextlib
import os
import resource
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.service import Service, StandIn, answered, both, caller, hook_token, missed, service, stand_in, tenant

#: Longest that a hook waits for a busy store (4 s), with room for a machine that has other things to do.
PATIENCE_S = 8.0


async def answer(served: Service, call_sid: str) -> tuple[int, str | None, float]:
    """Status, Retry-After and seconds of one hook."""
    began = time.monotonic()
    url = f"{served.url}/h/{hook_token()}/missed"
    async with served.session.get(url, params=missed(call_sid, caller(1))) as response:
        body = await response.read()
        if response.status == 503:
            assert (await response.json())["error"]["code"] == "busy", body
        return response.status, response.headers.get("Retry-After"), time.monotonic() - began


async def assert_what_was_acknowledged_is_written(served: Service, crm: StandIn, statuses: dict[str, int]) -> None:
    """Of calls that were answered 200 there is a ticket; of the others there may be one, never two."""
    await served.settled(90)
    calls = (await crm.written()).calls()
    missing = [call_sid for call_sid, status in statuses.items() if status == 200 and call_sid not in calls]
    assert not missing
    assert {tickets for tickets, _ in calls.values()} <= {1}


@pytest.mark.slow
@pytest.mark.parametrize("how", ["immediate", "exclusive"])
async def test_a_store_that_another_process_has_locked(tmp_path: Path, how: str) -> None:
    async with both(tmp_path) as (served, crm):
        await served.start()
        assert await served.hook("missed", missed("before", caller(0))) == 200
        other = sqlite3.connect(served.database, isolation_level=None)
        with contextlib.closing(other):
            other.execute(f"begin {how}")
            answers = asyncio.gather(*(answer(served, f"during{number}") for number in range(30)))
            await asyncio.sleep(6)
            late = asyncio.create_task(answer(served, "late"))
            await asyncio.sleep(0.5)
            other.execute("rollback")
        found = await asyncio.wait_for(answers, PATIENCE_S)
        assert {(status, retry_after) for status, retry_after, _ in found} == {(503, "2")}
        assert max(seconds for _, _, seconds in found) < PATIENCE_S
        # One that need not wait for long is not refused, and the ones that were are sent again.
        assert (await late)[0] == 200
        statuses = {f"during{number}": (await answer(served, f"during{number}"))[0] for number in range(30)}
        assert set(statuses.values()) == {200}
        await assert_what_was_acknowledged_is_written(served, crm, {"before": 200, "late": 200, **statuses})


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[bool]:
    """Mounts a disk of this size at `folder`. Gives False where that is not permitted."""
    folder.mkdir()
    mounted = (
        os.geteuid() == 0
        and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=False, capture_output=True
        ).returncode
        == 0
    )
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def until_refused(served: Service, name: str) -> dict[str, int]:
    """Sends calls until they are refused; CallSid -> status."""
    statuses: dict[str, int] = {}
    for number in range(2000):
        status, retry_after, seconds = await answer(served, f"{name}{number}")
        assert seconds < PATIENCE_S
        statuses[f"{name}{number}"] = status
        if status != 200:
            assert (status, retry_after) == (503, "2")
            return statuses
    raise AssertionError("the disk was never full")


async def ends_well(served: Service, crm: StandIn, statuses: dict[str, int]) -> None:
    """There is room again: what was refused is taken, and everything is delivered, by itself."""
    refused = [call_sid for call_sid, status in statuses.items() if status != 200]
    assert refused
    for call_sid in refused:
        assert (await answer(served, call_sid))[0] == 200
        statuses[call_sid] = 200
    await assert_what_was_acknowledged_is_written(served, crm, statuses)


@pytest.mark.slow
async def test_a_full_disk(tmp_path: Path) -> None:
    disk, full = tmp_path / "disk", tmp_path / "full"
    with small_disk(disk, "8m") as mounted:
        async with stand_in(tmp_path) as crm, service(disk, tenant(crm.url)) as served:
            served.log = tmp_path / "service.log"
            if mounted:
                await served.start()
                ballast = disk / "ballast"
                statuses = {"first": (await answer(served, "first"))[0]}
                with contextlib.suppress(OSError), ballast.open("wb") as file:
                    while True:
                        file.write(bytes(1024))
                        file.flush()
                statuses |= await until_refused(served, "during")
                statuses |= {f"more{number}": (await answer(served, f"more{number}"))[0] for number in range(2)}
                ballast.unlink()
            else:
                await served.start({"full": str(full)})
                statuses = {"first": (await answer(served, "first"))[0]}
                full.touch()
                statuses |= await until_refused(served, "during")
                statuses |= {f"more{number}": (await answer(served, f"more{number}"))[0] for number in range(2)}
                full.unlink()
            assert served.is_alive
            await ends_well(served, crm, statuses)


def largest_file(folder: Path) -> int:
    return max(file.stat().st_size for file in folder.glob("connector.db*"))


@pytest.mark.slow
async def test_files_that_may_not_grow(tmp_path: Path) -> None:
    """A limit on the size of files (EFBIG) is an I/O error to SQLite, as a quota of the file system may be."""
    async with both(tmp_path) as (served, crm):
        await served.start()
        statuses = {"first": 200}
        await served.insist("automated_answered", answered("first", caller(0)))
        await served.settled(30)
        largest = largest_file(tmp_path)
        resource.prlimit(served.pid, resource.RLIMIT_FSIZE, (largest + 64 * 1024, resource.RLIM_INFINITY))
        statuses |= await until_refused(served, "during")
        resource.prlimit(served.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await ends_well(served, crm, statuses)
