"""The faults of `tests/pipeline/test_every_adapter.py`, in every CRM that takes files: each file is there once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from connector.adapter import Files, registry
from connector.errors import ConfigError
from connector.kit.faults import Fault
from connector.pipeline.delivery.replay import ReplayWish
from tests.pipeline import test_every_adapter as every_adapter
from tests.pipeline.test_every_adapter import done, held
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


async def one_call(w: World, peer: Peer) -> None:
    """An answered call, whose recording the peer has."""
    await every_adapter.one_call(w, RecordingUrl=peer.recording(SID))


@pytest.mark.parametrize("crm", TAKERS)
@pytest.mark.parametrize("fault", every_adapter.FAULTS)
async def test_each_request_survives_each_fault(tmp_path: Path, crm: str, fault: Fault, peer: Peer) -> None:
    async with attaching(tmp_path, crm, peer) as w:
        recording = {"RecordingUrl": peer.recording(SID)}
        wanted = await every_adapter.clean(w, **recording)
        (row,) = wanted.rows
        assert row["warnings"] == "[]"
        (step,) = await w.rows("select kind, ref_id, state from step where slot = 'file'")
        assert (step["kind"], step["state"]) == ("file", "done")
        assert str(len(AUDIO)) in str(w.account.dump())
        assert "/r/" not in str(w.account.dump())
        assert "attached as recording-sid0.mp3" in str(w.account.dump())
        await every_adapter.survives(w, wanted, fault, _MOST_REQUESTS, **recording)


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
        await w.pipeline.replay(ReplayWish(w.tenant.id, call_sid="sid0"))
        (row,) = await done(w)
        assert (row["state"], held(w.account)["files"]) == ("done", 1)
        assert "attached as recording-sid0.mp3" in str(w.account.dump())


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
