"""Gate: one per CRM account, answers «may it be sent now?»: quota, requests under way, circuit, pause.

Two connections of one account share its gate. Pause and circuit are stored and outlive a restart; quota is learned
anew from the first answer's headers.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from connector.adapter import Adapter, Quota
from connector.clock import Clock
from connector.errors import RateLimited

#: Share of a quota that is kept for popup look-ups.
_KEPT: Final = 0.1
#: A request waits in its attempt for so long; longer waits give the delivery back.
_PATIENCE_S: Final = 2.0
#: Failures in a row after which the circuit opens.
_FAILURES: Final = 5
_CIRCUIT_FIRST_S: Final = 1.0
_CIRCUIT_LONGEST_S: Final = 300.0
PROBE_EVERY_S: Final = 900.0


class _Bucket:
    """Requests of the last window, counted; corrected by what the CRM's headers say."""

    def __init__(self, limit: int, per_s: float) -> None:
        self.limit = limit
        self.per_s = per_s
        self.blocked_until = 0.0
        self._sent: deque[float] = deque()

    def wait_s(self, now: float, *, kept: float = _KEPT) -> float:
        """Seconds until one more request may leave; 0: now."""
        if now < self.blocked_until:
            return self.blocked_until - now
        while self._sent and self._sent[0] <= now - self.per_s:
            self._sent.popleft()
        usable = max(1, int(self.limit * (1 - kept)))
        if len(self._sent) < usable:
            return 0.0
        return self._sent[len(self._sent) - usable] + self.per_s - now

    def take(self, now: float) -> None:
        self._sent.append(now)

    def correct(self, quota: Quota, now: float) -> None:
        if quota.limit is not None and quota.limit > 0:
            self.limit = quota.limit
        if quota.per_s is not None and quota.per_s > 0:
            self.per_s = quota.per_s
        if quota.remaining is not None:
            # Others spend the same quota: what they took counts as ours. What they gave back is not known to us.
            missing = (self.limit - quota.remaining) - len(self._sent)
            self._sent.extend([now] * max(0, min(missing, self.limit)))
        if quota.blocked_s is not None:
            self.blocked_until = max(self.blocked_until, now + quota.blocked_s)


@dataclass(slots=True)
class GateState:
    """What is stored of a gate; times are Unix seconds."""

    paused: bool = False
    reason: str | None = None
    probe_at: float | None = None
    open_until: float | None = None
    failures: int = 0


class Urgent:
    """The budget of somebody who waits on the line: spends what the gate keeps back. Implements `crm_http.Budget`."""

    def __init__(self, gate: "Gate") -> None:
        self._gate = gate
        self.learn = gate.learn
        self.blocked = gate.blocked

    async def spend(self, bucket: str) -> None:
        await self._gate.spend(bucket, kept=0.0)


class Gate:
    """The gate of one account. Implements `crm_http.Budget`."""

    def __init__(
        self, account: str, limits: Mapping[str, tuple[int, float]], clock: Clock, *, in_flight: int = 32
    ) -> None:
        """`limits`: bucket -> requests, in so many seconds; `in_flight`: deliveries that may run at once."""
        self.account = account
        self.state = GateState()
        self.running = 0
        #: Calls that may run at once while work comes back after a fault; None: as many as `in_flight` lets.
        self.ramp: int | None = None
        self.in_flight = in_flight
        self._clock = clock
        self._learn: Callable[[Mapping[str, str]], Mapping[str, Quota]] = lambda _headers: {}
        self._buckets = {name: _Bucket(n, per_s) for name, (n, per_s) in limits.items()}

    def reads_headers_with(self, adapter: Adapter[Any]) -> None:
        """The adapter that knows what an answer's headers mean."""
        self._learn = adapter.quota

    # --- may a delivery start? ---

    def room(self) -> int:
        """How many more deliveries of this account may start now."""
        if self.state.paused or self.waits_s() > 0:
            return 0
        most = self.in_flight if self.ramp is None else min(self.ramp, self.in_flight)
        return max(0, most - self.running)

    def waits_s(self) -> float:
        """Seconds until the circuit closes; 0 where it is closed."""
        until = self.state.open_until
        return max(0.0, until - self._clock.now()) if until is not None else 0.0

    def succeeded(self) -> bool:
        """A request came through. True where that changes what is stored."""
        if self.ramp is not None:
            self.ramp *= 2
            if self.ramp >= self.in_flight:
                self.ramp = None
        if not self.state.failures and self.state.open_until is None:
            return False
        self.state.failures, self.state.open_until = 0, None
        return True

    def failed(self) -> bool:
        """The CRM did not answer, or with 5xx. True where the circuit opens."""
        self.state.failures += 1
        if self.state.failures < _FAILURES:
            return False
        if self.waits_s() > 0:
            return False  # requests that were under way when the circuit opened say nothing new
        longest = min(_CIRCUIT_LONGEST_S, _CIRCUIT_FIRST_S * 2 ** min(self.state.failures - _FAILURES, 20))
        self.state.open_until = self._clock.now() + longest * random.uniform(0.5, 1)  # noqa: S311 - jitter
        self.ramp = 1
        return True

    def pause(self, reason: str) -> None:
        """Holds all work of the account until somebody mends its credentials."""
        self.state.paused, self.state.reason = True, reason
        self.state.probe_at = self._clock.now() + PROBE_EVERY_S

    def resume(self) -> None:
        """Lets work through again, slowly at first."""
        self.state = GateState()
        self.ramp = 1

    # --- may a request leave? (crm_http.Budget) ---

    async def spend(self, bucket: str, *, kept: float = _KEPT) -> None:
        """Takes one request of the bucket, and of `all`. Raises `RateLimited` where the wait is long.

        `kept`: share of the quota that is left to more urgent requests.
        """
        names = [name for name in dict.fromkeys(("all", bucket)) if name in self._buckets]
        waited = 0.0
        while names:
            now = self._clock.monotonic()
            wait = max(self._buckets[name].wait_s(now, kept=kept) for name in names)
            if wait <= 0:
                for name in names:
                    self._buckets[name].take(now)
                return
            if waited + wait > _PATIENCE_S:
                raise RateLimited("The account's quota is used up for now.", retry_after_s=wait)
            await asyncio.sleep(wait)
            waited += wait

    def learn(self, headers: Mapping[str, str]) -> None:
        """Reads what an answer tells of the quota."""
        now = self._clock.monotonic()
        for name, quota in self._learn(headers).items():
            bucket = self._buckets.get(name)
            if bucket is None:
                if quota.limit is None:
                    continue
                bucket = self._buckets[name] = _Bucket(quota.limit, quota.per_s or 60.0)
            bucket.correct(quota, now)

    def blocked(self, bucket: str, for_s: float) -> None:
        """The CRM answered 429."""
        known = self._buckets.get(bucket) or self._buckets.setdefault(bucket, _Bucket(1_000_000, 60.0))
        known.blocked_until = max(known.blocked_until, self._clock.monotonic() + for_s)
