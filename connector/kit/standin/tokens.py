"""Access tokens that a stand-in's token endpoint gave out."""

from collections.abc import Callable


class Tokens:
    """Tokens and how long each is good. `clock` tells Unix seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._until)

    def __contains__(self, token: str) -> bool:
        """Whether it was given out, good or not."""
        return token in self._until

    def give(self, token: str, life_s: float) -> str:
        """Gives out a token."""
        self._until[token] = self._clock() + life_s
        return token

    def is_good(self, token: str) -> bool:
        """Whether it was given out and has not run out."""
        return self._until.get(token, 0.0) > self._clock()

    def end(self) -> None:
        """Ends every token before its time."""
        self._until = dict.fromkeys(self._until, 0.0)
