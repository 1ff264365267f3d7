"""`recording: attach`: the file reaches the CRM once Exotel has it, once, and holds nothing else back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from connector.adapter import Files, registry
from connector.pipeline.delivery.replay import ReplayWish
from connector.pipeline.recordings import fetch as pipeline_recordings
from connector.store.queries import recordings, revocations
from tests.pipeline.world import PUBLIC_URL, SID, World, world
from tests.recordings.peer import AUDIO, Peer

LINK = f"{PUBLIC_URL}/r/"
MINUTE_S = 60.0


@asynccontextmanager
async def attaching(folder: Path, peer: Peer, **more: Any) -> AsyncIterator[World]:
    """A Freshdesk that gets recordings as files."""
    async with world(folder, exotel=peer.url, options={"recording": "attach"}, **more) as w:
        yield w


async def answered(w: World, peer: Peer, name: str = "c1.mp3", **more: str) -> None:
    await w.answered("sid1", RecordingUrl=peer.recording(SID, name), **more)


def files(w: World) -> list[dict[str, Any]]:
    """The files that hang on the only ticket."""
    (ticket,) = w.tickets
    return [file for note in w.notes(ticket) for file in note["attachments"]]


def note(w: World) -> str:
    """The words on the recording."""
    (ticket,) = w.tickets
    (found,) = [one["body"] for one in w.notes(ticket) if "Call Duration" in one["body"]]
    return str(found)


async def test_the_file_hangs_on_the_ticket_and_the_note_names_it(tmp_path: Path, peer: Peer) -> None:
    async with attaching(tmp_path, peer) as w:
        await answered(w, peer)
        (delivery,) = await w.settle()
        assert (delivery["state"], delivery["warnings"]) == ("done", "[]")
        assert files(w) == [{"name": "recording-sid1.mp3", "content_type": "audio/mpeg", "size": len(AUDIO)}]
        assert "Call Recording: attached as recording-sid1.mp3" in note(w)
        assert LINK not in note(w)
        await w.pipeline.replay(ReplayWish(w.tenant.id, call_sid="sid1"))
        await w.settle()
        assert len(files(w)) == 1
        (step,) = await w.rows("select sent from step where slot = 'file'")
        assert "exotelrecordings" not in step["sent"]


async def test_the_note_does_not_wait_for_the_file(tmp_path: Path, peer: Peer) -> None:
    peer.files.clear()
    async with attaching(tmp_path, peer) as w:
        await answered(w, peer)
        (delivery,) = await w.settle()
        assert (delivery["state"], delivery["reason"], delivery["attempts"]) == ("pending", "waiting", 0)
        assert "attached as" in note(w)
        assert files(w) == []
        peer.files["c1.mp3"] = AUDIO
        (delivery,) = await w.after(2 * MINUTE_S)
        assert delivery["state"] == "done"
        assert len(files(w)) == 1


async def test_it_is_looked_for_at_2_5_15_20_and_60_minutes_and_given_up_once(tmp_path: Path, peer: Peer) -> None:
    peer.files.clear()
    async with attaching(tmp_path, peer) as w:
        began = w.clock.now()
        await answered(w, peer)
        (delivery,) = await w.settle()
        looks = []
        while delivery["state"] == "pending":
            looks.append(round((delivery["due_at"] - began) / 60))
            asked = len(peer.requests)
            (delivery,) = await w.after(delivery["due_at"] - w.clock.now())
            assert len(peer.requests) == asked + 1
        # 20: five minutes after the call Exotel promises it, a quarter of an hour later it may still come.
        assert looks == [2, 5, 15, 20, 60]
        assert delivery["state"] == "done"
        assert delivery["warnings"].count("never had the recording") == 1
        assert LINK in note(w)
        assert files(w) == []
        asked = len(peer.requests)
        await w.event("sid1", "end")
        (delivery,) = await w.after(10 * MINUTE_S)
        assert delivery["warnings"].count("never had the recording") == 1
        assert len(peer.requests) <= asked + 1


async def test_a_replay_looks_again_and_the_note_names_the_file(tmp_path: Path, peer: Peer) -> None:
    peer.files.clear()
    async with attaching(tmp_path, peer) as w:
        await answered(w, peer)
        await w.settle()
        for _ in range(6):
            await w.after(60 * MINUTE_S)
        assert LINK in note(w)
        peer.files["c1.mp3"] = AUDIO
        (preview,) = await w.pipeline.replay(ReplayWish(w.tenant.id, call_sid="sid1"), dry_run=True)
        assert [(change["slot"], change["action"]) for change in preview.changes] == [("file", "create")]
        await w.pipeline.replay(ReplayWish(w.tenant.id, call_sid="sid1"))
        (delivery,) = await w.settle()
        assert delivery["state"] == "done"
        assert len(files(w)) == 1
        assert "attached as" in note(w)


async def test_an_exotel_that_is_away_is_waited_for(tmp_path: Path, peer: Peer) -> None:
    peer.status = 503
    async with attaching(tmp_path, peer) as w:
        await answered(w, peer)
        await w.settle()
        for _ in range(10):
            (delivery,) = await w.after(60 * MINUTE_S)
            assert delivery["state"] == "pending"
        peer.status = None
        (delivery,) = await w.after(60 * MINUTE_S)
        assert delivery["state"] == "done"
        assert len(files(w)) == 1


async def test_and_given_up_after_a_day(tmp_path: Path, peer: Peer) -> None:
    peer.status = 503
    async with attaching(tmp_path, peer) as w:
        await answered(w, peer)
        await w.settle()
        for _ in range(32):
            (delivery,) = await w.after(60 * MINUTE_S)
        assert delivery["state"] == "done"
        assert "Exotel answered 503" in delivery["warnings"]
        assert LINK in note(w)


@pytest.mark.parametrize("told", [True, False])
async def test_a_file_that_is_too_large_is_a_link(tmp_path: Path, peer: Peer, told: bool) -> None:
    peer.endless, peer.untold = 20 * 1024 * 1024 + 1, not told
    async with attaching(tmp_path, peer) as w:
        await answered(w, peer)
        (delivery,) = await w.settle()
        assert delivery["state"] == "done"
        assert "larger than 20 MB" in delivery["warnings"]
        assert LINK in note(w)
        assert files(w) == []


async def test_what_is_no_audio_is_a_link(tmp_path: Path, peer: Peer) -> None:
    peer.content_type = "text/html"
    async with attaching(tmp_path, peer) as w:
        await answered(w, peer)
        (delivery,) = await w.settle()
        assert (delivery["state"], files(w)) == ("done", [])
        assert "no recording" in delivery["warnings"]
        assert LINK in note(w)


async def test_a_withdrawn_recording_is_not_given_to_the_crm(tmp_path: Path, peer: Peer) -> None:
    peer.files.clear()
    async with attaching(tmp_path, peer) as w:
        await answered(w, peer)
        await w.settle()
        assert await w.db.write(revocations.revoke, (w.tenant.id, "sid1", "test", w.clock.now())) == 1
        peer.files["c1.mp3"] = AUDIO
        (delivery,) = await w.after(5 * MINUTE_S)
        assert (delivery["state"], files(w)) == ("done", [])
        assert "withdrawn" in delivery["warnings"]
        (found,) = await w.db.read(recordings.recordings, w.tenant.id)
        assert found.revoked_at is not None


async def test_another_recording_of_the_same_call_is_a_further_file(tmp_path: Path, peer: Peer) -> None:
    peer.files["c2.mp3"] = AUDIO[:100]
    async with attaching(tmp_path, peer) as w:
        await answered(w, peer)
        await w.settle()
        w.clock.advance(60)
        await answered(w, peer, "c2.mp3", CurrentTime="2099-01-01 00:00:00")
        await w.settle()
        assert sorted(file["size"] for file in files(w)) == [100, len(AUDIO)]


async def test_a_further_recording_that_never_comes_leaves_the_first_file(tmp_path: Path, peer: Peer) -> None:
    async with attaching(tmp_path, peer) as w:
        await answered(w, peer)
        await w.settle()
        w.clock.advance(24 * 60 * MINUTE_S)
        await w.event("sid1", "ivr", RecordingUrl=peer.recording(SID, "c2.mp3"), CurrentTime="2099-01-01 00:00:00")
        for _ in range(8):
            (delivery,) = await w.after(60 * MINUTE_S)
        assert (delivery["state"], len(files(w))) == ("done", 1)
        assert "never had the recording" in delivery["warnings"]
        await w.pipeline.replay(ReplayWish(w.tenant.id, call_sid="sid1"))
        await w.settle()
        assert len(files(w)) == 1


async def test_files_take_turns(tmp_path: Path, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline_recordings, "_TURNS", 0)
    async with attaching(tmp_path, peer) as w:
        await answered(w, peer)
        (delivery,) = await w.settle()
        assert (delivery["state"], files(w), peer.requests) == ("pending", [], [])
        w.pipeline.recordings._turns = 1
        (delivery,) = await w.after(5)
        assert (delivery["state"], len(files(w))) == ("done", 1)


async def test_a_signed_link_where_the_keys_alone_do_not_open(tmp_path: Path, peer: Peer) -> None:
    async with Peer(private=False).running() as bucket:
        link = f"{bucket.url}/c1.mp3?X-Amz-Signature=abc"
        asked = []

        async def details(request: web.Request) -> web.Response:
            asked.append(dict(request.query))
            return web.json_response({"Call": {"Sid": "sid1", "PreSignedRecordingUrl": link}})

        peer.details, peer.status = details, 403
        host = bucket.url.removeprefix("http://")
        async with attaching(tmp_path, peer, recording_hosts=[host]) as w:
            await answered(w, peer)
            (delivery,) = await w.settle()
            assert (delivery["state"], len(files(w))) == ("done", 1)
            assert asked == [{"details": "true", "RecordingUrlValidity": "5"}]
            assert bucket.requests == [("/c1.mp3", None, None)]
            for table in ("event", "step", "recording", "call"):
                assert "X-Amz-Signature" not in str(await w.rows(f"select * from {table}"))


async def test_without_a_public_address_the_note_says_so(tmp_path: Path, peer: Peer) -> None:
    async with world(tmp_path, exotel=peer.url, public_url=None) as w:
        await answered(w, peer)
        (delivery,) = await w.settle()
        assert "Call Recording: kept at Exotel; there is no link" in note(w)
        assert "CONNECTOR_PUBLIC_URL" in delivery["warnings"]


def test_who_takes_files() -> None:
    takes = [name for name, adapter in registry.adapters().items() if issubclass(adapter, Files)]
    assert takes == ["freshdesk", "zoho_crm", "zoho_desk"]
