"""The migrations make what the schema says, on both databases, and nobody runs on a schema that he does not know."""

from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from connector.config import Config
from connector.errors import ConfigError
from connector.store import migrate
from connector.store.database import Database
from connector.store.opening import opened
from connector.store.schema import metadata
from tests.databases import config_in

pytestmark = pytest.mark.usefixtures("both_databases")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return config_in(tmp_path)


def _is_ours(thing: Any, name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:
    table = name if kind == "table" else thing.table.name
    return not (table or "").startswith("pgqueuer")


def _differences(connection: Connection) -> list[Any]:
    migrate.upgrade(connection)
    context = MigrationContext.configure(connection, opts={"include_object": _is_ours, "compare_type": True})
    found: list[Any] = compare_metadata(context, metadata)
    return found


def test_the_migrations_make_the_schema(config: Config) -> None:
    database = Database(config.database_url)
    try:
        assert database.transact(_differences) == []
    finally:
        database.dispose()


def _down_and_up(connection: Connection) -> str:
    alembic = migrate._config()
    alembic.attributes["connection"] = connection
    migrate.upgrade(connection)
    command.downgrade(alembic, "0001")
    return migrate.upgrade(connection)


def test_the_last_migrations_can_be_taken_back(config: Config) -> None:
    database = Database(config.database_url)
    try:
        assert database.transact(_down_and_up) == migrate._head()
    finally:
        database.dispose()


@pytest.mark.parametrize(("revision", "words"), [("9999", "upgrade the connector"), ("0001", "connector migrate")])
def test_another_versions_schema_is_refused_in_one_line(config: Config, revision: str, words: str) -> None:
    database = Database(config.database_url)
    try:
        database.transact(migrate.upgrade)
        database.transact(lambda sql: sql.execute(text("update alembic_version set version_num = :r"), {"r": revision}))
    finally:
        database.dispose()
    with pytest.raises(ConfigError, match=words) as refused, opened(config, make=False):
        pass
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("both_databases", ["postgresql"], indirect=True)
def test_a_server_needs_a_key_from_the_environment(config: Config) -> None:
    keyless = Config(database_url=config.database_url)
    with pytest.raises(ConfigError, match="CONNECTOR_SECRET_KEY: not set"), opened(keyless, make=False):
        pass
