"""The store as everybody else sees it: `read` and `write` run functions of `queries`; nothing else speaks SQL.

A write is a function `(connection, rows) -> results`, one result per row. Whatever is asked for while a commit runs
gathers; then each function runs once with all its rows, in one transaction (group commit). If one fails, the
transaction is rolled back and every row is tried alone, so that a bad row hurts nobody but its owner.

The functions are the same on SQLite (`engine.sqlite`) and PostgreSQL (`engine.postgresql`); how they are run is not.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Protocol, TypeVar

from sqlalchemy import URL, Connection, make_url
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from connector.errors import ConfigError, StoreBusy
from connector.store.engine.sqlite import SqliteStore
from connector.store.engine.wakes import Wakes

T = TypeVar("T")
R = TypeVar("R")


class Engine(Protocol):
    """What a database has to offer; errors that pass by themselves are `StoreBusy`."""

    def running(self) -> contextlib.AbstractAsyncContextManager[None]:
        """The time in which `write` is served; on leaving, what was asked for is committed first."""

    def dispose(self) -> None:
        """Gives threads and connections back."""

    def wakes(self) -> Wakes:
        """See `Database.wakes`."""

    async def read(self, query: Callable[..., T], args: tuple[Any, ...]) -> T:
        """See `Database.read`."""

    async def write(self, change: Callable[[Connection, Sequence[Any]], Sequence[Any]], row: Any) -> Any:
        """See `Database.write`."""

    def transact(self, work: Callable[..., T], args: tuple[Any, ...]) -> T:
        """See `Database.transact`."""

    def empty_log(self) -> None:
        """See `Database.empty_log`."""


class Database:
    """The store of a URL: `sqlite:///FILE` or `postgresql://…`. Raises `ConfigError` where it is neither."""

    def __init__(self, url: str, *, single_process: bool | None = None) -> None:
        """`single_process`: whether no other process serves this store; by default so where it is a file."""
        parsed = make_url(url)
        backend = parsed.get_backend_name()
        if backend not in ("sqlite", "postgresql"):
            raise ConfigError(f"the database URL names {backend!r}; sqlite and postgresql are supported")
        self.url = url
        #: One process serves this store: claims that are there at its start belong to nobody, and what replicas would
        #: have to share is kept in memory.
        self.single_process = backend == "sqlite" if single_process is None else single_process
        self._engine = _engine_of(parsed)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Database"]:
        """The writers' life: on leaving, what was asked for is committed first."""
        try:
            async with self._engine.running():
                yield self
        finally:
            self.dispose()

    def dispose(self) -> None:
        """Gives threads and pooled connections back; all that a command's database needs."""
        self._engine.dispose()

    def wakes(self) -> Wakes:
        """How this process and the others on the store tell each other of work."""
        return self._engine.wakes()

    async def read(self, query: Callable[..., T], *args: Any) -> T:
        """The result of `query(connection, *args)`, in a transaction that sees one state. Raises `StoreBusy`."""
        return await self._engine.read(query, args)

    async def write(self, change: Callable[[Connection, Sequence[Any]], Sequence[R]], row: Any) -> R:
        """This row's result of `change(connection, rows)`, once it is durable.

        Raises `StoreBusy`: nothing was kept, or (PostgreSQL, the line broke during the commit) nobody can say. So a
        change must bear to be asked for again. A caller that is cancelled while its row still waits withdraws it.
        """
        result: R = await self._engine.write(change, row)
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

    def transact(self, work: Callable[..., T], *args: Any) -> T:
        """Runs `work(connection, *args)` in a transaction of its own, beside the writers: for commands. `StoreBusy`."""
        return self._engine.transact(work, args)

    def empty_log(self) -> None:
        """Soon empties the log of what was written: what was deleted stands in it until it is overwritten."""
        self._engine.empty_log()


def _engine_of(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        return SqliteStore(url)
    # Here, since the driver takes long to load, and a store in a file does not need it.
    from connector.store.engine.postgresql import PostgresStore

    return PostgresStore(url)


def single(work: Callable[..., T]) -> Callable[[Connection, Sequence[Any]], list[T]]:
    """A write function for rows that have nothing to share: `work(connection, *row)` for each."""

    def change(connection: Connection, rows: Sequence[Any]) -> list[T]:
        return [work(connection, *row) for row in rows]

    return change
