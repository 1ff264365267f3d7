"""`/r/{token}` over sockets: who may hear a recording, what is passed on, and what never leaves."""

import asyncio
import json
import re
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.fernet import Fernet

from connector.app import BOX, DATABASE
from connector.pipeline.recordings.fetch import LATE_S
from connector.store.secrets import open_box, rekey
from connector.tenants.apply import apply
from connector.tenants.file import parse
from connector.web.pages import recordings as web_recordings
from tests.pipeline.world import SID
from tests.recordings.peer import AUDIO, BASIC, Peer
from tests.recordings.rig import Rig, rig

DAY_S = 86_400


async def code(answer: aiohttp.ClientResponse) -> str:
    return str((await answer.json())["error"]["code"])


# --- what is passed on ---


async def test_the_link_in_the_note_plays_the_recording(tmp_path: Path, peer: Peer) -> None:
    async with rig(tmp_path, peer) as r:
        path = await r.call()
        assert "exotelrecordings" not in await r.note()
        answer = await r.page(path)
        assert (answer.status, await answer.read()) == (200, AUDIO)
        assert peer.requests == [(f"/exotelrecordings/{SID}/c1.mp3", BASIC, None)]
        headers = answer.headers
        assert headers["Content-Type"] == "audio/mpeg"
        assert headers["Content-Length"] == str(len(AUDIO))
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Disposition"] == 'inline; filename="recording-sid1.mp3"'
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "private, no-store"
        assert "sandbox" in headers["Content-Security-Policy"]
        assert headers["Accept-Ranges"] == "bytes"
        (row,) = await r.rows("select state, size from recording")
        assert row == {"state": "ready", "size": len(AUDIO)}


@pytest.mark.parametrize(
    ("wanted", "status", "content", "of"),
    [
        ("bytes=0-99", 206, AUDIO[:100], f"bytes 0-99/{len(AUDIO)}"),
        ("bytes=1000-", 206, AUDIO[1000:], f"bytes 1000-{len(AUDIO) - 1}/{len(AUDIO)}"),
        ("bytes=-50", 206, AUDIO[-50:], f"bytes {len(AUDIO) - 50}-{len(AUDIO) - 1}/{len(AUDIO)}"),
        ("bytes=999999999-", 416, b"", f"bytes */{len(AUDIO)}"),
        ("bytes=0-1,5-9", 200, AUDIO, None),
        ("lines=1-2", 200, AUDIO, None),
    ],
)
async def test_ranges(tmp_path: Path, peer: Peer, wanted: str, status: int, content: bytes, of: str | None) -> None:
    async with rig(tmp_path, peer) as r:
        path = await r.call()
        answer = await r.get(path, Range=wanted)
        assert (answer.status, await answer.read()) == (status, content)
        assert answer.headers.get("Content-Range") == of


async def test_a_range_of_another_version_is_the_whole_file(tmp_path: Path, peer: Peer) -> None:
    async with rig(tmp_path, peer) as r:
        path = await r.call()
        same = await r.get(path, Range="bytes=0-9", If_Range='"first"')
        other = await r.get(path, Range="bytes=0-9", If_Range='"second"')
        assert (same.status, other.status) == (206, 200)
        assert await other.read() == AUDIO


async def test_head_tells_without_content(tmp_path: Path, peer: Peer) -> None:
    async with rig(tmp_path, peer) as r:
        path = await r.call()
        answer = await r.client.head(path)
        assert (answer.status, answer.headers["Content-Length"], await answer.read()) == (200, str(len(AUDIO)), b"")
        assert (await r.client.head(path.replace("/r/", "/r/0"))).status == 404


# --- who may hear it ---


async def test_a_link_expires_with_its_days(tmp_path: Path, peer: Peer) -> None:
    async with rig(tmp_path, peer, recordings={"days": 7}) as r:
        path = await r.call()
        r.clock.advance(7 * DAY_S - 1)
        assert (await r.get(path)).status == 200
        r.clock.advance(1)
        answer = await r.get(path)
        assert (answer.status, await code(answer)) == (410, "expired")
        assert "7 days" in await (await r.page(path)).text()
        signed_in = await r.get(path, Authorization=f"Bearer {await r.token(SID)}")
        assert (signed_in.status, await signed_in.read()) == (200, AUDIO)


