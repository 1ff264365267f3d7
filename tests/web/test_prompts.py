"""What callers are asked and told: gather, greeting, playback, over sockets."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from connector.web.keys import DATABASE
from tests.web.switchboard import CALLER, EXOPHONE, HOOK, Switchboard, switchboard

WAV = "https://cdn.acme.example/{}.wav"
APPLETS: dict[str, Any] = {
    "gather": {
        "order": {
            "gather_prompt": {"text": "You keyed {{ digits or 'nothing' }}. Key your order."},
            "max_input_digits": 5,
            "finish_on_key": "",
            "input_timeout": 6,
            "repeat_menu": 2,
            "repeat_gather_prompt": {"audio_url": WAV.format("again")},
        },
        "plain": {"gather_prompt": {"audio_url": WAV.format("ask")}},
    },
    "greeting": {
        "hello": {"text": "Welcome, {{ number }}.\n  It is {{ weekday }}, {{ hour }} o'clock at {{ exophone }}."},
        "tunes": {"audio_urls": [WAV.format("one"), WAV.format("two")]},
        "echo": {"text": "{{ custom_field }}"},
        "fails": {"text": "{{ digits|int }} {{ digits[4] if digits else 'none' }}"},
    },
    "playback": {
        "agent": {
            "start_call_playback": {"playback_to": "callee", "type": "text", "value": "From {{ exophone }}"},
            "in_call_playback": {
                "start_delay": 5,
                "repeat_frequency": 10,
                "type": "audio_url",
                "value": WAV.format("b"),
            },
            "end_call_playback": {"type": "text", "value": "Goodbye"},
        }
    },
}


@pytest.fixture
async def board(tmp_path: Path) -> AsyncIterator[Switchboard]:
    async with switchboard(tmp_path, connections=[], applets=APPLETS) as board:
        yield board


async def words(board: Switchboard, name: str, **params: str) -> str:
    answer = await board.get("greeting", name=name, **params)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain")
    return str(await answer.text())


async def test_gather(board: Switchboard) -> None:
    assert await board.answer("gather", name="order", digits='"15246"') == {
        "gather_prompt": {"text": "You keyed 15246. Key your order."},
        "max_input_digits": 5,
        "finish_on_key": "",
        "input_timeout": 6,
        "repeat_menu": 2,
        "repeat_gather_prompt": {"audio_url": WAV.format("again")},
    }
    assert await board.answer("gather", name="plain") == {
        "gather_prompt": {"audio_url": WAV.format("ask")},
        "max_input_digits": 255,
        "finish_on_key": "#",
        "input_timeout": 5,
        "repeat_menu": 0,
    }


async def test_playback(board: Switchboard) -> None:
    assert await board.answer("playback") == {
        "start_call_playback": {"playback_to": "callee", "type": "text", "value": "From Support line"},
        "in_call_playback": {
            "start_delay": 5,
            "repeat_frequency": 10,
            "play_to_callee": True,
            "play_to_caller": False,
            "type": "audio_url",
            "value": WAV.format("b"),
        },
        "end_call_playback": {"type": "text", "value": "Goodbye"},
    }


async def test_greeting_is_words_on_one_line_or_addresses_line_by_line(board: Switchboard) -> None:
    board.clock.at = 1703659625.0  # 2023-12-27 12:17:05 in Kolkata
    assert await words(board, "hello") == "Welcome, 08884643606. It is Wednesday, 12 o'clock at Support line."
    assert await words(board, "tunes") == f"{WAV.format('one')}\n{WAV.format('two')}"


@pytest.mark.parametrize(
    "said",
    [
        "https://evil.example/a.wav",
        "hello\nhttps://evil.example/a.wav\r\nhttp://evil.example/b.wav",
        "\u2028https://evil.example/a.wav",
        "HTTPS:////evil.example/a.wav",
        "hhttps://ttps://evil.example/a.wav",
    ],
)
async def test_what_a_request_brings_is_never_an_address(board: Switchboard, said: str) -> None:
    text = await words(board, "echo", CustomField=said)
    assert "://" not in text
    assert len(text.splitlines()) == 1
    assert "evil.example" in text


async def test_what_a_request_brings_is_never_a_template(board: Switchboard) -> None:
    assert await words(board, "echo", CustomField="{{ 7 * 7 }}{% for x in y %}") == "{{ 7 * 7 }}{% for x in y %}"


async def test_a_template_that_does_not_fit_the_request_is_filled_with_nothing(board: Switchboard) -> None:
    assert await words(board, "fails", digits='"12345"') == "12345 5"
    assert await words(board, "fails", digits='"12"') == "0 none"


@pytest.mark.parametrize("path", ["gather?name=order", "greeting?name=hello", "greeting?name=tunes", "playback"])
async def test_head_has_the_same_headers(board: Switchboard, path: str) -> None:
    path = f"/h/{HOOK}/{path}{'&' if '?' in path else '?'}CallSid=c1"
    async with board.client.get(path) as got, board.client.head(path) as head:
        whole = await got.read()
        assert (got.status, head.status) == (200, 200)
        assert await head.read() == b""
        for name in ("Content-Type", "Content-Length", "Exotel-Version"):
            assert head.headers.get(name) == got.headers.get(name)
        assert head.headers["Content-Length"] == str(len(whole))


@pytest.mark.parametrize("query", ["", "?name=nothing", "?name="])
async def test_another_name_is_a_mistake_that_the_flows_fallback_is_for(board: Switchboard, query: str) -> None:
    for applet in ("gather", "greeting"):
        async with board.client.get(f"/h/{HOOK}/{applet}{query}") as answer:
            assert answer.status == 404
            body = await answer.json()
            assert (body["error"]["code"], body["error"]["field"]) == ("unknown_applet", "name")


async def test_a_request_that_tells_nothing_is_answered(board: Switchboard) -> None:
    async with board.client.get(f"/h/{HOOK}/greeting?name=hello") as answer:
        assert answer.status == 200
        assert (await answer.text()).startswith("Welcome, Withheld number.")


async def test_a_masked_number_is_masked_here_too(tmp_path: Path) -> None:
    async with switchboard(tmp_path, connections=[], applets=APPLETS, mask={"customer_numbers": "last_4"}) as board:
        assert (await words(board, "hello")).startswith("Welcome, …3606.")


class TestGatherHasTwoMeanings:
    """The capability URL ends in `gather` for the passthru behind a Gather too: what was keyed is never lost."""

    @pytest.mark.parametrize("told", [{"digits": '"15246"'}, {"digits": '""'}, {"gather_tag_1": "order"}])
    async def test_what_was_keyed_is_an_event(self, board: Switchboard, told: dict[str, str]) -> None:
        asked = {"CallSid": "c1", "CallFrom": CALLER, "CallTo": EXOPHONE, **told}
        async with board.client.get(f"/h/{HOOK}/gather", params=asked) as answer:
            assert (answer.status, await answer.read()) == (200, b"")
        assert await _kinds(board) == ["gather"]

    @pytest.mark.parametrize(
        ("headers", "told"),
        [
            ({"Exotel-Version": "1.0"}, {"name": "plain", "digits": '"1"'}),
            ({"Exotel-Version": "1.0"}, {"name": "plain"}),
            ({}, {"name": "plain", "digits": '"1"'}),
        ],
    )
    async def test_an_applet_is_answered(
        self, board: Switchboard, headers: dict[str, str], told: dict[str, str]
    ) -> None:
        asked = {"CallSid": "c1", "CallFrom": CALLER, **told}
        async with board.client.get(f"/h/{HOOK}/gather", params=asked, headers=headers) as answer:
            assert answer.status == 200
            assert "gather_prompt" in await answer.json()
        assert await _kinds(board) == []


async def _kinds(board: Switchboard) -> list[str]:
    rows = await board.app[DATABASE].read(lambda sql: sql.execute(text("select kind from event")).all())
    return [row.kind for row in rows]
