"""Hints between replicas, carried by PostgreSQL's NOTIFY: one says that a connection has due work.

A replica that has more due work than room tells all others at once; those that have room claim, each for as much as it
has room for. What is heard meanwhile is kept until there is room: one word per connection and class, whatever the
backlog. Nothing is kept in the database, so what nobody hears is lost (a connection that breaks): whoever still has no
room says it again, and the look at the due rows finds the rest. A hint is there in 0.7 ms, a thousand of them in 7 ms.

Nothing of the work is done beside a NOTIFY: transactions that notify commit one after the other (PostgreSQL holds a
lock from before such a commit until its end), so an accept that did would halve the accepts of all replicas.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any, Final

from connector.backoff import Backoff

log = logging.getLogger(__name__)

_CHANNEL: Final = "connector_work"
_NOTIFY: Final = "select pg_notify($1, payload) from unnest($2::text[]) as payload"
#: Of one notification; PostgreSQL takes less than 8000 bytes.
_PAYLOAD_BYTES: Final = 7900
#: Between two turns: what is offered meanwhile travels together, and is not said again more often than that.
_GAP_S: Final = 0.1
#: Whether the server is still there is asked so often: a socket may be dead without a word.
_CHECK_EVERY_S: Final = 10.0
_LEAVE_S: Final = 2.0
_RECONNECT: Final = Backoff(1.0, 15.0)


class NotifyWakes:
    """Hints over a connection of its own, made anew when it breaks. Implements `wakes.Wakes`."""

    def __init__(self, connect: Callable[[], Awaitable[Any]]) -> None:
        """`connect` makes a connection of asyncpg whose statements end in a time."""
        self._connect = connect
        #: Words, `connection:class`, in the order in which they came.
        self._offered: dict[str, None] = {}
        self._heard: dict[str, None] = {}
        self._something = asyncio.Event()
        self._leaving = False

    def offer(self, connection_id: str, priority: int) -> None:
        """See `Wakes.offer`."""
        self._offered[f"{connection_id}:{priority}"] = None
        self._something.set()

    @contextlib.asynccontextmanager
    async def running(self, told: Callable[[str, int], None], has_room: Callable[[], bool]) -> AsyncIterator[None]:
        """See `Wakes.running`."""
        task = asyncio.create_task(self._run(told, has_room), name="wakes")
        try:
            yield
        finally:
            self._leaving = True
            self._something.set()
            await asyncio.wait([task], timeout=_LEAVE_S)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self, told: Callable[[str, int], None], has_room: Callable[[], bool]) -> None:
        failures = 0
        while not self._leaving:
            try:
                connection = await self._connect()
                try:
                    await self._listen(connection)
                    failures = 0
                    await self._serve(connection, told, has_room)
                finally:
                    connection.terminate()
            except Exception as error:  # hints are no reason to stop working
                failures += 1
                log.warning("wake-ups are interrupted", extra={"error": f"{type(error).__name__}: {error}"})
                if not self._leaving:
                    await asyncio.sleep(_RECONNECT.wait_s(failures))

    async def _listen(self, connection: Any) -> None:
        def hear(_connection: Any, pid: int, _channel: str, payload: object) -> None:
            if pid != connection.get_server_pid():  # a session hears its own words too
                self._heard.update(dict.fromkeys(str(payload).split()))
                self._something.set()

        connection.add_termination_listener(lambda _: self._something.set())
        await connection.add_listener(_CHANNEL, hear)

    async def _serve(self, connection: Any, told: Callable[[str, int], None], has_room: Callable[[], bool]) -> None:
        loop = asyncio.get_running_loop()
        check_at = loop.time() + _CHECK_EVERY_S
        while True:
            self._something.clear()
            offered, self._offered = self._offered, {}
            if offered:
                await connection.execute(_NOTIFY, _CHANNEL, list(_payloads(offered)))
            if self._leaving:
                return
            while self._heard and has_room():
                connection_id, _, priority = self._next().rpartition(":")
                told(connection_id, int(priority))
            if connection.is_closed() or loop.time() >= check_at:
                await connection.execute("select 1")
                check_at = loop.time() + _CHECK_EVERY_S
            await asyncio.sleep(_GAP_S)
            with contextlib.suppress(TimeoutError):
                # For room nobody waits on an event: it is seen whether there is some.
                async with asyncio.timeout(_GAP_S if self._heard else _CHECK_EVERY_S):
                    await self._something.wait()

    def _next(self) -> str:
        word = next(iter(self._heard))
        del self._heard[word]
        return word


def _payloads(words: Iterable[str]) -> Iterator[str]:
    """The words, as few notifications as they fit into."""
    payload = ""
    for word in words:
        if payload and len(payload.encode()) + 1 + len(word.encode()) > _PAYLOAD_BYTES:
            yield payload
            payload = ""
        payload = f"{payload} {word}" if payload else word
    yield payload
