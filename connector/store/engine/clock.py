"""The database's clock, read from afar: replicas whose machines disagree about the time agree by it.

The offset between the database's clock and this process's monotonic one is measured by asking, and again from time to
time. So a lease is compared with one clock everywhere, no statement has to fetch the time, and a step of the machine's
wall clock (NTP, a wrong time zone) moves nothing.
"""

import contextlib
import time
from collections.abc import AsyncIterator
from typing import Final

from sqlalchemy import Connection, text

from connector.rounds import every
from connector.store.engine.database import Database

_MEASURE_EVERY_S: Final = 20.0
#: An answer that took longer says too little of when the clock was read.
_SLOW_S: Final = 0.25
_NOW: Final = text("select cast(extract(epoch from clock_timestamp()) as double precision)")


class DatabaseClock:
    """Implements `clock.Clock`; right to half of a round trip."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._ahead: float = time.time() - time.monotonic()

    def now(self) -> float:
        """Unix seconds by the database's clock."""
        return time.monotonic() + self._ahead

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["DatabaseClock"]:
        """Measures, and again from time to time. Raises `StoreBusy` where the database does not answer."""
        for _ in range(3):  # the first answer waits for a connection to be made
            await self._measure(slowest_s=float("inf"))
        async with every(_MEASURE_EVERY_S, self._measure, name="database-clock"):
            yield self

    async def _measure(self, slowest_s: float = _SLOW_S) -> None:
        begun = time.monotonic()
        at = await self._db.read(now_of)
        took_s = time.monotonic() - begun
        if took_s <= slowest_s:
            self._ahead = at - (begun + took_s / 2)


def now_of(connection: Connection) -> float:
    """Unix seconds by the clock that the store's replicas go by: the database server's, or the machine's own."""
    if connection.dialect.name == "sqlite":
        return time.time()
    return float(connection.execute(_NOW).scalar_one())
