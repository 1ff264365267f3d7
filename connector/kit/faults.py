"""Faults on purpose: an aiohttp middleware with which a stand-in of a CRM fails as real ones do.

A fault is taken from `script` while it lasts (for tests that need one fault at one request), else drawn by `odds` (for
long runs). Times are real: a client's time-out is what is tried.

| fault | what the client sees | effect |
| --- | --- | --- |
| `ok` | the answer | yes |
| `error_before`, `error_after` | 500 with an HTML page | no, yes |
| `rate_limited` | 429 with `Retry-After: retry_after_s` | no |
| `reset_before`, `reset_after` | the connection is cut without an answer | no, yes |
| `slow`, `late` | silence for `slow_s` | no; after `effect_after_s`, whether or not the client still waits |
"""

import asyncio
import random
import re
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

Fault = Literal["ok", "error_before", "error_after", "rate_limited", "reset_before", "reset_after", "slow", "late"]


@dataclass
class Faults:
    """What goes wrong, and how often. All of it may be changed while the stand-in runs."""

    #: Probability of each fault, 0 to 1; together at most 1.
    odds: dict[Fault, float] = field(default_factory=dict)
    #: Faults of the next requests that `only` fits, in order; `odds` apply again when it is used up.
    script: deque[Fault] = field(default_factory=deque)
    #: Which requests are touched: a regular expression that is searched for in `POST /api/v2/tickets`.
    only: str = ""
    #: Seconds that every request takes.
    latency_s: float = 0.0
    retry_after_s: int = 1
    slow_s: float = 30.0
    effect_after_s: float = 5.0
    seed: int | None = None
    #: How often each fault was dealt.
    dealt: Counter[Fault] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 (chance, not secrecy)

    def change(self, values: Mapping[str, Any]) -> None:
        """Sets fields by name, as a control endpoint gets them. Raises `ValueError` for a name that is none."""
        unknown = set(values) - {"odds", "script", "only", "latency_s", "retry_after_s", "slow_s", "effect_after_s"}
        if unknown:
            raise ValueError(f"no such setting of faults: {', '.join(sorted(unknown))}")
        named = {*values.get("odds", {}), *values.get("script", ())}
        if named - {*get_args(Fault)}:
            raise ValueError(f"no such fault: {', '.join(sorted(named - {*get_args(Fault)}))}")
        for name, value in values.items():
            setattr(self, name, deque(value) if name == "script" else value)

    def next(self, request: web.Request) -> Fault:
        """The fault of this request."""
        if not self.script and not self.odds:
            return "ok"
        if self.only and not re.search(self.only, f"{request.method} {request.path}"):
            return "ok"
        fault: Fault = self.script.popleft() if self.script else self._drawn()
        self.dealt[fault] += 1
        return fault

    def _drawn(self) -> Fault:
        left = self._random.random()
        for fault, odds in self.odds.items():
            if left < odds:
                return fault
            left -= odds
        return "ok"


def faults_middleware(faults: Faults, *, under: str = "/") -> Middleware:
    """A middleware that applies `faults` to requests whose path begins with `under`.

    It stands first in the list, and the body is read before anything happens: an effect that comes late must not need
    the connection any more.
    """

    @web.middleware
    async def fail(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith(under):
            return await handler(request)
        fault = faults.next(request)
        if faults.latency_s:
            await asyncio.sleep(faults.latency_s)
        if fault == "ok":
            return await handler(request)
        await request.read()
        return await _failed(fault, faults, request, handler)

    return fail


async def _failed(fault: Fault, faults: Faults, request: web.Request, handler: Handler) -> web.StreamResponse:
    if fault == "rate_limited":
        return web.json_response(
            {"message": "You have exceeded the limit of requests per minute"},
            status=429,
            headers={"Retry-After": str(faults.retry_after_s)},
        )
    if fault == "slow":
        await asyncio.sleep(faults.slow_s)
    if fault == "late":
        await asyncio.sleep(faults.effect_after_s)
        answer = await handler(request)
        await asyncio.sleep(max(0.0, faults.slow_s - faults.effect_after_s))
        return answer
    if fault.endswith("after"):
        await handler(request)
    if fault.startswith("reset") and request.transport is not None:
        request.transport.abort()
    return web.Response(status=500, text="<html><body>We're sorry, something went wrong.</body></html>")
