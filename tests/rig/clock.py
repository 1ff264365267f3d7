"""The clock of a test."""

import time
from dataclasses import dataclass, field


@dataclass
class ManualClock:
    """Stands still in wall time until it is moved; monotonic time runs on, ahead by what was added."""

    at: float = field(default_factory=lambda: float(int(time.time())))
    ahead: float = 0.0

    def now(self) -> float:
        return self.at + self.ahead

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead

    def advance(self, seconds: float) -> None:
        self.ahead += seconds
