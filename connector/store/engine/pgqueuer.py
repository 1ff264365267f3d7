"""Wake-up tokens between replicas, carried by PgQueuer: a token says that a connection has due work.

A replica that has more due work than room puts a token in; one that has room takes it and claims. At most one token
per connection and class waits (PgQueuer's dedupe key), so that the queue stays as short as there are connections,
whatever the backlog. PgQueuer's table, statements and notifications are used as they are; its `QueueManager` is not: it
takes jobs by their number, and we take them while there are free slots, done as soon as they are read.

PgQueuer 1.6, read in its source: `enqueue(on_conflict="skip")` leaves a key alone that is queued or picked; a picked
job whose heartbeat is old is picked again; the table's trigger notifies at each insert.
"""

import asyncio
import contextlib
import logging
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any, Final

import asyncpg
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.listeners import EventRouter, initialize_notice_event_listener
from pgqueuer.domain.models import TableChangedEvent
from pgqueuer.domain.settings import DBSettings
from pgqueuer.domain.types import Channel, QueueEntrypoint, QueueManagerId
from pgqueuer.ports.repository import EntrypointExecutionParameter

from connector.errors import StoreBusy

log = logging.getLogger(__name__)

#: Every name is said: PgQueuer would read them from variables such as CHANNEL or FUNCTION.
_NAMES: Final = {
    "prefix": "",
    "channel": Channel("ch_pgqueuer"),
    "function": "fn_pgqueuer_changed",
    "statistics_table": "pgqueuer_statistics",
    "queue_status_type": "pgqueuer_status",
    "queue_table": "pgqueuer",
    "queue_table_log": "pgqueuer_log",
    "trigger": "tg_pgqueuer_changed",
    "schedules_table": "pgqueuer_schedules",
}
_SETTINGS: Final = DBSettings.model_validate(_NAMES)
_ENTRYPOINT: Final = QueueEntrypoint("work")
_UNLIMITED: Final = {_ENTRYPOINT: EntrypointExecutionParameter(concurrency_limit=0)}

#: Tokens are looked for at least so often; a notification makes it sooner.
_LOOK_EVERY_S: Final = 10.0
#: Between two turns: what is offered meanwhile travels together.
_GAP_S: Final = 0.05
_AT_ONCE: Final = 32
_LEAVE_S: Final = 2.0
#: A token that a dead process took is taken anew after this.
_STALE: Final = timedelta(seconds=30)
#: PgQueuer logs every job; its log is of no use to us and kept for a while only.
_FORGET_EVERY_S: Final = 60.0
_FORGET: Final = (
    f"delete from {_SETTINGS.queue_table_log} where id in (select id from {_SETTINGS.queue_table_log}"  # noqa: S608
    " where created < now() - interval '10 minutes' order by created limit 5000)"
)

_TROUBLE: Final = (StoreBusy, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


def install_sql() -> str:
    """What makes PgQueuer's tables: many statements."""
    return QueryBuilderEnvironment(_SETTINGS).build_install_query()


def uninstall_sql() -> str:
    """What removes them."""
    return QueryBuilderEnvironment(_SETTINGS).build_uninstall_query()


class QueueWakes:
    """Tokens over a connection of its own, made anew when it breaks. Implements `wakes.Wakes`."""

    def __init__(self, connect: Callable[[], Awaitable[Any]]) -> None:
        self._connect = connect
        self._id = QueueManagerId(uuid.uuid4())
        self._offered: dict[tuple[str, int], None] = {}
        self._something = asyncio.Event()
        self._leaving = False

    def offer(self, connection_id: str, priority: int) -> None:
        """See `Wakes.offer`."""
        self._offered[(connection_id, priority)] = None
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
        while not self._leaving:
            try:
                connection = await self._connect()
                try:
                    await self._serve(connection, told, has_room)
                finally:
                    connection.terminate()
            except _TROUBLE as error:
                log.warning("wake-up tokens are interrupted", extra={"error": f"{type(error).__name__}: {error}"})
            if not self._leaving:
                await asyncio.sleep(random.uniform(0.5, 2.0))  # noqa: S311 - replicas do not come back as one

    async def _serve(self, connection: Any, told: Callable[[str, int], None], has_room: Callable[[], bool]) -> None:
        driver = AsyncpgDriver(connection)
        queries = Queries(driver, QueryBuilderEnvironment(_SETTINGS), QueryQueueBuilder(_SETTINGS))
        router = EventRouter(self._changed, lambda _: None, lambda _: None)
        await initialize_notice_event_listener(driver, _SETTINGS.channel, router)
        connection.add_termination_listener(lambda _: self._something.set())
        loop = asyncio.get_running_loop()
        forget_at = loop.time() + _FORGET_EVERY_S * random.uniform(0.5, 1.5)  # noqa: S311
        while True:
            self._something.clear()
            await self._put(queries)
            if self._leaving:
                return
            while has_room() and await self._take(queries, told):
                pass
            if loop.time() >= forget_at:
                await driver.execute(_FORGET)
                forget_at = loop.time() + _FORGET_EVERY_S
            await asyncio.sleep(_GAP_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._something.wait(), _LOOK_EVERY_S)

    async def _put(self, queries: Queries) -> None:
        offered, self._offered = list(self._offered), {}
        if offered:
            keys = [f"{connection_id}:{priority}" for connection_id, priority in offered]
            await queries.enqueue(
                [_ENTRYPOINT] * len(keys),
                [key.encode() for key in keys],
                [0] * len(keys),
                dedupe_key=list(keys),
                on_conflict="skip",
            )

    async def _take(self, queries: Queries, told: Callable[[str, int], None]) -> bool:
        """Takes tokens; whether there may be more."""
        jobs = await queries.dequeue(_AT_ONCE, _UNLIMITED, self._id, None, _STALE)
        for job in jobs:
            connection_id, _, priority = (job.payload or b"").decode().rpartition(":")
            told(connection_id, int(priority))
        if jobs:
            await queries.log_jobs([(job, "successful", None) for job in jobs])
        return len(jobs) == _AT_ONCE

    def _changed(self, event: TableChangedEvent) -> None:
        # Its own deletes are told as well; they are nobody's work.
        if event.operation == "insert":
            self._something.set()
