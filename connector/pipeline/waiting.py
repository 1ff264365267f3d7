"""Waiting: an attempt ends without a fault, to go on at a known time; nothing is counted against the delivery."""


class Waiting(Exception):
    """Raised inside an attempt: `until` is Unix time, `reason` is shown, `state` is the reason for `pending`."""

    def __init__(self, reason: str, *, until: float, state: str = "waiting") -> None:
        super().__init__(reason)
        self.reason = reason
        self.until = until
        self.state = state
