"""Gate: one per CRM account, answers «may it be sent now?»: quota, requests under way, circuit, pause.

Two connections of one account share its gate, and so do all replicas of a store: pause, circuit and ramp-up are stored
(`accounts` looks for what others wrote), of what may run at once each replica takes its part (`replicas`), and the
quota is drawn in chunks (`quota`). One process counts its quota in memory and learns it anew after a restart.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from connector.adapter import Adapter, Quota
from connector.backoff import Backoff
from connector.clock import Clock
from connector.errors import RateLimited
from connector.pipeline.gates.quota import Buckets, in_memory, take
from connector.store.window import KEPT

#: A request waits in its attempt for so long; longer waits give the delivery back.
_PATIENCE_S: Final = 2.0
#: What follows where others were faster each time.
_AGAIN_S: Final = 0.1
#: A bucket that nothing was declared of: known by a refusal, or by a header that tells no time.
_UNLIMITED: Final = 1_000_000
_UNTOLD_S: Final = 60.0
#: Failures in a row after which the circuit opens.
_FAILURES: Final = 5
_CIRCUIT: Final = Backoff(1.0, 300.0)
PROBE_EVERY_S: Final = 900.0


@dataclass(slots=True)
class GateState:
    """What is stored of a gate; times are Unix seconds."""

    paused: bool = False
    reason: str | None = None
    probe_at: float | None = None
    open_until: float | None = None
    failures: int = 0
    #: Deliveries that may run at once, on all replicas, while work comes back after a fault; None: all that are let.
    ramp: int | None = None
    #: Of the stored row; 0: there is none.
    version: int = 0


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
        self,
        account: str,
        limits: Mapping[str, tuple[int, float]],
        clock: Clock,
        *,
        in_flight: int = 32,
        buckets: Buckets | None = None,
        part: Callable[[int, str], int] = lambda total, _account: total,
    ) -> None:
        """`limits`: bucket -> requests, in so many seconds; `in_flight`: deliveries that may run at once.

        `buckets` (default: counted in memory) and `part` (default: all) say how replicas share the two.
        """
        self.account = account
        self.state = GateState()
        self.running = 0
        self.in_flight = in_flight
        self._clock = clock
        self._part = part
        self._make = buckets or in_memory(clock)
        self._learn: Callable[[Mapping[str, str]], Mapping[str, Quota]] = lambda _headers: {}
        self._buckets = {name: self._make(account, name, n, per_s) for name, (n, per_s) in limits.items()}

    def reads_headers_with(self, adapter: Adapter[Any]) -> None:
        """The adapter that knows what an answer's headers mean."""
        self._learn = adapter.quota

    # --- may a delivery start? ---

    def is_open(self) -> bool:
        """Whether deliveries may start at all: neither paused, nor is the circuit open."""
        return not self.state.paused and self.waits_s() == 0

    def room(self) -> int:
        """How many more deliveries of this account may start now in this process."""
        if not self.is_open():
            return 0
        # With more replicas than may run at once each still lets one: what waits here would have to go elsewhere first.
        most = max(1, self._part(self.in_flight, self.account))
        if self.state.ramp is not None:
            # No such luxury after a fault: the first delivery is one replica's, and tells the others how it went.
            most = min(most, self._part(min(self.state.ramp, self.in_flight), self.account))
        return max(0, most - self.running)

    def waits_s(self) -> float:
        """Seconds until the circuit closes; 0 where it is closed."""
        until = self.state.open_until
        return max(0.0, until - self._clock.now()) if until is not None else 0.0

    def succeeded(self) -> bool:
        """A delivery came through. True where that changes what is stored."""
        state = self.state
        was_stored = state.open_until is not None or state.ramp is not None
        if state.ramp is not None:
            state.ramp = state.ramp * 2 if state.ramp * 2 < self.in_flight else None
        state.failures, state.open_until = 0, None
        return was_stored

    def failed(self) -> bool:
        """The CRM did not answer, or with 5xx. True where the circuit opens."""
        self.state.failures += 1
        if self.state.failures < _FAILURES:
            return False
        if self.waits_s() > 0:
            return False  # requests that were under way when the circuit opened say nothing new
        self.state.open_until = self._clock.now() + _CIRCUIT.wait_s(self.state.failures - _FAILURES + 1)
        self.state.ramp = 1
        return True

    def pause(self, reason: str) -> None:
        """Holds all work of the account until somebody mends its credentials."""
        self.state.paused, self.state.reason = True, reason
        self.state.probe_at = self._clock.now() + PROBE_EVERY_S

    def resume(self) -> None:
        """Lets work through again, slowly at first."""
        self.state = GateState(ramp=1, version=self.state.version)

    # --- may a request leave? (crm_http.Budget) ---

    async def spend(self, bucket: str, *, kept: float = KEPT) -> None:
        """Takes one request of the bucket, and of `all`. Raises `RateLimited` where the wait is long.

        `kept`: share of the quota that is left to more urgent requests.
        """
        buckets = [self._buckets[name] for name in dict.fromkeys(("all", bucket)) if name in self._buckets]
        began = self._clock.monotonic()
        while True:
            wait = await take(buckets, kept)
            if wait is None:
                return
            if self._clock.monotonic() - began + wait > _PATIENCE_S:
                raise RateLimited("The account's quota is used up for now.", retry_after_s=max(wait, _AGAIN_S))
            await asyncio.sleep(wait)

    def learn(self, headers: Mapping[str, str]) -> None:
        """Reads what an answer tells of the quota."""
        for name, quota in self._learn(headers).items():
            if name in self._buckets:
                self._buckets[name].correct(quota)
            elif quota.limit is not None:
                self._buckets[name] = self._make(self.account, name, quota.limit, quota.per_s or _UNTOLD_S)
                self._buckets[name].correct(quota)

    def blocked(self, bucket: str, for_s: float) -> None:
        """The CRM answered 429."""
        if bucket not in self._buckets:
            self._buckets[bucket] = self._make(self.account, bucket, _UNLIMITED, _UNTOLD_S)
        self._buckets[bucket].correct(Quota(blocked_s=for_s))
