"""Window: how much of a quota is spent, for one process in memory and for replicas as a row of `quota`.

At most `limit` requests leave in any `per_s` seconds, wherever these begin. A replica holds a *chunk* of them for a
moment: until it says how many it spent, and when, all of the chunk counts as spent at the last moment that it may be.
So the total is never above the limit, and a replica that dies costs one chunk for one window.
"""

import json
from typing import Any, Final

#: Share of a quota that is kept for popup look-ups.
KEPT: Final = 0.1
#: Spendings this close together (share of the window) count as one, made by the last: the row stays short.
_MERGED: Final = 1 / 32


class Window:
    """Times are seconds of one clock, the caller's: monotonic in memory, Unix in the store."""

    __slots__ = ("blocked_until", "held", "limit", "per_s", "spent")

    def __init__(self, limit: int, per_s: float) -> None:
        self.limit = limit
        self.per_s = per_s
        self.blocked_until = 0.0
        #: (first, last, how many), oldest first
        self.spent: list[tuple[float, float, int]] = []
        #: holder -> (how many, until when it may spend them)
        self.held: dict[str, tuple[int, float]] = {}

    def counted(self, now: float) -> int:
        """Requests that count against the limit now: spent, or held by somebody."""
        begin = now - self.per_s
        self.spent = [entry for entry in self.spent if entry[1] > begin]
        self.held = {holder: chunk for holder, chunk in self.held.items() if chunk[1] > begin}
        return sum(n for _, _, n in self.spent) + sum(n for n, _ in self.held.values())

    def free(self, now: float, kept: float) -> int:
        """How many may leave now and leave the share `kept` to more urgent ones."""
        return 0 if now < self.blocked_until else max(0, self._usable(kept) - self.counted(now))

    def wait_s(self, now: float, kept: float) -> float:
        """Seconds until one more may leave; 0: now."""
        if now < self.blocked_until:
            return self.blocked_until - now
        over = self.counted(now) - self._usable(kept) + 1
        wait = 0.0
        ends = [(last, n) for _, last, n in self.spent] + [(until, n) for n, until in self.held.values()]
        for end, n in sorted(ends):
            if over <= 0:
                break
            over -= n
            wait = end + self.per_s - now
        return wait

    def spend(self, at: float, n: int = 1) -> None:
        """Counts requests that left until `at`."""
        if self.spent and at - self.spent[-1][0] < self.per_s * _MERGED:
            first, last, before = self.spent[-1]
            self.spent[-1] = (first, max(last, at), before + n)
        else:
            self.spent.append((at, at, n))

    def hold(self, holder: str, n: int, until: float) -> None:
        """Gives `holder` requests that it may send until then."""
        self.held[holder] = (n, until)

    def settle(self, holder: str, used: int, last_at: float) -> None:
        """Takes the holder's chunk back: so many of it, the last one then, were sent."""
        self.held.pop(holder, None)
        if used > 0:
            self.spend(last_at, used)

    def correct(
        self,
        told_at: float,
        *,
        remaining: int | None = None,
        limit: int | None = None,
        per_s: float | None = None,
        blocked_s: float | None = None,
    ) -> None:
        """Believes what an answer said at a time; the fields of `adapter.Quota`."""
        if limit is not None and limit > 0:
            self.limit = limit
        if per_s is not None and per_s > 0:
            self.per_s = per_s
        if remaining is not None:
            # Others spend the same quota: what they took counts as ours. What they gave back is not known to us.
            missing = (self.limit - remaining) - self.counted(told_at)
            if missing > 0:
                self.spend(told_at, min(missing, self.limit))
        if blocked_s is not None:
            self.blocked_until = max(self.blocked_until, told_at + blocked_s)

    def _usable(self, kept: float) -> int:
        return max(1, int(self.limit * (1 - kept)))

    # --- as a row ---

    def dump(self) -> str:
        """As JSON."""
        return json.dumps([self.limit, self.per_s, self.blocked_until, self.spent, self.held], separators=(",", ":"))

    @classmethod
    def load(cls, text: str) -> "Window":
        """What `dump` wrote."""
        found: list[Any] = json.loads(text)
        window = cls(found[0], found[1])
        window.blocked_until = found[2]
        window.spent = [(first, last, n) for first, last, n in found[3]]
        window.held = {holder: (n, until) for holder, (n, until) in found[4].items()}
        return window
