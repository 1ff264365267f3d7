"""Waiting: an attempt ends, to go on at a known time."""


class Waiting(Exception):
    """Raised inside an attempt: `until` is Unix time, `reason` is shown, `state` is the reason for `pending`.

    `failed`: a write just left without a verdict, which counts as a failure of the CRM and as an attempt; the waiting
    that follows does not.
    """

    def __init__(self, reason: str, *, until: float, state: str = "waiting", failed: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.until = until
        self.state = state
        self.failed = failed
