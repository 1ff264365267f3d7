"""Replicas: how many processes live on this store, and which part of an account's deliveries is this one's.

Every replica says each `_BEAT_S` that it lives. What an account lets run at once (`in_flight`, and the ramp after a
fault) is divided among those that did so lately: everyone's part follows from the same list, so that nobody has to ask
before a delivery starts. A replica that ends gives its part back at once, one that dies after `DEAD_S`.
"""

import contextlib
import logging
import uuid
import zlib
from collections.abc import AsyncIterator
from typing import Final

from connector.clock import Clock
from connector.errors import StoreBusy
from connector.rounds import every
from connector.store.engine.database import Database
from connector.store.queries import replicas

log = logging.getLogger(__name__)

_BEAT_S: Final = 2.0
#: Some missed beats: a slow store kills nobody, and a dead replica's part is back within half a minute.
DEAD_S: Final = 20.0


class Replicas:
    """This process among those that live on the store; alone where the store serves one process."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self.id = uuid.uuid4().hex[:12]
        self._db = db
        self._clock = clock
        self._living = [self.id]
        #: Others learn of us with their next beat; until then we take the least.
        self._is_known = True

    @property
    def count(self) -> int:
        """How many there are, this one included."""
        return len(self._living)

    def part(self, total: int, account: str) -> int:
        """How many of `total` are this replica's; all parts together are `total`.

        Each account begins with another replica, so that what cannot be divided is spread over all.
        """
        if len(self._living) == 1:
            return total
        if not self._is_known:
            return 0
        place = (self._living.index(self.id) + zlib.crc32(account.encode())) % len(self._living)
        whole, rest = divmod(total, len(self._living))
        return whole + (place < rest)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Replicas"]:
        """Lives, and says so."""
        if self._db.single_process:
            yield self
            return
        await self.beat()
        self._is_known = self.count == 1
        try:
            async with every(_BEAT_S, self._beat_again, name="heartbeat"):
                yield self
        finally:
            with contextlib.suppress(StoreBusy):
                await self._db.write(replicas.leave, self.id)

    async def beat(self) -> None:
        """Says that this one lives, and learns who else does. Raises `StoreBusy`."""
        living = await self._db.write(replicas.beat, (self.id, self._clock.now(), DEAD_S))
        if len(living) != len(self._living):
            log.info("replicas: %d", len(living))
        self._living = living

    async def _beat_again(self) -> None:
        await self.beat()
        self._is_known = True
