"""Quota: whether one more request of an account's bucket may leave, counted in this process or shared by replicas."""

import asyncio
import contextlib
import dataclasses
import random
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from connector.adapter import Quota
from connector.clock import Clock
from connector.errors import RateLimited, StoreBusy
from connector.store.engine.database import Database
from connector.store.queries import quota
from connector.store.queries.quota import CHUNK_S, Draw
from connector.store.window import Window

#: A chunk is at most so large; it doubles while each is spent in its time.
_MOST_AT_ONCE: Final = 64
#: Replicas that wait for the same moment do not ask at the same one.
_SPREAD_S: Final = 0.03
_STORE_BUSY_S: Final = 1.0


class Bucket(Protocol):
    """Requests of one kind that an account allows."""

    async def wait_s(self, kept: float) -> float:
        """Seconds until one may leave that leaves the share `kept` to others; 0: now.

        Raises `RateLimited` where the store cannot say.
        """

    def has(self, kept: float) -> bool:
        """Whether one may leave at this very moment."""

    def take(self) -> None:
        """One leaves. Only where `has`, with no wait in between."""

    def correct(self, quota: Quota) -> None:
        """An answer told this."""


async def take(buckets: Sequence[Bucket], kept: float) -> float | None:
    """One request leaves, which counts in each of the buckets: None.

    Else none does, nothing is counted, and these are the seconds until it may be asked for again; 0 where others were
    faster. Raises `RateLimited` where the store cannot say.
    """
    if not all(one.has(kept) for one in buckets):
        wait = max([await one.wait_s(kept) for one in buckets])
        if wait > 0 or not all(one.has(kept) for one in buckets):
            return wait
    for one in buckets:
        one.take()
    return None


#: (account, bucket's name, requests, in so many seconds) -> the bucket
Buckets = Callable[[str, str, int, float], Bucket]


def in_memory(clock: Clock) -> Buckets:
    """Buckets for the one process of a store: no request costs a write."""
    return lambda _account, _name, limit, per_s: _LocalBucket(Window(limit, per_s), clock)


class _LocalBucket:
    def __init__(self, window: Window, clock: Clock) -> None:
        self._window = window
        self._clock = clock

    async def wait_s(self, kept: float) -> float:
        return self._window.wait_s(self._clock.monotonic(), kept)

    def has(self, kept: float) -> bool:
        return self._window.free(self._clock.monotonic(), kept) > 0

    def take(self) -> None:
        self._window.spend(self._clock.monotonic())

    def correct(self, quota: Quota) -> None:
        self._window.correct(self._clock.monotonic(), **dataclasses.asdict(quota))


class SharedQuota:
    """Buckets that all replicas of a store spend from; callable as `Buckets`."""

    def __init__(self, db: Database, holder: str, replicas: Callable[[], int], clock: Clock) -> None:
        self.db = db
        self.holder = holder
        self.replicas = replicas
        self.clock = clock
        #: Where the database has no clock of its own: ours, that never goes back.
        self._began_at = clock.now() - clock.monotonic()
        self._telling: set[asyncio.Task[None]] = set()
        self._is_ending = False

    def __call__(self, account: str, name: str, limit: int, per_s: float) -> Bucket:
        return _SharedBucket(self, account, name, limit, per_s)

    def now(self) -> float:
        """Unix seconds; where the database has a clock, that one decides."""
        return self._began_at + self.clock.monotonic()

    def aside(self, bucket: "_SharedBucket") -> None:
        """Passes on what was learned, beside the work."""
        if self._is_ending:
            return
        task = asyncio.get_running_loop().create_task(bucket.tell())
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def ended(self) -> None:
        """Returns once all is passed on; what is learned later is not."""
        self._is_ending = True
        await asyncio.gather(*self._telling)


