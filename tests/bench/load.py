"""Load: requests as Exotel sends them, and a client that costs so little that the service is what is measured.

The client speaks just enough HTTP/1.1 for this: one request at a time per connection, answers with a Content-Length.
"""

import asyncio
import copy
import itertools
import math
import secrets
import time
from array import array
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, cast
from urllib.parse import urlencode

from connector.simulate.scenarios import SCENARIOS, utc_now
from tests.bench.store import Hook

Dialect = Literal["freshdesk", "hook"]
Word = Literal["popup", "passthru"]

#: So many numbers are taken in turn; a run begins anywhere, so that its callers are new to a store that was kept.
_CALLERS = 10**8
#: A caller, as part of whatever spelling (a regular expression).
CALLER: Final = r"98\d{8}"
_LENGTH = b"content-length: "


class Requests:
    """Requests of calls: call `n` has a CallSid and a caller of its own, and belongs to the tenant whose turn it is."""

    def __init__(self, hooks: Sequence[Hook], dialect: Dialect) -> None:
        self._run = secrets.randbits(64) << 64
        self._first_caller = secrets.randbelow(_CALLERS)
        self._texts: dict[Word, list[bytes]] = {"popup": [], "passthru": []}
        played = SCENARIOS["automatic"].play(utc_now())
        self._call_sid, self._caller = played.call_sid.encode(), played.caller.encode()
        for hook in hooks:
            for texts, request in zip(self._texts.values(), (played.requests[0], played.requests[-1]), strict=True):
                params = [(name, value.replace("exotel535", hook.sid)) for name, value in request.params]
                texts.append(_request(hook, dialect, request.event, urlencode(params)))

    def again(self) -> "Requests":
        """Further calls of the same callers."""
        other = copy.copy(self)
        other._run = secrets.randbits(64) << 64
        return other

    def elsewhere(self) -> "Requests":
        """Calls of the same callers, each to the next tenant: the CRM that all share knows them, its connection not."""
        other = self.again()
        other._texts = {word: texts[1:] + texts[:1] for word, texts in self._texts.items()}
        return other

    def one(self, number: int, word: Word = "passthru") -> bytes:
        """A request of call `number`."""
        texts = self._texts[word]
        return (
            texts[number % len(texts)]
            .replace(self._call_sid, b"%032x" % (self._run + number))
            .replace(self._caller, self.caller(number).encode())
        )

    def caller(self, number: int) -> str:
        """The caller of call `number`, with a trunk zero."""
        return f"098{(self._first_caller + number) % _CALLERS:08d}"

    def some(self, calls: int | None = None) -> Iterator[bytes]:
        """The passthrus of so many calls, or of any number of them."""
        return map(self.one, itertools.count() if calls is None else range(calls))


def _request(hook: Hook, dialect: Dialect, event: str, query: str) -> bytes:
    if dialect == "hook":
        target, authorization = f"/h/{hook.token}/{event}?{query}", ""
    else:
        target = f"/v2/accounts/{hook.sid}/call-events?event={event}&{query}"
        credentials = b64encode(f"{hook.api_key}:{hook.api_token}".encode()).decode()
        authorization = f"Authorization: Basic {credentials}\r\n"
    return (
        f"GET {target} HTTP/1.1\r\nHost: calls.example.com\r\nUser-Agent: Exotel/1.0\r\nAccept: */*\r\n"
        f"Accept-Encoding: gzip, deflate\r\n{authorization}\r\n"
    ).encode()


@dataclass
class Answers:
    """What came back: `statuses` of all answers, and of those inside the measured time how many and how late."""

    statuses: Counter[int] = field(default_factory=Counter)
    latencies_s: "array[float]" = field(default_factory=lambda: array("d"))
    elapsed_s: float = 0.0
    #: Open loop only, for every request: how much later than it should have the generator itself sent, and when.
    late_s: "array[float]" = field(default_factory=lambda: array("d"))
    sent_at: "array[float]" = field(default_factory=lambda: array("d"))

    @property
    def acknowledged(self) -> int:
        """All 200s, those outside of the measured time too."""
        return self.statuses[200]

    @property
    def per_s(self) -> float:
        """Answers a second inside the measured time."""
        return len(self.latencies_s) / self.elapsed_s

    def refuse_failures(self) -> None:
        """Raises where anything but 200 came: the figures would mean nothing."""
        if set(self.statuses) - {200}:
            raise RuntimeError(f"answers other than 200: {dict(self.statuses)}")


