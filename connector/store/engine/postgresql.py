"""The store on PostgreSQL: any number of processes, writes in the event loop, reads and commands beside it.

Writes run where they are asked for, in the service's event loop (`engine.lanes`). Reads and commands may compute for
long between two statements (a directory of thousands of connections), so they have a loop on a thread of their own.

Sessions give up by themselves: a process that is frozen inside a transaction holds the others' rows for
`idle_in_transaction_session_timeout` at the most (docs/design.md §7). Where that does not count, whoever waits for such
a row ends the session that holds it.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

import asyncpg
from sqlalchemy import URL, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from connector.errors import ConfigError, StoreBusy
from connector.store.engine.lanes import Lanes
from connector.store.engine.notify import NotifyWakes
from connector.store.engine.writer import Change, Told, WriteRequest, is_one_statement, together

log = logging.getLogger(__name__)

T = TypeVar("T")

#: What every session is told: nobody waits long for a lock, and nobody holds one while frozen.
_SESSION: Final = {
    "application_name": "connector",
    "idle_in_transaction_session_timeout": "2000",
    "lock_timeout": "1000",
    "statement_timeout": "5000",
    "jit": "off",  # compiling costs more than any of these statements
}
#: Accept finds its rows by keys; before a new store's first analyze PostgreSQL would read all of `call` instead.
_ACCEPTING: Final = {**_SESSION, "enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}
#: Readers hold no row, and one that builds a large directory is busy meanwhile.
_READER: Final = {**_SESSION, "idle_in_transaction_session_timeout": "30000"}
#: A row was waited for as long as `lock_timeout` lets us.
_LOCKED: Final = "55P03"
#: Ends sessions of ours that hold others up and say no more. The driver prepares a statement and then has it carried
#: out; a process that is frozen between the two keeps its rows, since the server counts that wait against no limit.
_END_SILENT: Final = text(
    "select pid, pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
    " and usename = current_user and application_name = 'connector' and pid <> pg_backend_pid()"
    " and state = 'active' and wait_event = 'ClientRead' and xact_start is not null"
    " and state_change < clock_timestamp() - interval '1.5 seconds'"
)
_CONNECT_S: Final = 3.0
#: Longer than the server's own limits: this one is for a server that does not answer at all.
_ANSWER_S: Final = 8.0
#: Connections of a process: for accept, for all other changes, for reads and commands. A queue for one of them is
#: never in another's way.
_ACCEPTS: Final = 3
_CHANGES: Final = 4
_READS: Final = 2

#: Classes and codes (appendix A of PostgreSQL's manual) of what passes by itself, or once somebody made room: no
#: connection, no resources, shut down or cancelled, a lock or a deadlock, an idle transaction ended, a standby.
_TROUBLE: Final = ("08", "53", "57", "58", "28", "3D", "40", "55P03", "25P03", "25006")
#: The login or the database is not there: at the start of a command that is a wrong setting.
_REFUSED: Final = ("28", "3D")
_NO_ANSWER: Final = (ConnectionError, TimeoutError)


class PostgresStore:
    """A database of a PostgreSQL server. Implements `database.Engine`."""

    def __init__(self, url: URL) -> None:
        #: As libpq's URLs, which asyncpg reads by itself: `host`, `sslmode`, several hosts.
        self._dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._beside = _Beside(lambda: self._engine(_READS, _READER))
        self._lanes: Lanes | None = None
        self._accepts: AsyncEngine | None = None
        self._changes: AsyncEngine | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The writers' life: on leaving, what was asked for is committed first."""
        self._accepts = self._engine(_ACCEPTS, _ACCEPTING).execution_options(isolation_level="AUTOCOMMIT")
        self._changes = self._engine(_CHANGES, _SESSION)
        self._lanes = Lanes(self._commit)
        try:
            yield
        finally:
            await self._lanes.drain()
            self._lanes = None
            await self._accepts.dispose()
            await self._changes.dispose()

    def dispose(self) -> None:
        """Gives the thread and the connections of reads and commands back."""
        self._beside.stop()

    def wakes(self) -> NotifyWakes:
        """See `Database.wakes`."""
        return NotifyWakes(lambda: self._connect(_SESSION))

    async def read(self, query: Callable[..., T], args: tuple[Any, ...]) -> T:
        """See `Database.read`."""
        try:
            return await self._beside.run(lambda engine: _read(engine, query, args))
        except _Broken:  # a connection that broke while it lay idle says so when it is used
            return await self._beside.run(lambda engine: _read(engine, query, args))

    async def write(self, change: Change, row: Any) -> Any:
        """See `Database.write`."""
        assert self._lanes is not None, "the store does not run"
        return await self._lanes.ask(change, row)

    def transact(self, work: Callable[..., T], args: tuple[Any, ...]) -> T:
        """See `Database.transact`."""
        return self._beside.wait(lambda engine: _transact(engine, work, args))

    def empty_log(self) -> None:
        """See `Database.empty_log`: a server's log is its own."""

    def _engine(self, connections: int, session: dict[str, str]) -> AsyncEngine:
        return create_async_engine(
            "postgresql+asyncpg://",
            async_creator=lambda: self._connect(session),
            pool_size=connections,
            max_overflow=0,
            pool_timeout=4,
        )

    async def _connect(self, session: dict[str, str]) -> Any:
        limits = {"timeout": _CONNECT_S, "command_timeout": _ANSWER_S}
        try:
            return await asyncpg.connect(self._dsn, server_settings=session, **limits)
        except OSError as error:  # no such socket, no such host, nobody listens
            raise _gone(error) from error

    async def _commit(self, change: Change, batch: list[WriteRequest]) -> list[Told]:
        try:
            return [(result, None) for result in await self._together(change, batch)]
        except Exception as error:
            if _code(error) == _LOCKED:
                await self._end_silent()
            trouble = _trouble(error)
            if len(batch) == 1 or isinstance(trouble, _Broken):
                return [(None, trouble)] * len(batch)
        return [(await self._commit(change, [asked]))[0] for asked in batch]

    async def _end_silent(self) -> None:
        assert self._accepts is not None
        try:
            async with self._accepts.connect() as connection, _given_up(connection), connection.begin():
                ended = (await connection.execute(_END_SILENT)).all()
        except Exception as error:  # whoever waits for the row tries again, and so is this
            log.warning("sessions that say no more could not be ended", extra={"error": _words(error)})
            return
        if ended:
            log.warning("sessions that held others up and said no more were ended", extra={"sessions": len(ended)})

    async def _together(self, change: Change, batch: Sequence[WriteRequest]) -> list[Any]:
        assert self._accepts is not None
        assert self._changes is not None
        # A change of one statement needs no transaction around it: a process that freezes there holds no lock.
        engine = self._accepts if is_one_statement(change) else self._changes
        async with engine.connect() as connection, _given_up(connection), connection.begin():
            return await connection.run_sync(together, batch)