async def test_days_and_open_to_hold_for_old_links_at_once_and_rewrite_no_note(tmp_path: Path, peer: Peer) -> None:
    async with rig(tmp_path, peer) as r:
        path = await r.call()
        before = await r.rows("select body, updated_at from desk_note")
        await r.change(recordings={"open_to": "signed_in", "days": 2})
        assert (await r.get(path)).status == 401
        await r.change(recordings={"open_to": "anyone_with_link", "days": 2})
        r.clock.advance(3 * DAY_S)
        assert (await r.get(path)).status == 410
        await replayed(r)
        assert await r.rows("select body, updated_at from desk_note") == before


async def replayed(r: Rig) -> None:
    operator = await r.token(None)
    asked = {"tenant": SID, "call_sid": "sid1"}
    answer = await r.client.post("/api/v1/replay", json=asked, headers={"Authorization": f"Bearer {operator}"})
    assert answer.status == 200, await answer.text()
    await r.done()


async def test_signed_in_people_of_the_tenant_alone(tmp_path: Path, peer: Peer) -> None:
    async with rig(tmp_path, peer, recordings={"open_to": "signed_in"}) as r:
        path = await r.call()
        answer = await r.page(path)
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="connector"')
        assert "Sign in to listen" in await answer.text()
        await asyncio.to_thread(add_tenant, r, "stranger1")
        for who, sid, status in (("amy", SID, 200), ("op", None, 200), ("eve", "stranger1", 401)):
            assert (await r.get(path, Authorization=f"Bearer {await r.token(sid)}")).status == status, who
        assert (await r.get(path, Authorization="Bearer ctk_made-up")).status == 401
        assert (await r.get(path, Authorization=BASIC)).status == 401


def add_tenant(r: Rig, sid: str) -> None:
    apply(parse(f"tenants: [{{sid: {sid}, api_key: k, api_token: t}}]", "t.yaml", {}), r.app[DATABASE], r.app[BOX])


@pytest.mark.parametrize("change", ["name", "signature", "shorter", "nothing", "odd"])
async def test_no_other_token_opens_anything(tmp_path: Path, peer: Peer, change: str) -> None:
    async with rig(tmp_path, peer) as r:
        path = await r.call()
        name, _, signature = path.removeprefix("/r/").partition(".")
        other = await r.call("sid2")
        flipped = ("1" if name[0] != "1" else "2") + name[1:]
        wrong = {
            "name": f"{flipped}.{signature}",
            "signature": f"{name}.{other.partition('.')[2]}",
            "shorter": f"{name}.{signature[:-1]}",
            "nothing": name,
            "odd": "%00%ff..%2F",
        }[change]
        answer = await r.get(f"/r/{wrong}")
        assert answer.status == 404
        assert not peer.requests


async def test_a_link_works_while_its_key_is_listed_and_a_new_key_rewrites_no_note(tmp_path: Path, peer: Peer) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    async with rig(tmp_path, peer, keys=old) as r:
        path = await r.call()
        before = await r.rows("select body, updated_at from desk_note")
    async with rig(tmp_path, peer, keys=f"{new},{old}") as r:
        assert (await r.get(path)).status == 200
        await replayed(r)
        assert await r.rows("select body, updated_at from desk_note") == before
        assert (await r.get(await r.call("sid2"))).status == 200
        await asyncio.to_thread(reseal, r)
    async with rig(tmp_path, peer, keys=new) as r:
        assert (await r.get(path)).status == 404
        assert r.path_in(await r.note()) == path
        await r.client.post(
            "/api/v1/replay",
            json={"tenant": SID, "call_sid": "sid1"},
            headers={"Authorization": f"Bearer {await r.token(None)}"},
        )
        await r.done()
        healed = r.path_in(await r.note())
        assert healed != path
        assert (await r.get(healed)).status == 200


def reseal(r: Rig) -> None:
    rekey(r.config, r.app[DATABASE])


