"""Stores on a PostgreSQL server that writes through to the disk, as those of users do."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, text

from connector.store.engine.database import Database
from tests import databases
from tests.bench import crms
from tests.bench.rig import TICK_S
from tests.bench.store import PUBLIC_URL, Store, fill_in, hooks_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PostgresStore(Store):
    """A database of the server, with a folder for the logs of those who serve it."""

    server: databases.Server
    name: str

    def environ(self) -> dict[str, str]:
        """See `Store.environ`."""
        return {
            "CONNECTOR_DATABASE_URL": self.server.url(self.name),
            "CONNECTOR_SECRET_KEY": databases.KEY,
            "CONNECTOR_PUBLIC_URL": PUBLIC_URL,
        }

    def copy(self, folder: Path) -> "PostgresStore":
        """See `Store.copy`."""
        folder.mkdir()
        return PostgresStore(folder, self.hooks, self.server, self.server.copy(self.name))

    def delete(self) -> None:
        """See `Store.delete`."""
        self.server.drop(self.name)
        shutil.rmtree(self.folder)

    def ask(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        """See `Store.ask`."""
        return self._do(lambda connection: [tuple(row) for row in connection.execute(text(query), values)])

    def change(self, statement: str, **values: Any) -> None:
        """See `Store.change`."""
        self._do(lambda connection: connection.execute(text(statement), values))

    def settle(self) -> None:
        """Brings statistics and visibility up to date, as autovacuum does to a store that has been there for a while.

        Else it does so in the middle of a measurement.
        """
        self.server.execute("vacuum analyze", self.name)

    def _do(self, work: Callable[[Connection], T]) -> T:
        database = Database(self.server.url(self.name))
        try:
            return database.transact(work)
        finally:
            database.dispose()


class ServerCpu:
    """The processor time of the whole server, of all its processes; unknown where it runs on another machine."""

    def __init__(self, store: PostgresStore) -> None:
        (pid,) = store.ask("select pid from pg_stat_activity where backend_type = 'checkpointer'")[0]
        name, fields = _stat(pid)
        self._postmaster = int(fields[1]) if name == "postgres" else None

    def seconds(self) -> float | None:
        """So far, of processes that ended as well."""
        if self._postmaster is None:
            return None
        ticks = sum(map(int, _stat(self._postmaster)[1][11:15]))
        for folder in Path("/proc").glob("[0-9]*"):
            _, fields = _stat(int(folder.name))
            if fields and int(fields[1]) == self._postmaster:
                ticks += int(fields[11]) + int(fields[12])
        return ticks * TICK_S


def _stat(pid: int) -> tuple[str, list[str]]:
    """A process's name, and what proc(5) lists after it: state, parent, …; empty where there is none."""
    try:
        head, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    except OSError:
        return "", []
    return head.partition("(")[2], rest.split()


@contextmanager
def stores(folder: Path) -> Iterator[Callable[..., PostgresStore]]:
    """Makes stores on a server: `make(connections, crm_url, adapter)`, as `store.new_store` does."""
    with databases.server(durable=True) as server:

        def make(
            name: str, connections: int, crm_url: str, adapter: str = crms.DEFAULT, **of_tenants: Any
        ) -> PostgresStore:
            store = PostgresStore(folder / name, hooks_of(connections), server, server.take())
            store.folder.mkdir(parents=True)
            fill_in(store, crms.connections(adapter, connections, crm_url), **of_tenants)
            store.settle()
            return store

        yield make
