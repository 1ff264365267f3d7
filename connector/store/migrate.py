"""Brings a store to this version's schema, and says whether it is there."""

from pathlib import Path

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from connector.errors import ConfigError
from connector.store.database import Database


def migrate(database_url: str) -> str:
    """Runs what is missing; repeatable. Returns the revision that the store is at now."""
    database = Database(database_url)
    try:
        return database.transact(upgrade)
    finally:
        database.dispose()


def upgrade(connection: Connection) -> str:
    """Runs the missing migrations on this connection, inside its transaction. Returns the newest revision."""
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


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config
