"""The clocks that the pipeline reads: passed in, so that tests wait for nothing."""

import time
from typing import Protocol


class Clock(Protocol):
    """Wall clock for what is stored, monotonic clock for what must not jump."""

    def now(self) -> float:
        """Unix seconds, UTC."""

    def monotonic(self) -> float:
        """Seconds that never go back."""


class SystemClock:
    """The machine's clocks."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


SYSTEM: Clock = SystemClock()
