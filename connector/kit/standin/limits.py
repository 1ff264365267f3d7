"""How a stand-in counts requests: in fixed windows, or in one that rolls."""

from collections import deque


class Windows:
    """Requests by bucket in fixed windows, which begin with the minute (or the hour), as many APIs count them."""

    def __init__(self) -> None:
        self._used: dict[str, tuple[int, int]] = {}

    def count(self, now: float, window_s: int, bucket: str = "") -> int:
        """Counts one request; how many there were in its window, with it."""
        window = int(now // window_s)
        begun, used = self._used.get(bucket, (window, 0))
        self._used[bucket] = window, used + 1 if begun == window else 1
        return self._used[bucket][1]


class Rolling:
    """Requests of the last seconds."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def __len__(self) -> int:
        return len(self._times)

    def has_room(self, now: float, window_s: float, most: int | None) -> bool:
        """Whether one more fits into the window; None: any number does."""
        while self._times and self._times[0] <= now - window_s:
            self._times.popleft()
        return most is None or len(self._times) < most

    def add(self, now: float) -> None:
        """Counts one request."""
        self._times.append(now)
