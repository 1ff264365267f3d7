"""Kept: what others are slow to tell, remembered, for those who cannot wait for it.

A value is fresh for a while. After that whoever asks starts one look that all share, waits for it as long as they can,
and otherwise gets what was known before. The look goes on, so that the next one who asks has its answer.
"""

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from connector.clock import Clock
from connector.errors import ConnectorError

log = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_MOST: Final = 20_000
#: A look that failed is not repeated for so long: what is down stays down while calls come in.
_RETRY_S: Final = 5.0


@dataclass(slots=True)
class KeptValue(Generic[V]):
    """A value, and whether it is still fresh."""

    value: V
    fresh: bool


@dataclass(slots=True)
class _Entry(Generic[V]):
    value: V
    at: float


class Kept(Generic[K, V]):
    """Values by key. `fresh_s`, `stale_s`: so long a value is fresh, or better than none.

    `looks`: so many are under way at once for the keys of one `party`, and each is given up after `look_s`: who keeps
    silent holds up nobody else's.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        fresh_s: float,
        stale_s: float,
        looks: int,
        look_s: float,
        party: Callable[[K], Hashable] = lambda _key: None,
    ) -> None:
        self._clock = clock
        self._fresh_s = fresh_s
        self._stale_s = stale_s
        self._looks = looks
        self._party = party
        self._under_way: Counter[Hashable] = Counter()
        self._look_s = look_s
        self._known: OrderedDict[K, _Entry[V]] = OrderedDict()
        self._failed: OrderedDict[K, float] = OrderedDict()
        self._running: dict[K, asyncio.Task[None]] = {}

    def peek(self, key: K) -> KeptValue[V] | None:
        """What is known, without a look."""
        entry = self._known.get(key)
        if entry is None:
            return None
        age_s = self._clock.monotonic() - entry.at
        return KeptValue(entry.value, age_s < self._fresh_s) if age_s < self._stale_s else None

    def is_awaited(self, key: K) -> bool:
        """Whether a look is under way."""
        return key in self._running

    def start(self, key: K, look: Callable[[], Awaitable[V]]) -> None:
        """Starts a look where the value is not fresh; none while one is under way, failed just now, or too many are."""
        known = self.peek(key)
        party = self._party(key)
        if (known is not None and known.fresh) or key in self._running or self._under_way[party] >= self._looks:
            return
        if self._clock.monotonic() - self._failed.get(key, float("-inf")) < _RETRY_S:
            return
        task = asyncio.get_running_loop().create_task(self._run(key, look))
        self._running[key] = task
        self._under_way[party] += 1

        def ended(_task: asyncio.Task[None]) -> None:
            del self._running[key]
            self._under_way[party] -= 1
            if not self._under_way[party]:
                del self._under_way[party]

        task.add_done_callback(ended)

    async def get(self, key: K, look: Callable[[], Awaitable[V]], wait_s: float) -> KeptValue[V] | None:
        """The value, waited for no longer than `wait_s`; None where nothing is known by then."""
        self.start(key, look)
        running = self._running.get(key)
        if running is not None and wait_s > 0:
            await asyncio.wait({running}, timeout=wait_s)
        return self.peek(key)

    def put(self, key: K, value: V) -> None:
        """What is known from now on."""
        self._known[key] = _Entry(value, self._clock.monotonic())
        self._known.move_to_end(key)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)

    async def close(self) -> None:
        """Ends the looks that are under way."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, key: K, look: Callable[[], Awaitable[V]]) -> None:
        try:
            async with asyncio.timeout(self._look_s):
                self.put(key, await look())
            self._failed.pop(key, None)
        except (ConnectorError, TimeoutError) as error:
            self._fail(key)
            log.info("a look for a waiting caller failed", extra={"error": str(error) or type(error).__name__})
        except Exception:
            self._fail(key)
            log.exception("a look for a waiting caller failed")

    def _fail(self, key: K) -> None:
        self._failed[key] = self._clock.monotonic()
        self._failed.move_to_end(key)
        while len(self._failed) > _MOST:
            self._failed.popitem(last=False)