async def test_revoked_by_the_api_and_by_nobody_elses_token(tmp_path: Path, peer: Peer) -> None:
    async with rig(tmp_path, peer) as r:
        path = await r.call()
        await asyncio.to_thread(add_tenant, r, "stranger1")
        eve, amy = await r.token("stranger1"), await r.token(SID)
        url = "/api/v1/recordings/sid1"
        assert (await r.client.delete(url)).status == 401
        assert (await r.client.delete(url, headers={"Authorization": f"Bearer {eve}"})).status == 404
        assert (await r.get(path)).status == 200
        answer = await r.client.delete(url, headers={"Authorization": f"Bearer {amy}"})
        assert (answer.status, await answer.json()) == (200, {"call_sid": "sid1", "revoked": 1})
        again = await r.client.delete(url, headers={"Authorization": f"Bearer {amy}"})
        assert await again.json() == {"call_sid": "sid1", "revoked": 0}
        refused = await r.get(path, Authorization=f"Bearer {amy}")
        assert (refused.status, await code(refused)) == (410, "revoked")
        assert "withdrawn" in await (await r.page(path)).text()
        nowhere = await r.client.delete("/api/v1/recordings/sid9", headers={"Authorization": f"Bearer {amy}"})
        assert nowhere.status == 404
        rows = await r.rows("select who, what, detail from audit where what = 'recordings.revoke'")
        assert [json.loads(row["detail"]) for row in rows] == [{"call_sid": "sid1", "revoked": 1}]


# --- what Exotel answers ---


async def test_not_ready_then_missing(tmp_path: Path, peer: Peer) -> None:
    peer.files.clear()
    async with rig(tmp_path, peer) as r:
        path = await r.call()
        answer = await r.get(path)
        assert (answer.status, await code(answer)) == (503, "not_ready")
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert "Try again" in await (await r.page(path)).text()
        r.clock.advance(300 + LATE_S)
        answer = await r.get(path)
        assert (answer.status, await code(answer)) == (404, "missing")
        assert (await r.rows("select state from recording")) == [{"state": "missing"}]
        peer.files["c1.mp3"] = AUDIO
        assert (await r.get(path)).status == 200


async def test_the_time_that_exotel_promised_counts(tmp_path: Path, peer: Peer) -> None:
    peer.status = 403
    async with rig(tmp_path, peer) as r:
        promised = r.clock.now() + 3600 + 5.5 * 3600  # Exotel writes IST without saying so
        words = time.strftime("%a, %d %b %Y %H:%M:%S", time.gmtime(promised))
        path = await r.call(RecordingAvailableBy=words)
        r.clock.advance(3600 + LATE_S - 5)
        assert await code(await r.get(path)) == "not_ready"
        r.clock.advance(10)
        assert await code(await r.get(path)) == "missing"


@pytest.mark.parametrize(
    ("status", "headers", "expected", "retry_after"),
    [
        (500, {}, (503, "exotel_unavailable"), "60"),
        (503, {"Retry-After": "17"}, (503, "exotel_unavailable"), "17"),
        (429, {"Retry-After": "9"}, (503, "exotel_unavailable"), "9"),
        (401, {}, (502, "exotel_refused"), None),
        (200, {}, (502, "not_audio"), None),
    ],
)
async def test_what_exotel_refuses(
    tmp_path: Path,
    peer: Peer,
    status: int,
    headers: dict[str, str],
    expected: tuple[int, str],
    retry_after: str | None,
) -> None:
    peer.status, peer.headers = status, headers
    async with rig(tmp_path, peer) as r:
        path = await r.call()
        answer = await r.get(path)
        assert (answer.status, await code(answer)) == expected
        assert answer.headers.get("Retry-After") == retry_after
        assert "<h1>no</h1>" not in await (await r.page(path)).text()


async def test_exotel_is_away(tmp_path: Path) -> None:
    async with Peer().running() as peer:
        url = peer.url
    peer.url = url
    async with rig(tmp_path, peer) as r:
        answer = await r.get(await r.call())
        assert (answer.status, await code(answer)) == (503, "exotel_unavailable")


