"""Sends scenarios to a target, and counts what was accepted and how fast."""

import asyncio
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from connector.errors import ConfigError
from connector.simulate.scenarios import SCENARIOS, Played, Request, Scenario, utc_now
from connector.simulate.target import HookTarget

_TIMEOUT: Final = aiohttp.ClientTimeout(total=30, connect=5)
#: A call of a minute takes three seconds.
SPEED: Final = 20.0


@dataclass(slots=True)
class Summary:
    """How a run went. `failures`: reason -> how many; latencies in milliseconds."""

    sent: int = 0
    accepted: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    latencies_ms: list[float] = field(default_factory=list)

    def percentile_ms(self, percent: int) -> float:
        """A percentile of the latencies; 0 where nothing was sent."""
        if len(self.latencies_ms) < 2:
            return self.latencies_ms[0] if self.latencies_ms else 0.0
        return statistics.quantiles(self.latencies_ms, n=100, method="inclusive")[percent - 1]


def parse_mix(text: str | None) -> Mapping[Scenario, int]:
    """`answered=5,missed=2` as weights; None means every scenario alike. Raises `ConfigError`."""
    if text is None:
        return dict.fromkeys(SCENARIOS.values(), 1)
    mix: dict[Scenario, int] = {}
    for part in text.split(","):
        name, _, weight = part.strip().partition("=")
        if name not in SCENARIOS or not (weight or "1").isdecimal():
            known = ", ".join(SCENARIOS)
            raise ConfigError(f"--mix takes NAME=WEIGHT, comma-separated; names are {known}")
        mix[SCENARIOS[name]] = int(weight or "1")
    if not any(mix.values()):
        raise ConfigError("--mix needs a weight above 0")
    return mix


async def play(
    session: aiohttp.ClientSession, target: HookTarget, played: Played, summary: Summary, speed: float
) -> None:
    """Sends one call's requests in order, their gaps divided by `speed`; an answer may outlast a gap."""
    began = time.monotonic()
    first_s = played.requests[0].at_s
    async with asyncio.TaskGroup() as sending:
        for request in played.requests:
            await asyncio.sleep(began + (request.at_s - first_s) / speed - time.monotonic())
            url = target.url(request)
            if url is not None:
                sending.create_task(_send(session, target, url, request, summary))


async def simulate(
    target: HookTarget,
    *,
    calls: int,
    rate: float,
    mix: Mapping[Scenario, int],
    speed: float = SPEED,
    sid: str | None = None,
    on_call: Callable[[], None] = lambda: None,
) -> Summary:
    """Plays `calls` scenarios drawn from `mix`, `rate` of them starting per second; `on_call` after each."""
    summary = Summary()
    dice = random.Random()  # noqa: S311 - which call comes next is no secret
    chosen = _drawn(mix, calls, dice)
    began = time.monotonic()

    async def one(scenario: Scenario) -> None:
        played = scenario.play(utc_now(), target.sid or sid or "exotel535", dice)
        await play(session, target, played, summary, speed)
        on_call()

    async with new_session() as session, asyncio.TaskGroup() as playing:
        for place, scenario in enumerate(chosen):
            await asyncio.sleep(began + place / rate - time.monotonic())
            playing.create_task(one(scenario))
    return summary


def new_session() -> aiohttp.ClientSession:
    """A session with as many connections as the calls need."""
    return aiohttp.ClientSession(timeout=_TIMEOUT, connector=aiohttp.TCPConnector(limit=512))


def _drawn(mix: Mapping[Scenario, int], calls: int, dice: random.Random) -> Sequence[Scenario]:
    """Each scenario of the mix once before chance decides, so that a short run shows them all."""
    once = [scenario for scenario, weight in mix.items() if weight][:calls]
    return once + dice.choices(list(mix), weights=list(mix.values()), k=calls - len(once))


async def _send(
    session: aiohttp.ClientSession, target: HookTarget, url: str, request: Request, summary: Summary
) -> None:
    summary.sent += 1
    began = time.perf_counter()
    try:
        async with session.request(
            "POST" if request.is_post else "GET",
            url,
            data=_multipart(request) if request.is_post else None,
            headers=target.headers,
            allow_redirects=False,
        ) as answer:
            await answer.read()
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        summary.failures[type(error).__name__] += 1
        return
    summary.latencies_ms.append((time.perf_counter() - began) * 1000)
    if answer.status == 200:
        summary.accepted += 1
    else:
        summary.failures[f"HTTP {answer.status}"] += 1


def _multipart(request: Request) -> aiohttp.MultipartWriter:
    form = aiohttp.MultipartWriter("form-data")
    for name, value in request.params:
        part = form.append(value)
        part.set_content_disposition("form-data", name=name)
    return form
