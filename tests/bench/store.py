"""Stores to measure with: many tenants with a connection each, held back, let go, filled with old calls."""

import shutil
import sqlite3
import time
from abc import ABC, abstractmethod
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from connector.config import Config
from connector.store.opening import opened
from connector.tenants.apply import apply
from connector.tenants.file import TenantFile
from tests.bench import crms

PUBLIC_URL = "https://calls.example.com"
_FAR = 1e12


@dataclass(frozen=True, slots=True)
class Hook:
    """What a request of a tenant carries."""

    sid: str
    api_key: str
    api_token: str
    token: str


@dataclass(frozen=True, slots=True)
class Store(ABC):
    """A store with a folder of its own; these methods are for one that nobody serves, `ask` for any.

    Values of `ask` and `change` are named: `:since`.
    """

    folder: Path
    hooks: tuple[Hook, ...]

    @abstractmethod
    def environ(self) -> dict[str, str]:
        """The settings of a process that serves it."""

    @abstractmethod
    def copy(self, folder: Path) -> Self:
        """The same store elsewhere."""

    @abstractmethod
    def delete(self) -> None:
        """Removes it, and the folder."""

    @abstractmethod
    def ask(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        """Rows, read beside whoever serves the store."""

    @abstractmethod
    def change(self, statement: str, **values: Any) -> None:
        """One statement, committed."""

    def hold(self) -> None:
        """Pauses every account, so that events are accepted and nothing is delivered."""
        self.release()
        self.change(
            "insert into gate (account, paused, reason, probe_at, failures, updated_at) "
            "select distinct account, true, 'held back', cast(:far as double precision), 0, 0 from connection",
            far=_FAR,
        )

    def release(self) -> None:
        """Lets the next process that serves the store deliver."""
        self.change("delete from gate")

    def hold_retention(self) -> None:
        """Lets nobody prune old calls."""
        self.change(
            "insert into lease (name, due_at) select 'retention:' || sid, cast(:far as double precision) from tenant",
            far=_FAR,
        )

    def accounts(self) -> int:
        """How many CRM accounts the connections share."""
        return int(self.ask("select count(distinct account) from connection")[0][0])

    def last_delivery(self) -> int:
        """Id of the newest delivery."""
        return int(self.ask("select coalesce(max(id), 0) from delivery")[0][0])

    def is_busy(self) -> bool:
        """Whether a delivery is pending."""
        return bool(self.ask("select exists (select 1 from delivery where state = 'pending')")[0][0])


@dataclass(frozen=True, slots=True)
class FileStore(Store):
    """An SQLite store."""

    @property
    def file(self) -> Path:
        """The database."""
        return self.folder / "connector.db"

    def environ(self) -> dict[str, str]:
        """See `Store.environ`."""
        return {"CONNECTOR_DATABASE_URL": f"sqlite:///{self.file}", "CONNECTOR_PUBLIC_URL": PUBLIC_URL}

    @classmethod
    def of(cls, folder: Path, connections: int) -> "FileStore":
        """The store that `new_store` made in this folder."""
        return cls(folder, hooks_of(connections))

    def copy(self, folder: Path) -> "FileStore":
        """See `Store.copy`."""
        shutil.copytree(self.folder, folder)
        return FileStore(folder, self.hooks)

    def delete(self) -> None:
        """See `Store.delete`."""
        shutil.rmtree(self.folder)

    def ask(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        """See `Store.ask`."""
        with closing(sqlite3.connect(f"file:{self.file}?mode=ro", uri=True, timeout=10)) as connection:
            return connection.execute(query, values).fetchall()

    def change(self, statement: str, **values: Any) -> None:
        """See `Store.change`."""
        with closing(sqlite3.connect(self.file)) as connection, connection:
            connection.execute(statement, values)

    def fill(self, calls: int, age_s: float = 0.0) -> None:
        """Clones the only call of the store, with all that was stored and written for it, over all connections.

        The newest is so many seconds old, the others a second older each.

        CallSids, request hashes and callers are random as they are in life, so that indexes are as large and as
        scattered.
        """
        with closing(sqlite3.connect(self.file, isolation_level=None)) as connection:
            connection.execute("pragma synchronous = off")
            connection.execute("pragma cache_size = -1000000")
            connection.execute("begin")
            connection.execute(
                "create temp table target as select row_number() over (order by id) - 1 as place, id, tenant_id "
                "from connection"
            )
            connection.execute("create unique index temp.target_place on target (place)")
            connection.execute(
                "create temp table clone as with recursive n(i) as (select 1 union all select i + 1 from n where i < ?)"
                " select i, 1000 + i as row, t.id as connection_id, t.tenant_id, ? - (? - i) * 1.0 as at,"
                " lower(hex(randomblob(16))) as call_sid, randomblob(20) as dedup, 9600000000 + i as caller"
                " from n join temp.target t on t.place = i % (select count(*) from temp.target)",
                (calls, time.time() - age_s, calls),
            )
            at = dict.fromkeys(("created_at", "updated_at", "received_at", "started_at"), "n.at")
            shared = {**at, "tenant_id": "n.tenant_id", "connection_id": "n.connection_id", "call_id": "n.row"}
            customer = "'+91' || n.caller"
            _clone(connection, "call", {**shared, "id": "n.row", "call_sid": "n.call_sid", "customer": customer})
            _clone(connection, "event", {**shared, "id": "n.row", "dedup": "n.dedup", "connection_id": "null"})
            _clone(connection, "delivery", {**shared, "id": "n.row"})
            _clone(connection, "step", {**shared, "delivery_id": "n.row"})
            _clone(connection, "contact", {**shared, "number": "'91' || n.caller"})
            connection.execute("commit")
            connection.execute("pragma wal_checkpoint(truncate)")


def _clone(connection: sqlite3.Connection, table: str, changed: dict[str, str]) -> None:
    columns = [row[1] for row in connection.execute(f"pragma table_info({table})")]
    values = [changed.get(name, f"t.{name}") for name in columns]
    connection.execute(f"create temp table only_{table} as select * from {table}")
    connection.execute(
        f"insert into {table} ({', '.join(columns)})"
        f" select {', '.join(values)} from temp.clone n cross join temp.only_{table} t"
    )


def new_store(folder: Path, connections: int, crm_url: str, adapter: str = crms.DEFAULT) -> FileStore:
    """A store with so many tenants, each with one connection to an account of its own, where settings can tell."""
    folder.mkdir(parents=True)
    store = FileStore.of(folder, connections)
    fill_in(store, crms.connections(adapter, connections, crm_url))
    return store


def fill_in(store: Store, connections: list[dict[str, Any]], **of_tenants: Any) -> None:
    """Applies a tenant for each of the store's hooks, each with one of these connections. Makes the schema."""
    tenants = [
        {**_tenant(hook, connection), **of_tenants} for hook, connection in zip(store.hooks, connections, strict=True)
    ]
    with opened(Config.from_env(store.environ()), make=True) as parts:
        apply(TenantFile.model_validate({"tenants": tenants}), parts.db, parts.box)


def hooks_of(connections: int) -> tuple[Hook, ...]:
    """What requests of so many tenants carry."""
    numbers = (f"{n:024}" for n in range(1, connections + 1))
    return tuple(Hook(f"bench{int(n)}", f"key{n}", f"token{n}", f"hook-{n}") for n in numbers)


def _tenant(hook: Hook, connection: dict[str, Any]) -> dict[str, Any]:
    return {
        "sid": hook.sid,
        "api_key": hook.api_key,
        "api_token": hook.api_token,
        "hook_token": hook.token,
        "exophones": {"08047494574": "Support line"},
        "connections": [connection],
    }
