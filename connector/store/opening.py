"""Opens a store for a command: database and secrets together."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy.exc import DatabaseError

from connector.config import Config
from connector.errors import ConfigError
from connector.store.engine.database import Database
from connector.store.engine.migrate import migrate, require_current
from connector.store.secrets import SecretBox, open_box


@dataclass(frozen=True, slots=True)
class Store:
    """An open store."""

    db: Database
    box: SecretBox


@contextlib.contextmanager
def opened(config: Config, *, make: bool) -> Iterator[Store]:
    """The store of these settings. `make`: an SQLite file that is missing or old is brought to this version's schema.

    Raises `ConfigError`: no store, another version's, the wrong key.
    """
    file = config.database_file
    if file is not None and not file.exists() and not make:
        raise ConfigError(f"there is no store at {file} yet; `connector apply` or `connector serve` makes it")
    with readable(config):
        if file is not None and make:
            migrate(config.database_url)
        db = Database(config.database_url)
        try:
            db.transact(require_current)
            yield Store(db, open_box(config, db))
        finally:
            db.dispose()


@contextlib.contextmanager
def readable(config: Config) -> Iterator[None]:
    """Turns what a file that is no SQLite database brings about into a `ConfigError`."""
    try:
        yield
    except DatabaseError as error:
        raise ConfigError(
            f"{config.database_file or 'the database'} cannot be used as a store: {error.orig}"
        ) from error
