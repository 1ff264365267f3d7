"""An online copy of an SQLite store, with its key file. Restoring is: start on the copy.

The copy knows nothing of what the original writes after it was made. So it carries `restored_at`: of every call that
was there by then, the pipeline on the copy looks a record up by its key before it makes one.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from connector.config import Config
from connector.errors import ConfigError, ConnectorError


def backup(config: Config, target: Path) -> list[Path]:
    """Copies the store to `target` and its key file to `<target>.key`, both of mode 0600; returns the files made.

    A store whose key is in the environment has no key file: keep that key yourself. Raises `ConfigError` where a file
    is in the way, the store is no SQLite file or is missing.
    """
    source = config.database_file
    if source is None:
        raise ConfigError(
            "a database server is backed up with its own tools (pg_dump); this command copies SQLite files"
        )
    if not source.exists():
        raise ConfigError(f"there is no store at {source}")
    key = config.beside("key") if config.secret_key is None else None
    files = [target] if key is None else [target, target.with_name(f"{target.name}.key")]
    for file in files:
        if file.exists():
            raise ConfigError(f"{file} is in the way; a backup never overwrites")
    with _removed_on_failure(files):
        # The key comes first: a copy without it would be of no use.
        if key is not None:
            _create(files[1], key.read_bytes())
        _create(target, b"")
        _copy(source, target)
    return files


def _copy(source: Path, target: Path) -> None:
    original = sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True)
    copy = sqlite3.connect(target)
    try:
        # In one step: readers of a WAL store hold nobody up, and in smaller ones every write would start the copy anew.
        original.backup(copy)
        # The copy shows the moment at which it began; naming a later one is safe.
        copy.execute("update config set restored_at = ?", (time.time(),))
        copy.commit()
        # One file, to be carried anywhere: without this, opening it read-only would need the folder to be writable.
        copy.execute("pragma journal_mode = delete").fetchall()
    finally:
        copy.close()
        original.close()
    _sync(target)


def _create(file: Path, content: bytes) -> None:
    with open(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())


def _sync(file: Path) -> None:
    for path in (file, file.absolute().parent):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _removed_on_failure(files: list[Path]) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        for file in files:
            for suffix in ("", "-wal", "-shm", "-journal"):
                file.with_name(file.name + suffix).unlink(missing_ok=True)
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ConnectorError(f"the backup could not be made: {reason}") from error
