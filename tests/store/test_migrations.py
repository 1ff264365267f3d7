"""Migrations: they make the schema that the code has, and each lets the version before it go on running."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import (
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    inspect,
)
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import TypeEngine

from connector.store import schema
from connector.store.engine.database import Database
from connector.store.engine.migrate import _config, _scripts
from tests.databases import Server
from tests.store.schemas import breaking, reflected

REVISIONS = [script.revision for script in reversed(list(_scripts().walk_revisions()))]


@pytest.fixture(params=["sqlite", "postgresql"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without any table."""
    if request.param == "sqlite":
        database = Database(f"sqlite:///{tmp_path}/c.db")
        yield database
        database.dispose()
        return
    server: Server = request.getfixturevalue("postgres")
    name = server.create_empty()
    database = Database(server.url(name))
    yield database
    database.dispose()
    server.drop(name)


def migrate(sql: Connection, revision: str) -> None:
    config = _config()
    config.attributes["connection"] = sql
    command.upgrade(config, revision)


def test_the_migrations_make_the_schema_of_the_code(db: Database) -> None:
    def differences(sql: Connection) -> object:
        migrate(sql, "head")
        opts = {"compare_type": True}
        return compare_metadata(MigrationContext.configure(sql, opts=opts), schema.metadata)

    assert db.transact(differences) == []


def test_every_migration_lets_the_version_before_it_run(db: Database) -> None:
    def breaks(sql: Connection) -> dict[str, list[str]]:
        migrate(sql, REVISIONS[0])
        old, found = reflected(sql), {}
        for revision in REVISIONS[1:]:
            migrate(sql, revision)
            new = reflected(sql)
            found[revision] = breaking(old, new)
            old = new
        return found

    assert db.transact(breaks) == {revision: [] for revision in REVISIONS[1:]}


def test_every_migration_can_be_taken_back(db: Database) -> None:
    def left(sql: Connection) -> list[str]:
        migrate(sql, "head")
        config = _config()
        config.attributes["connection"] = sql
        command.downgrade(config, "base")
        return inspect(sql).get_table_names()

    assert db.transact(left) == ["alembic_version"]


def of(*items: SchemaItem, name: str = "call") -> MetaData:
    found = MetaData()
    Table("tenant", found, Column("id", Integer, primary_key=True))
    Table(name, found, Column("id", Integer, primary_key=True), *items)
    return found


def column(type_: TypeEngine[Any] | None = None, **changes: Any) -> Column[Any]:
    return Column("sid", type_ or String(8), **changes)


BREAKING = {
    "call was dropped or renamed": of(column(), name="calls"),
    "call.sid was dropped or renamed": of(),
    "call.sid was VARCHAR(8) and is TEXT": of(column(Text())),
    "call.sid was VARCHAR(8) and is VARCHAR(4)": of(column(String(4))),
    "call.sid must be told now": of(column(nullable=False)),
    "call.more is new and must be told": of(column(), Column("more", Text, nullable=False)),
    "call became unique by sid": of(column(), UniqueConstraint("sid")),
    "call became unique by id, sid": of(column(), Index("ix_both", "id", "sid", unique=True)),
    "the primary key of call changed": of(column(primary_key=True)),
    "call has the new foreign key ('sid', 'tenant.id')": of(Column("sid", String(8), ForeignKey("tenant.id"))),
}


@pytest.mark.parametrize("words", BREAKING)
def test_what_would_break_an_older_version_is_noticed(words: str) -> None:
    assert words in breaking(of(column()), BREAKING[words])


def test_what_an_older_version_does_not_see_is_all_right() -> None:
    new = of(
        column(),
        Column("note", Text),
        Index("ix_note", "note", unique=True),
        Column("count", Integer, nullable=False, server_default="0"),
        Index("ix_sid", "sid"),
    )
    Table("lease", new, Column("name", Text, primary_key=True), Column("owner", ForeignKey("call.id")))
    assert breaking(of(column()), new) == []
    assert breaking(of(column(server_default="x"), Index("ix_sid", "sid")), of(column())) == [
        "call.sid lost its default",
        "the index ix_sid was dropped",
    ]
