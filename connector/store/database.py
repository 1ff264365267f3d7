"""The store's engine: one writer that commits concurrent work together, and readers beside it.

A write is a function `(connection, rows) -> results`, one result per row. Whatever is asked for while a commit runs
gathers; then each function runs once with all its rows, in one transaction (group commit). If one fails, the
transaction is rolled back and every row is tried alone, so that a bad row hurts nobody but its owner.

SQLite: WAL, synchronous=FULL, one writer connection on a thread of its own; checkpoints run on a reader's thread.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy import Connection, create_engine, event, make_url
from sqlalchemy.exc import OperationalError
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from connector.errors import ConfigError, StoreBusy
from connector.store.writer import Asked, Told, Writer

T = TypeVar("T")
R = TypeVar("R")

_CHECKPOINT_EVERY_S = 1.0
#: Pages of 4 KiB that the write-ahead log may hold before it is made to start over.
_LOG_FRAMES = 65_536


class Database:
    """The store. `read` and `write` run functions of `queries`; nothing else speaks SQL."""

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        if parsed.get_backend_name() != "sqlite":
            raise ConfigError(
                f"the database URL names {parsed.get_backend_name()!r}; this version stores in sqlite:///FILE"
            )
        if parsed.database in (None, "", ":memory:"):
            raise ConfigError("the database URL names no file; accepted events would not outlive the process")
        self.url = url
        #: One process serves this store: claims that are there at its start belong to nobody.
        self.single_process = True
        self.path: str = str(parsed.database)
        self._engine = create_engine(parsed, pool_size=8, connect_args={"timeout": 1.0, "check_same_thread": False})
        event.listen(self._engine, "connect", _on_connect)
        event.listen(self._engine, "begin", _on_begin)
        self._reader_threads = ThreadPoolExecutor(3, thread_name_prefix="store-reader")
        self._writer_connection: Connection | None = None
        self._is_log_full = False
        self._writer = Writer(self._commit)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Database"]:
        """The writer's life: on leaving, what was asked for is committed first."""
        self._writer.start()
        checkpoints = asyncio.create_task(self._checkpoint_loop(), name="store-checkpoints")
        try:
            yield self
        finally:
            checkpoints.cancel()
            await asyncio.gather(checkpoints, return_exceptions=True)
            await self._writer.stop()
            if self._writer_connection is not None:
                self._writer_connection.close()
                self._writer_connection = None
            self.dispose()

    def dispose(self) -> None:
        """Gives threads and pooled connections back; all that a command's database needs."""
        self._reader_threads.shutdown(wait=True)
        self._engine.dispose()

    async def read(self, query: Callable[..., T], *args: Any) -> T:
        """The result of `query(connection, *args)`, in a transaction that sees one state. Raises `StoreBusy`."""
        return await asyncio.get_running_loop().run_in_executor(self._reader_threads, self._read, query, args)

    async def write(self, change: Callable[[Connection, Sequence[Any]], Sequence[R]], row: Any) -> R:
        """This row's result of `change(connection, rows)`, once it is durable. Raises `StoreBusy`: nothing was kept.

        A caller that is cancelled while its row still waits withdraws it.
        """
        result: R = await self._writer.ask(change, row)
        return result

    async def write_patiently(
        self, change: Callable[[Connection, Sequence[Any]], Sequence[R]], row: Any, *, for_s: float
    ) -> R:
        """`write`, tried again for `for_s` seconds while the store is busy. Raises `StoreBusy` after that."""
        try:
            return await self.write(change, row)
        except StoreBusy:  # rare: the retrying below costs as much as the write itself
            pass
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(StoreBusy),
            wait=wait_random_exponential(multiplier=0.05, max=1),
            stop=stop_after_delay(for_s),
            reraise=True,
        ):
            with attempt:
                result = await self.write(change, row)
        return result

    def empty_log(self) -> None:
        """Lets the next checkpoint empty the write-ahead log: what was deleted stands in it until it is overwritten."""
        self._is_log_full = True

    def transact(self, work: Callable[..., T], *args: Any) -> T:
        """Runs `work(connection, *args)` in a transaction of its own, without the writer: for commands."""
        try:
            with self._engine.connect().execution_options(writes=True) as connection, connection.begin():
                return work(connection, *args)
        except OperationalError as error:
            raise busy(error) from error

    def _read(self, query: Callable[..., T], args: tuple[Any, ...]) -> T:
        try:
            with self._engine.connect() as connection, connection.begin():
                return query(connection, *args)
        except OperationalError as error:
            raise busy(error) from error

    def _commit(self, batch: list[Asked]) -> list[Told]:
        try:
            return [(result, None) for result in self._together(batch)]
        except Exception as error:
            if len(batch) == 1:
                return [(None, busy(error) if isinstance(error, OperationalError) else error)]
        return [self._commit([asked])[0] for asked in batch]

    def _together(self, batch: list[Asked]) -> list[Any]:
        groups: dict[Callable[..., Any], list[int]] = {}
        for place, asked in enumerate(batch):
            groups.setdefault(asked.change, []).append(place)
        results: list[Any] = [None] * len(batch)
        connection = self._writing()
        with connection.begin():
            for change, places in groups.items():
                found = change(connection, [batch[place].row for place in places])
                for place, result in zip(places, found, strict=True):
                    results[place] = result
        return results

    def _writing(self) -> Connection:
        if self._writer_connection is None:
            self._writer_connection = self._engine.connect().execution_options(writes=True)
            raw = self._writer_connection.connection.dbapi_connection
            assert isinstance(raw, sqlite3.Connection)
            raw.execute("PRAGMA wal_autocheckpoint=0")
            raw.execute("PRAGMA cache_size=-32768")
        return self._writer_connection

    async def _checkpoint_loop(self) -> None:
        # The writer never checkpoints: copying pages back would hold the acknowledgements of everybody who waits.
        while True:
            await asyncio.sleep(_CHECKPOINT_EVERY_S)
            with contextlib.suppress(StoreBusy):
                await asyncio.get_running_loop().run_in_executor(self._reader_threads, self._checkpoint)

    def _checkpoint(self) -> None:
        try:
            with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                _busy, frames, _done = connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").one()
                if frames > _LOG_FRAMES or self._is_log_full:
                    # Under a load without a pause the log never starts over by itself; this holds the writer briefly.
                    is_busy, *_ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
                    self._is_log_full = bool(is_busy)
        except OperationalError as error:
            raise busy(error) from error


