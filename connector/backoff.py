"""How long to wait from one failure to the next: doubled each time up to a longest wait, part of it left to chance."""

from typing import Final

from tenacity import RetryCallState, wait_exponential, wait_random_exponential


class Backoff:
    """Waits for a first failure, a second one in a row, and so on."""

    def __init__(self, first_s: float, longest_s: float, *, sure: float = 0.5) -> None:
        """`sure`: the share of each wait that is waited in any case; the rest of it is anything from nothing to all."""
        chance = 1 - sure
        self._waits: Final = wait_exponential(multiplier=sure * first_s, max=sure * longest_s) + (
            wait_random_exponential(multiplier=chance * first_s, max=chance * longest_s)
        )

    def wait_s(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row, the last one included."""
        state = RetryCallState(None, None, (), {})  # type: ignore[arg-type]  # the strategies read its number only
        state.attempt_number = failures
        return self._waits(state)
