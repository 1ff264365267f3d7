"""The store on SQLite: WAL, synchronous=FULL, one writer connection on a thread of its own, readers beside it.

Checkpoints run on a reader's thread.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.exc import OperationalError

from connector.errors import ConfigError, StoreBusy
from connector.rounds import every
from connector.store.engine.wakes import NoOthers
from connector.store.engine.writer import Told, Writer, WriteRequest, together

T = TypeVar("T")

_CHECKPOINT_EVERY_S = 1.0
#: Pages of 4 KiB that the write-ahead log may hold before it is made to start over.
_LOG_FRAMES = 65_536


class SqliteStore:
    """One file, one process. Implements `database.Engine`."""

    def __init__(self, url: URL) -> None:
        if url.database in (None, "", ":memory:"):
            raise ConfigError("the database URL names no file; accepted events would not outlive the process")
        self._engine = create_engine(url, pool_size=8, connect_args={"timeout": 1.0, "check_same_thread": False})
        event.listen(self._engine, "connect", _on_connect)
        event.listen(self._engine, "begin", _on_begin)
        self._reader_threads = ThreadPoolExecutor(3, thread_name_prefix="store-reader")
        self._writer_connection: Connection | None = None
        self._is_log_full = False
        self._writer = Writer(self._commit)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The writer's life: on leaving, what was asked for is committed first."""
        self._writer.start()
        try:
            # The writer never checkpoints: copying pages back would hold the acknowledgements of everybody who waits.
            async with every(_CHECKPOINT_EVERY_S, self._checkpoint_aside, name="store-checkpoints"):
                yield
        finally:
            await self._writer.stop()
            if self._writer_connection is not None:
                self._writer_connection.close()
                self._writer_connection = None

    def dispose(self) -> None:
        """Gives threads and pooled connections back."""
        self._reader_threads.shutdown(wait=True)
        self._engine.dispose()

    def wakes(self) -> NoOthers:
        """See `Database.wakes`."""
        return NoOthers()

    async def read(self, query: Callable[..., T], args: tuple[Any, ...]) -> T:
        """See `Database.read`."""
        return await asyncio.get_running_loop().run_in_executor(self._reader_threads, self._read, query, args)

    async def write(self, change: Callable[[Connection, Sequence[Any]], Sequence[Any]], row: Any) -> Any:
        """See `Database.write`."""
        return await self._writer.ask(change, row)

    def transact(self, work: Callable[..., T], args: tuple[Any, ...]) -> T:
        """See `Database.transact`."""
        try:
            with self._engine.connect().execution_options(writes=True) as connection, connection.begin():
                return work(connection, *args)
        except OperationalError as error:
            raise _busy(error) from error

    def empty_log(self) -> None:
        """See `Database.empty_log`: the next checkpoint does it."""
        self._is_log_full = True

    def _read(self, query: Callable[..., T], args: tuple[Any, ...]) -> T:
        try:
            with self._engine.connect() as connection, connection.begin():
                return query(connection, *args)
        except OperationalError as error:
            raise _busy(error) from error

    def _commit(self, batch: list[WriteRequest]) -> list[Told]:
        try:
            return [(result, None) for result in self._together(batch)]
        except Exception as error:
            if len(batch) == 1:
                return [(None, _busy(error) if isinstance(error, OperationalError) else error)]
        return [self._commit([asked])[0] for asked in batch]

    def _together(self, batch: list[WriteRequest]) -> list[Any]:
        connection = self._writing()
        with connection.begin():
            return together(connection, batch)

    def _writing(self) -> Connection:
        if self._writer_connection is None:
            self._writer_connection = self._engine.connect().execution_options(writes=True)
            raw = self._writer_connection.connection.dbapi_connection
            assert isinstance(raw, sqlite3.Connection)
            raw.execute("PRAGMA wal_autocheckpoint=0")
            raw.execute("PRAGMA cache_size=-32768")
        return self._writer_connection

    async def _checkpoint_aside(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._reader_threads, self._checkpoint)

    def _checkpoint(self) -> None:
        try:
            with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                _is_busy, frames, _done = connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").one()
                if frames > _LOG_FRAMES or self._is_log_full:
                    # Under a load without a pause the log never starts over by itself; this holds the writer briefly.
                    is_busy, *_ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
                    self._is_log_full = bool(is_busy)
        except OperationalError as error:
            raise _busy(error) from error


#: What passes by itself, or once somebody made room; anything else is a fault of ours.
_TROUBLE = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY")


def _busy(error: OperationalError) -> Exception:
    """The store's own trouble (disk full, locked, I/O) as an error with a next action; other errors as they are."""
    if not getattr(error.orig, "sqlite_errorname", "").startswith(_TROUBLE):
        return error
    return StoreBusy("The store cannot take it now; try again in a few seconds.", log=str(error.orig))


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
