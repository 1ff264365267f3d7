"""Scenarios: what is played is what the parser reads; targets; a run against a server."""

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import pytest
from aiohttp import web

from connector.errors import ConfigError
from connector.exotel import CallEvent, parse_request
from connector.simulate import play
from connector.simulate.scenarios import AGENTS, EXOPHONE, SCENARIOS, Played
from connector.simulate.target import HookTarget, parse_target
from tests.rig.listening import Server

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)


def played(name: str) -> Played:
    return SCENARIOS[name].play(NOW, "exotel535", random.Random(1))


def events(name: str) -> list[CallEvent]:
    return [
        parse_request(event=one.event, method="GET", query=[*one.query, *one.params]) for one in played(name).requests
    ]


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_request_is_read(name: str) -> None:
    call = played(name)
    for event in events(name):
        assert event.call_sid == call.call_sid
        assert event.customer_number == "+91" + call.caller[1:]
        assert event.exophone in ("+91" + EXOPHONE[1:], None)
        assert event.occurred_at is None or event.occurred_at <= NOW
    times = [one.at_s for one in call.requests]
    assert times == sorted(times)


def test_calls_differ() -> None:
    one, other = (SCENARIOS["answered"].play(NOW) for _ in range(2))
    assert one.call_sid != other.call_sid
    assert len(one.call_sid) == 32


def test_an_answered_call_tells_who_took_it() -> None:
    last = events("several")[-1]
    assert (last.kind, last.status, last.answered, last.duration_s) == ("answered", "completed", True, 71)
    assert last.agent_number == "+91" + AGENTS[2].number[1:]
    assert len(last.legs) == 3
    assert last.recording_url is not None


def test_inputs_carry_digits_and_labels() -> None:
    first, second, end, *_ = events("ivr")
    assert (first.digits, first.tags) == ("1", [("ivr", 1, "lang_english")])
    assert (second.digits, second.tags) == ("2", [])
    assert end.kind == "end"


def test_a_call_of_the_api_is_outbound_and_ends_with_its_legs() -> None:
    last = events("outbound")[-1]
    assert (last.kind, last.direction, last.event_type, last.answered) == ("status", "outbound", "terminal", True)


def test_what_is_expected_follows_the_option() -> None:
    assert SCENARIOS["answered"].expected("none").ticket is None
    assert not SCENARIOS["answered"].expected("none").note
    assert SCENARIOS["answered"].expected("ticket").ticket == "answered"
    assert SCENARIOS["missed"].expected("ticket") == SCENARIOS["missed"].expected("none")


@pytest.mark.parametrize(
    ("url", "event", "expected"),
    [
        ("http://h:1/h/tok", "pop", "http://h:1/h/tok/pop"),
        ("http://h:1/prefix/h/tok/answered", "missed", "http://h:1/prefix/h/tok/missed"),
        ("https://k:t@h/v2/accounts/a/call-events?event=pop", "end", "https://h/v2/accounts/a/call-events?event=end"),
        ("https://k:t@h/v2/accounts/a", "status", "https://h/v2/accounts/a/status"),
        ("https://k:t@h/pop/a", "automated_answered", "https://h/answered/a"),
        ("https://k:t@h/pop/a", "voicemail", "https://h/missed/a?MissedCallType=voicemail"),
        ("https://k:t@h/pop/a", "ivr", None),
        ("https://k:t@h/callback/exotel/a/createpopup", "missed", "https://h/callback/exotel/a/callmissed"),
        ("https://k:t@h/callback/exotel/a", "voicemail", None),
        ("http://[::1]:8/h/tok", "pop", "http://[::1]:8/h/tok/pop"),
    ],
)
def test_targets(url: str, event: str, expected: str | None) -> None:
    request = next(one for call in map(played, SCENARIOS) for one in call.requests if one.event == event)
    made = parse_target(url).url(request)
    if expected is None:
        assert made is None
        return
    assert made is not None
    parts, wanted = urlsplit(made), urlsplit(expected)
    assert parts[:3] == wanted[:3]
    assert set(parse_qsl(wanted.query)) <= set(parse_qsl(parts.query))
    assert ("CallSid=" in parts.query) != request.is_post


def test_credentials_are_sent_as_basic_and_never_shown() -> None:
    target = parse_target("https://key:to%40ken@h/pop/a")
    assert target.headers == {"Authorization": "Basic a2V5OnRvQGtlbg=="}
    assert "ken" not in repr(target)


@pytest.mark.parametrize("url", ["ftp://h/h/tok", "/h/tok", "http://h/", "http://h/tok-en", "http://[h/h/tok"])
def test_no_hook_url(url: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_target(url)
    assert "tok-en" not in raised.value.message


def test_mix() -> None:
    assert parse_names("answered=5, missed") == {"answered": 5, "missed": 1}
    for text in ("nope", "answered=x", "answered=0", ""):
        with pytest.raises(ConfigError):
            play.parse_mix(text)


def parse_names(text: str) -> dict[str, int]:
    return {scenario.name: weight for scenario, weight in play.parse_mix(text).items()}


class Hook:
    """Takes hooks; refuses every `end`."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        kind = request.match_info["kind"]
        self.kinds.append(kind)
        if request.method == "POST":
            assert (await request.post())["CallSid"]
        return web.Response(status=400 if kind == "end" else 200)


@pytest.fixture
async def hook() -> AsyncIterator[tuple[Hook, HookTarget]]:
    hook = Hook()
    app = web.Application()
    app.router.add_route("*", "/h/token/{kind}", hook.answer)
    async with Server(app) as server:
        yield hook, parse_target(str(server.make_url("/h/token")))


async def test_a_run_sends_all_and_counts(hook: tuple[Hook, HookTarget]) -> None:
    server, target = hook
    done: list[None] = []
    summary = await play.simulate(
        target, calls=len(SCENARIOS), rate=1000, mix=play.parse_mix(None), speed=1000, on_call=lambda: done.append(None)
    )
    assert len(done) == len(SCENARIOS)
    assert summary.sent == len(server.kinds) == sum(len(played(name).requests) for name in SCENARIOS)
    assert summary.failures == {"HTTP 400": server.kinds.count("end")}
    assert summary.accepted == summary.sent - server.kinds.count("end")
    assert 0 < summary.percentile_ms(50) <= summary.percentile_ms(99)


async def test_a_server_that_is_not_there_is_a_failure() -> None:
    mix = {SCENARIOS["missed"]: 1}
    summary = await play.simulate(parse_target("http://127.0.0.1:1/h/token"), calls=1, rate=10, mix=mix, speed=1000)
    assert summary.accepted == 0
    assert sum(summary.failures.values()) == summary.sent
    assert summary.percentile_ms(99) == 0.0