class _SharedBucket:
    """One replica's view of a bucket: the chunk that it holds, and what the store has not been told yet."""

    def __init__(self, shared: SharedQuota, account: str, name: str, limit: int, per_s: float) -> None:
        self._shared = shared
        self._account = account
        self._name = name
        self._limit = limit
        self._per_s = per_s
        self._lock = asyncio.Lock()
        self._waiting = 0
        # The chunk: for requests that leave at least `kept` to others, until a monotonic time.
        self._left = 0
        self._kept = 0.0
        self._until = 0.0
        self._used = 0
        self._used_at = 0.0
        self._size = 1
        # The last refusal, and what counted then.
        self._refused_until = 0.0
        self._refused_kept = 0.0
        self._counted = 0
        self._told: Quota | None = None
        self._told_at = 0.0
        self._tell_after = 0.0

    async def wait_s(self, kept: float) -> float:
        self._waiting += 1
        try:
            async with self._lock:  # one draw serves all who wait
                if self._known_wait_s(kept) is None:
                    try:
                        await self._draw(kept, self._waiting)
                    except StoreBusy as error:
                        words = "The store cannot say now what is left of the account's quota."
                        raise RateLimited(words, retry_after_s=_STORE_BUSY_S) from error
                return self._known_wait_s(kept) or 0.0
        finally:
            self._waiting -= 1

    def has(self, kept: float) -> bool:
        return self._left > 0 and kept <= self._kept and self._shared.clock.monotonic() < self._until

    def take(self) -> None:
        self._left -= 1
        self._used += 1
        self._used_at = self._shared.clock.monotonic()

    def correct(self, quota: Quota) -> None:
        now = self._shared.clock.monotonic()
        is_new = quota.limit not in (None, self._limit) or quota.per_s not in (None, self._per_s)
        # By our own count, which lacks what others sent since the last draw: the store compares with all of it.
        is_less = quota.remaining is not None and (quota.limit or self._limit) - quota.remaining > self._counted
        if quota.blocked_s is not None:
            self._until, self._refused_until, self._refused_kept = 0.0, now + quota.blocked_s, 0.0
        elif not is_new and (not is_less or now < self._tell_after):
            return
        was = self._told
        if was is not None and was.blocked_s is not None and quota.blocked_s is None:
            quota = dataclasses.replace(quota, blocked_s=max(0.0, was.blocked_s - (now - self._told_at)))
        self._told, self._told_at, self._tell_after = quota, now, now + CHUNK_S
        self._shared.aside(self)

    async def tell(self) -> None:
        """Passes on what was learned, and what is left of a chunk that ran out; where the store is busy, the next
        draw does.
        """
        async with self._lock:
            is_alive = self.has(self._kept)
            if self._told is not None or (self._left > 0 and not is_alive):
                with contextlib.suppress(StoreBusy):
                    await self._draw(self._kept, self._left if is_alive else 0)

    def _ran_out(self, until: float) -> None:
        if self._until == until and self._left > 0:
            self._shared.aside(self)

    def _known_wait_s(self, kept: float) -> float | None:
        if self.has(kept):
            return 0.0
        wait = self._refused_until - self._shared.clock.monotonic()
        return wait if wait > 0 and kept >= self._refused_kept else None

    async def _draw(self, kept: float, wanted: int) -> None:
        now = self._shared.clock.monotonic()
        # Who is in a hurry takes what it needs; others take in advance what they lately spent in a chunk's time.
        if self._left == 0 and now < self._until:
            self._size = min(2 * self._size, _MOST_AT_ONCE)
        elif self._until > 0:
            self._size = max(1, min(self._used, _MOST_AT_ONCE))
        told, used, refused = self._told, self._used, self._refused_until
        wish = Draw(
            account=self._account,
            bucket=self._name,
            holder=self._shared.holder,
            now=self._shared.now(),
            limit=self._limit,
            per_s=self._per_s,
            used=used,
            used_ago_s=now - self._used_at if used else 0.0,
            want=max(wanted, self._size) if kept > 0 and wanted > 0 else wanted,
            kept=kept,
            replicas=self._shared.replicas(),
            told=dataclasses.asdict(told) if told is not None else {},
            told_ago_s=now - self._told_at if told is not None else 0.0,
        )
        # The chunk goes back with the wish: nobody may spend of it while the wish is under way.
        self._left = self._used = 0
        self._until = 0.0
        self._told = None
        try:
            drawn = await self._shared.db.write(quota.draw, wish)
        except BaseException:
            # Perhaps it was committed: then this counts twice, which is the side to err on.
            self._used += used
            self._told = self._told or told
            raise
        self._limit, self._per_s, self._counted = drawn.limit, drawn.per_s, drawn.counted
        if self._refused_until != refused:
            return  # an answer told to stop while the wish was under way
        if drawn.granted > 0:
            self._left, self._kept, self._until = drawn.granted, kept, now + CHUNK_S
            asyncio.get_running_loop().call_later(CHUNK_S + _SPREAD_S, self._ran_out, self._until)
        elif wanted > 0:
            wait = drawn.wait_s + random.uniform(0, _SPREAD_S)  # noqa: S311 - jitter
            self._refused_until, self._refused_kept = now + wait, kept