class _Broken(StoreBusy):
    """There is no connection: what was asked for may or may not have been kept, and the next row fares no better."""


async def _read(engine: AsyncEngine, query: Callable[..., T], args: tuple[Any, ...]) -> T:
    try:
        async with engine.connect() as connection, _given_up(connection):
            await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            async with connection.begin():
                return await connection.run_sync(query, *args)
    except Exception as error:
        raise _trouble(error) from error


async def _transact(engine: AsyncEngine, work: Callable[..., T], args: tuple[Any, ...]) -> T:
    try:
        async with engine.connect() as connection, _given_up(connection), connection.begin():
            return await connection.run_sync(work, *args)
    except Exception as error:
        code = _code(error)
        if code.startswith(_REFUSED):
            raise ConfigError(f"the database refuses the login: {_words(error)}") from error
        trouble = _trouble(error)
        if isinstance(trouble, _Broken):  # whoever runs a command may know why
            trouble = StoreBusy(f"The database cannot be reached: {trouble}")
        raise trouble from error


@contextlib.asynccontextmanager
async def _given_up(connection: AsyncConnection) -> AsyncIterator[None]:
    """Closes a connection whose server did not answer, instead of using it again."""
    try:
        yield
    except _NO_ANSWER:
        await connection.invalidate()
        raise


def _gone(error: Exception) -> "_Broken":
    return _Broken("The database cannot be reached now; try again in a few seconds.", log=_words(error))


def _trouble(error: Exception) -> Exception:
    """The store's own trouble as an error with a next action; other errors as they are."""
    is_gone = isinstance(error, DBAPIError) and error.connection_invalidated
    if is_gone or isinstance(error, (*_NO_ANSWER, asyncpg.InterfaceError)):
        return _gone(error)
    if isinstance(error, NoConnection) or _code(error).startswith(_TROUBLE):
        return StoreBusy("The store cannot take it now; try again in a few seconds.", log=_words(error))
    return error


def _code(error: Exception) -> str:
    source = error.orig if isinstance(error, DBAPIError) else error
    return getattr(source, "sqlstate", None) or ""


def _words(error: Exception) -> str:
    return str(error.orig if isinstance(error, DBAPIError) else error) or type(error).__name__


async def _ended(engine: AsyncEngine) -> None:
    """Lets what runs in this loop come to its end, also what nobody waits for any more, and closes the connections."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)
    await engine.dispose()


class _Beside:
    """An event loop on a thread of its own, with an engine; started when it is first asked for."""

    def __init__(self, make: Callable[[], AsyncEngine]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._engine: AsyncEngine | None = None
        self._thread: threading.Thread | None = None

    async def run(self, work: Callable[[AsyncEngine], Coroutine[Any, Any, T]]) -> T:
        """The result of `work`. A caller that is cancelled does not break it off: its connection stays whole."""
        loop, engine = self._started()
        return await asyncio.shield(asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work(engine), loop)))

    def wait(self, work: Callable[[AsyncEngine], Coroutine[Any, Any, T]]) -> T:
        """The result of `work`, for callers that have no loop, or hold theirs up."""
        loop, engine = self._started()
        return asyncio.run_coroutine_threadsafe(work(engine), loop).result()

    def stop(self) -> None:
        """Ends thread and connections; the next `run` starts them anew."""
        with self._lock:
            loop, engine, thread = self._loop, self._engine, self._thread
            self._loop = self._engine = self._thread = None
        if loop is not None and engine is not None and thread is not None:
            asyncio.run_coroutine_threadsafe(_ended(engine), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def _started(self) -> tuple[asyncio.AbstractEventLoop, AsyncEngine]:
        with self._lock:
            if self._loop is None or self._engine is None:
                self._loop = asyncio.new_event_loop()
                self._engine = self._make()
                self._thread = threading.Thread(target=self._loop.run_forever, name="store-beside", daemon=True)
                self._thread.start()
            return self._loop, self._engine
