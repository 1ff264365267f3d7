"""The port that wakes workers of other processes: "this connection has due work that I have no room for".

Soon, not surely: what is lost, or told twice, costs nothing but time, since a look at the due rows stands behind it.
"""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Protocol


class Wakes(Protocol):
    """Between the dispatchers of all processes on one store."""

    def offer(self, connection_id: str, priority: int) -> None:
        """Says to the others that deliveries of this connection and class are due here and wait. Never blocks."""

    def running(
        self, told: Callable[[str, int], None], has_room: Callable[[], bool]
    ) -> contextlib.AbstractAsyncContextManager[None]:
        """Calls `told(connection, priority)` for what the others offer, while `has_room()`.

        On leaving, what was offered is told to the others first, where that is quick.
        """


class NoOthers:
    """One process: there is nobody to tell."""

    def offer(self, connection_id: str, priority: int) -> None:
        """See `Wakes.offer`."""

    @contextlib.asynccontextmanager
    async def running(self, told: Callable[[str, int], None], has_room: Callable[[], bool]) -> AsyncIterator[None]:
        """See `Wakes.running`."""
        yield