@pytest.mark.parametrize(
    "hostile",
    ["text/html", "image/svg+xml", "application/javascript", "audio/", "audio/<script>", "multipart/byteranges"],
)
async def test_what_is_no_audio_is_not_passed_on(tmp_path: Path, peer: Peer, hostile: str) -> None:
    peer.content_type = hostile
    peer.files["c1.mp3"] = b"<script>alert(1)</script>"
    async with rig(tmp_path, peer) as r:
        answer = await r.page(await r.call())
        assert answer.status == 502
        assert "<script" not in await answer.text()


async def test_compressed_audio_is_refused(tmp_path: Path, peer: Peer) -> None:
    peer.status, peer.headers = None, {"Content-Encoding": "gzip"}
    async with rig(tmp_path, peer) as r:
        assert await code(await r.get(await r.call())) == "not_audio"


@pytest.mark.parametrize("told", ["binary/octet-stream", "application/octet-stream"])
async def test_a_bucket_that_was_told_no_type(tmp_path: Path, peer: Peer, told: str) -> None:
    peer.content_type = told
    peer.files["c1.wav"] = AUDIO
    async with rig(tmp_path, peer) as r:
        assert (await r.get(await r.call())).headers["Content-Type"] == "audio/mpeg"
        assert (await r.get(await r.call("sid2", "c1.wav"))).headers["Content-Type"] == "audio/wav"


# --- redirects ---


async def test_a_redirect_to_another_host_goes_without_the_keys(tmp_path: Path, peer: Peer) -> None:
    async with Peer(private=False).running() as cdn:
        peer.onward = f"{cdn.url}/signed/c1.mp3?X-Amz-Signature=abc%2Fdef"
        async with rig(tmp_path, peer, recording_hosts=[cdn.url.removeprefix("http://")]) as r:
            path = await r.call()
            answer = await r.get(path, Range="bytes=0-9")
            assert (answer.status, await answer.read()) == (206, AUDIO[:10])
            assert cdn.requests == [("/signed/c1.mp3", None, "bytes=0-9")]
            assert "Location" not in answer.headers


async def test_a_redirect_on_the_same_host_keeps_the_keys(tmp_path: Path, peer: Peer) -> None:
    async with rig(tmp_path, peer) as r:
        path = await r.call(name="old.mp3")
        peer.moved["old.mp3"] = "c1.mp3"
        assert (await r.get(path)).status == 200
        assert [(name.rpartition("/")[2], keys) for name, keys, _ in peer.requests] == [
            ("old.mp3", BASIC),
            ("c1.mp3", BASIC),
        ]


@pytest.mark.parametrize(
    "onward",
    [
        "http://127.0.0.1:9/exotelrecordings/c1.mp3",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]:9/x.mp3",
        "https://evil.example/c1.mp3",
        "https://evilexotel.com/c1.mp3",
        "https://recordings.exotel.com.evil.example/c1.mp3",
        "https://user:pw@recordings.exotel.com/c1.mp3",
        "http://recordings.exotel.com/c1.mp3",
        "https://recordings.exotel.com:8443/c1.mp3",
        "file:///etc/passwd",
        "//evil.example/c1.mp3",
        "",
        "https://[broken",
    ],
)
async def test_where_a_redirect_may_not_lead(tmp_path: Path, peer: Peer, onward: str) -> None:
    peer.onward = onward
    async with rig(tmp_path, peer) as r:
        answer = await r.get(await r.call())
        assert (answer.status, await code(answer)) == (502, "elsewhere")