#: What passes by itself, or once somebody made room; anything else is a fault of ours.
_TROUBLE = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY")


def busy(error: OperationalError) -> Exception:
    """The store's own trouble (disk full, locked, I/O) as an error with a next action; other errors as they are."""
    if not getattr(error.orig, "sqlite_errorname", "").startswith(_TROUBLE):
        return error
    return StoreBusy("The store cannot take it now; try again in a few seconds.", log=str(error.orig))


def single(work: Callable[..., T]) -> Callable[[Connection, Sequence[Any]], list[T]]:
    """A write function for rows that have nothing to share: `work(connection, *row)` for each."""

    def change(connection: Connection, rows: Sequence[Any]) -> list[T]:
        return [work(connection, *row) for row in rows]

    return change


def _on_begin(connection: Connection) -> None:
    # A writer takes its lock at once: a transaction that begins by reading cannot wait for another process's write.
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _on_connect(raw: Any, _record: Any) -> None:
    raw.isolation_level = None  # transactions are begun by us, not guessed by the driver
    cursor = raw.cursor()
    # Before anything else: it can be chosen only for a file without tables.
    cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA busy_timeout=1000")
    cursor.execute("PRAGMA temp_store=MEMORY")
    # What retention deletes is overwritten; a build of SQLite need not do so by itself.
    cursor.execute("PRAGMA secure_delete=ON")
    cursor.close()