def percentile_ms(seconds: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile, in milliseconds."""
    ordered = sorted(seconds)
    return round(1000 * ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)], 3)


class _Line(asyncio.Protocol):
    """A keep-alive connection: sends a request, waits for the whole answer, tells its owner."""

    def __init__(self, owner: "_Owner") -> None:
        self._owner = owner
        self._begun = b""
        self.sent_at = 0.0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def send(self, request: bytes) -> None:
        assert self.transport is not None
        self.sent_at = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._begun:
            data = self._begun + data
        end = data.find(b"\r\n\r\n")
        if end < 0 or len(data) < end + 4 + _content_length(data, end):
            self._begun = data
            return
        self._begun = b""
        self._owner.answered(self, int(data[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.lost(exc)


def _content_length(data: bytes, end: int) -> int:
    head = data[:end].lower()
    at = head.find(_LENGTH)
    return int(head[at + len(_LENGTH) :].partition(b"\r\n")[0]) if at >= 0 else 0


class _Owner:
    """What a line reports to."""

    def __init__(self) -> None:
        self.answers = Answers()
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lines: list[_Line] = []
        self._closing = False

    def answered(self, line: _Line, status: int) -> None:
        raise NotImplementedError

    def lost(self, error: Exception | None) -> None:
        if not self._closing and not self.over.done():
            self.over.set_exception(ConnectionError(f"the server closed a connection: {error}"))

    async def connect(self, port: int) -> _Line:
        _transport, line = await asyncio.get_running_loop().create_connection(
            lambda: _Line(self), host="127.0.0.1", port=port
        )
        self.lines.append(line)
        return line

    def close(self) -> None:
        self._closing = True
        for line in self.lines:
            if line.transport is not None:
                line.transport.abort()


class _Closed(_Owner):
    """Closed loop: every line sends its next request when its last one was answered."""

    def __init__(self, requests: Iterator[bytes], warm_s: float, for_s: float | None) -> None:
        super().__init__()
        self._requests = requests
        self._warm_s, self._for_s = warm_s, for_s
        self._from = self._until = self._last = 0.0
        self._waiting = 0

    def start(self) -> None:
        self._waiting = len(self.lines)
        self._from = self._last = time.perf_counter() + self._warm_s
        self._until = math.inf if self._for_s is None else self._from + self._for_s
        for line in self.lines:
            self._next(line, 0.0)

    def answered(self, line: _Line, status: int) -> None:
        now = time.perf_counter()
        self.answers.statuses[status] += 1
        if self._from <= now < self._until:
            self.answers.latencies_s.append(now - line.sent_at)
            self._last = now
        self._next(line, now)

    def _next(self, line: _Line, now: float) -> None:
        request = next(self._requests, None) if now < self._until else None
        if request is not None:
            line.send(request)
            return
        self._waiting -= 1
        if not self._waiting and not self.over.done():
            self.answers.elapsed_s = (self._last if self._for_s is None else self._until) - self._from
            self.over.set_result(None)


async def closed_loop(
    port: int, requests: Iterator[bytes], *, lines: int = 64, warm_s: float = 0.0, for_s: float | None = None
) -> Answers:
    """Sends as fast as answers come, for `for_s` after `warm_s` (not counted), or until `requests` end."""
    owner = _Closed(requests, warm_s, for_s)
    for _ in range(lines):
        await owner.connect(port)
    owner.start()
    try:
        await owner.over
    finally:
        owner.close()
    return owner.answers


class _Open(_Owner):
    """Open loop: a request leaves when its time has come, on a line of its own if all others wait."""

    def __init__(self) -> None:
        super().__init__()
        self.idle: list[_Line] = []
        self.waiting = 0
        self.counted_from = 0.0
        self.ended = False

    def answered(self, line: _Line, status: int) -> None:
        if line.sent_at >= self.counted_from:
            self.answers.latencies_s.append(time.perf_counter() - line.sent_at)
        self.answers.statuses[status] += 1
        self.idle.append(line)
        self.waiting -= 1
        if self.ended and not self.waiting and not self.over.done():
            self.over.set_result(None)


async def open_loop(
    port: int, requests: Iterator[bytes], *, per_s: float, warm_s: float = 0.0, lines: int = 64
) -> Answers:
    """Sends at a fixed rate, however late answers come, the first `warm_s` uncounted.

    A latency begins when its request is written; how late the generator itself was is told beside it.
    """
    owner = _Open()
    for _ in range(lines):
        owner.idle.append(await owner.connect(port))
    try:
        began = time.perf_counter()
        owner.counted_from = began + warm_s
        for number, request in enumerate(requests):
            due = began + number / per_s
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            owner.answers.late_s.append(time.perf_counter() - due)
            line = owner.idle.pop() if owner.idle else await owner.connect(port)
            owner.waiting += 1
            owner.answers.sent_at.append(time.time())
            line.send(request)
        owner.ended = True
        owner.answers.elapsed_s = time.perf_counter() - owner.counted_from
        if owner.waiting:
            await owner.over
    finally:
        owner.close()
    return owner.answers