async def test_a_public_name_that_leads_into_the_private_network(
    tmp_path: Path, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def resolve(_self: Any, host: str, port: int = 0, family: Any = None) -> list[dict[str, Any]]:
        asked.append(host)
        return [{"hostname": host, "host": "10.0.0.7", "port": port, "family": 2, "proto": 0, "flags": 0}]

    monkeypatch.setattr(aiohttp.ThreadedResolver, "resolve", resolve)
    peer.onward = "https://d111111abcdef8.cloudfront.net/c1.mp3"
    async with rig(tmp_path, peer) as r:
        answer = await r.get(await r.call())
        assert (answer.status, await code(answer)) == (502, "elsewhere")
        assert asked == ["d111111abcdef8.cloudfront.net"]


async def test_at_most_three_redirects(tmp_path: Path, peer: Peer) -> None:
    async with rig(tmp_path, peer) as r:
        path = await r.call()
        peer.onward = peer.recording(SID)
        answer = await r.get(path)
        assert (answer.status, await code(answer)) == (502, "elsewhere")
        assert len(peer.requests) == 4


# --- streams ---


def resident_kb() -> int:
    status = Path("/proc/self/status").read_text()
    match = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert match is not None
    return int(match[1])


async def test_a_large_recording_is_never_held(tmp_path: Path, peer: Peer) -> None:
    """200 MB pass through in this process, peer and listener included."""
    async with rig(tmp_path, peer) as r:
        path = await r.call()
        await (await r.get(path)).read()
        peer.endless = 200 * 1024 * 1024
        before, most, got = resident_kb(), 0, 0
        async with r.client.get(path) as answer:
            async for piece in answer.content.iter_any():
                got += len(piece)
                most = max(most, resident_kb())
        assert got == peer.endless
        assert most - before < 5 * 1024, f"{most - before} kB more"


async def test_a_slow_listener_holds_exotel_back(tmp_path: Path, peer: Peer) -> None:
    async with rig(tmp_path, peer) as r:
        path = await r.call()
        peer.endless = 200 * 1024 * 1024
        async with r.client.get(path) as answer:
            await answer.content.readany()
            sent = -1
            while sent != peer.sent:
                sent = peer.sent
                await asyncio.sleep(0.3)
            # What the sockets' buffers and ours hold, on both sides.
            assert sent < 40 * 1024 * 1024, "it went on without being read"


async def test_a_listener_who_hangs_up_ends_the_fetch(tmp_path: Path, peer: Peer) -> None:
    async with rig(tmp_path, peer) as r:
        path = await r.call()
        peer.endless = 2 * 1024 * 1024 * 1024
        answer = await r.client.get(path)
        await answer.content.readany()
        answer.close()
        await asyncio.wait_for(peer.hung_up.wait(), 20)
        assert peer.sent < peer.endless


async def test_a_recording_that_breaks_off_does_not_look_whole(tmp_path: Path, peer: Peer) -> None:
    async with rig(tmp_path, peer) as r:
        path = await r.call()
        peer.endless, peer.breaks_after = 1024 * 1024, 1000
        with pytest.raises(aiohttp.ClientError):
            await (await r.get(path)).read()


async def test_more_listeners_than_there_are_streams(
    tmp_path: Path, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_recordings, "_STREAMS", 1)
    async with rig(tmp_path, peer) as r:
        path = await r.call()
        peer.endless = 200 * 1024 * 1024
        first = await r.client.get(path)
        await first.content.readany()
        second = await r.get(path)
        assert (second.status, await code(second), second.headers["Retry-After"]) == (503, "busy", "5")
        first.close()


# --- pages and logs ---


async def test_a_page_has_no_script_and_says_what_to_do(tmp_path: Path, peer: Peer) -> None:
    async with rig(tmp_path, peer) as r:
        answer = await r.page("/r/nonsense")
        text = await answer.text()
        assert (answer.status, answer.content_type) == (404, "text/html")
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'nonce-")
        assert "<script" not in text
        assert '<html lang="en">' in text
        assert "<h1>" in text
        assert "nonsense" not in text
        assert (await r.get("/r/nonsense")).content_type == "application/json"


async def test_no_link_token_or_key_is_logged(
    tmp_path: Path, peer: Peer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("DEBUG")
    async with rig(tmp_path, peer) as r:
        path = await r.call()
        assert (await r.get(path)).status == 200
        peer.onward = "https://evil.example/c1.mp3"
        assert (await r.get(path)).status == 502
        lines = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
        assert "recording opened" in lines
        for secret in (path.removeprefix("/r/"), "exotelrecordings", BASIC, "demo_token", "evil.example"):
            assert secret not in lines, secret


async def test_the_box_names_its_keys_without_telling_them(tmp_path: Path, peer: Peer) -> None:
    async with rig(tmp_path, peer, keys=Fernet.generate_key().decode()) as r:
        box = await asyncio.to_thread(open_box, r.config, r.app[DATABASE])
        (key_id,) = box.key_ids
        assert re.fullmatch(r"[0-9a-f]{12}", key_id)
        assert box.token("x") == box.token("x", key_id) == box.token("x", "unknown")
