"""The faults of `tests/pipeline/test_every_adapter.py`, in every CRM that takes files: each file is there once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from connector.adapter import Files, registry
from connector.errors import ConfigError
from connector.kit.faults import Fault
from tests.pipeline.test_every_adapter import after, done, held, nothing_doubled
from tests.pipeline.world import SID, World, standin_of, world
from tests.recordings.peer import AUDIO, Peer

TAKERS = [name for name, adapter in registry.adapters().items() if issubclass(adapter, Files)]
#: More than any CRM is asked for one call with a file.
_MOST_REQUESTS = 16


@asynccontextmanager
async def attaching(folder: Path, crm: str, peer: Peer, **more: Any) -> AsyncIterator[World]:
    options = {"recording": "attach"}
    async with world(folder, crm, exotel=peer.url, options=options, **more) as w:
        yield w


def folder_of(folder: Path, name: object) -> Path:
    """A new folder for one world."""
    made = folder / str(name)
    made.mkdir()
    return made


async def one_call(w: World, peer: Peer) -> None:
    """An answered call, whose recording the peer has."""
    when = {"StartTime": "2026-11-21 10:00:00", "CurrentTime": "2026-11-21 10:01:00"}
    await w.answered("sid1", RecordingUrl=peer.recording(SID), **when)


async def clean(folder: Path, crm: str, peer: Peer) -> dict[str, int]:
    """What the CRM holds where nothing goes wrong, the file among it."""
    async with attaching(folder_of(folder, "clean"), crm, peer) as w:
        await one_call(w, peer)
        (row,) = await done(w)
        assert (row["state"], row["warnings"]) == ("done", "[]")
        (step,) = await w.rows("select kind, ref_id, state from step where slot = 'file'")
        assert (step["kind"], step["state"]) == ("file", "done")
        assert str(len(AUDIO)) in str(w.account.dump())
        assert "/r/" not in str(w.account.dump())
        assert "attached as recording-sid1.mp3" in str(w.account.dump())
        return held(w.account)


@pytest.mark.parametrize("crm", TAKERS)
@pytest.mark.parametrize("fault", ["error_before", "error_after", "rate_limited", "reset_before", "reset_after"])
async def test_each_request_survives_each_fault(tmp_path: Path, crm: str, fault: Fault, peer: Peer) -> None:
    wanted = await clean(tmp_path, crm, peer)
    for at in range(_MOST_REQUESTS):
        async with attaching(folder_of(tmp_path, at), crm, peer) as w:
            w.faults.script.extend(after(at, fault))
            await one_call(w, peer)
            rows = await done(w)
            nothing_doubled(held(w.account), wanted, rows)
            if not w.faults.dealt[fault]:
                return
    raise AssertionError(f"{crm} was asked more than {_MOST_REQUESTS} times for one call")


@pytest.mark.parametrize("crm", TAKERS)
async def test_a_file_that_the_crm_refuses_is_a_link(tmp_path: Path, crm: str, peer: Peer) -> None:
    async with attaching(tmp_path, crm, peer) as w:
        adapter = registry.get(crm)
        most = adapter.largest_file  # type: ignore[attr-defined]  # every one of TAKERS has it
        peer.endless, peer.untold = most + 1, True
        await one_call(w, peer)
        (row,) = await done(w)
        assert (row["state"], row["reason"]) == ("done", None)
        assert "larger than 20 MB" in row["warnings"]
        assert "https://calls.example/r/" in str(w.account.dump())
        (step,) = await w.rows("select state, ref_id from step where slot = 'file'")
        assert step == {"state": "skipped", "ref_id": None}


async def test_a_login_that_may_not_attach_files(tmp_path: Path, peer: Peer) -> None:
    async with attaching(tmp_path, "zoho_crm", peer) as w:
        w.account.missing_scopes = ["ZohoCRM.modules.attachments.ALL"]
        await one_call(w, peer)
        (row,) = await done(w)
        assert (row["state"], row["reason"]) == ("done", None)
        assert "The link stands in for the file" in row["warnings"]
        assert "https://calls.example/r/" in str(w.account.dump())
        w.account.missing_scopes = []
        await w.pipeline.replay(w.tenant.id, call_sid="sid1")
        (row,) = await done(w)
        assert (row["state"], held(w.account)["files"]) == ("done", 1)
        assert "attached as recording-sid1.mp3" in str(w.account.dump())


@pytest.mark.parametrize("crm", [name for name in registry.adapters() if name not in TAKERS])
async def test_who_takes_no_files_is_refused_at_apply(tmp_path: Path, crm: str) -> None:
    settings = {} if crm == "local" else standin_of(crm).SETTINGS
    wish = {"name": "other", "adapter": crm, "settings": settings, "options": {"recording": "attach"}}
    async with world(tmp_path) as w:
        file = {"tenants": [{"sid": SID, "connections": [wish]}]}
        with pytest.raises(
            ConfigError, match=r"connections\[0\].options.recording: attach: .* takes no files; use link"
        ):
            await w.apply(file)
