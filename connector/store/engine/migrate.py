"""Brings a store to this version's schema, and says whether it is there."""

import functools
from pathlib import Path

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from connector.errors import ConfigError
from connector.store.engine.database import Database

#: Whoever holds this advisory lock migrates.
_MIGRATING = 5_396_877_211


def migrate(database_url: str) -> str:
    """Runs what is missing; repeatable. Returns the revision that the store is at now."""
    database = Database(database_url)
    try:
        return database.transact(upgrade)
    finally:
        database.dispose()


def upgrade(connection: Connection) -> str:
    """Runs the missing migrations on this connection, inside its transaction. Returns the newest revision.

    On PostgreSQL one process migrates at a time; another one waits, and then finds nothing to do.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("set local statement_timeout = 0")
        connection.exec_driver_sql("set local idle_in_transaction_session_timeout = 0")
        # Waiting for the other one may take as long as its migration; a table that is in use is another matter.
        connection.exec_driver_sql("set local lock_timeout = 0")
        connection.exec_driver_sql(f"select pg_advisory_xact_lock({_MIGRATING})")
        connection.exec_driver_sql("set local lock_timeout = '5s'")
    _known(connection)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    return _head()


def require_current(connection: Connection) -> None:
    """Raises `ConfigError` unless the store has exactly this version's schema."""
    at = _known(connection)
    if at != _head():
        raise ConfigError(
            f"the database is at schema {at or 'none'}, this version needs {_head()}: run `connector migrate`"
        )


def _known(connection: Connection) -> str | None:
    at = MigrationContext.configure(connection).get_current_revision()
    if at is not None and at not in {script.revision for script in _scripts().walk_revisions()}:
        raise ConfigError(
            f"the database has schema {at}, which a newer version of the connector made: upgrade the connector"
        )
    return at


def _head() -> str:
    head = _scripts().get_current_head()
    assert head is not None
    return head


@functools.cache
def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", str(Path(__file__).parents[1] / "migrations").replace("%", "%%"))
    return config
