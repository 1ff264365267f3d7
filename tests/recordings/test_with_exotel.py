"""Links and files against the stand-in of Exotel: late files, a redirect to signed links, keys that went bad."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from connector.kit.exotel import ExotelAccount, exotel_app
from connector.kit.exotel.files import sound
from connector.kit.wire import serving
from tests.pipeline.test_every_adapter import done
from tests.pipeline.world import SID, ManualClock, World, world
from tests.recordings.peer import KEY, TOKEN, Peer
from tests.recordings.rig import Rig, rig

SIZE = 20_000


@asynccontextmanager
async def exotel(clock: ManualClock, call_sid: str = "sid1") -> AsyncIterator[tuple[ExotelAccount, Peer]]:
    """The account, with one recorded call that is over now, and where it is reached."""
    account = ExotelAccount(clock=clock.now, sid=SID, api_key=KEY, api_token=TOKEN)
    async with serving(exotel_app(account)) as url:
        account.url = url
        account.add_call({"sid": call_sid, "created_at": clock.now() - 60, "talk_s": 32, "recorded": True})
        yield account, replace(Peer(), url=url)


async def link_of(r: Rig, account: ExotelAccount) -> str:
    call = account.call("sid1")
    assert call is not None
    return await r.call(name=call.file)


async def test_late_then_in_ranges(tmp_path: Path) -> None:
    clock = ManualClock()
    async with exotel(clock) as (account, peer), rig(tmp_path, peer, clock=clock) as r:
        account.recording_after_s = 300
        path = await link_of(r, account)
        late = await r.get(path)
        assert (late.status, (await late.json())["error"]["code"]) == (503, "not_ready")
        clock.advance(301)
        whole = await r.get(path)
        assert (whole.status, whole.content_type, await whole.read()) == (200, "audio/mpeg", sound("sid1", 0, SIZE))
        part = await r.get(path, Range="bytes=100-199")
        assert (part.status, await part.read()) == (206, sound("sid1", 100, 200))
        assert part.headers["Content-Range"] == f"bytes 100-199/{SIZE}"


async def test_a_store_of_signed_links_gets_no_keys(tmp_path: Path) -> None:
    """The store refuses a request that brings credentials beside the signature, so a 200 says that none came."""
    clock = ManualClock()
    async with exotel(clock) as (account, peer), serving(exotel_app(account)) as cdn:
        account.cdn_url = cdn
        async with rig(tmp_path, peer, clock=clock, recording_hosts=[cdn.removeprefix("http://")]) as r:
            path = await link_of(r, account)
            answer = await r.get(path, Range="bytes=0-9")
            assert (answer.status, await answer.read()) == (206, sound("sid1", 0, 10))


async def test_signed_links_where_the_keys_went_bad_for_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock()
    async with exotel(clock) as (account, peer), rig(tmp_path, peer, clock=clock) as r:
        account.signed_links = True
        path = await link_of(r, account)
        await r.change(api_token="not-it")
        refused = await r.get(path)
        assert (refused.status, (await refused.json())["error"]["code"]) == (502, "exotel_refused")
        await r.change()
        assert (await r.get(path)).status == 200


async def test_a_file_that_comes_after_five_minutes(tmp_path: Path) -> None:
    clock = ManualClock()
    async with exotel(clock) as (account, peer):
        account.recording_after_s = 290
        async with world(tmp_path, clock=clock, exotel=peer.url, options={"recording": "attach"}) as w:
            await answered(w, account)
            (row,) = await w.settle()
            assert (row["state"], row["reason"]) == ("pending", "waiting")
            (row,) = await done(w)
            assert (row["state"], row["warnings"]) == ("done", "[]")
            assert f"'size': {SIZE}" in str(w.account.dump())


async def answered(w: World, account: ExotelAccount) -> None:
    call = account.call("sid1")
    assert call is not None
    await w.answered("sid1", RecordingUrl=f"{account.url}/exotelrecordings/{SID}/{call.file}")
