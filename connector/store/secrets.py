"""Sealed secrets: what the store keeps of keys and tokens, and what is derived from the operator's key.

Fernet keys come from `CONNECTOR_SECRET_KEY`; the first one seals, all of them open (rotation: put the new key first,
restart, `connector rekey`, drop the old one). On SQLite a missing key is made as `<database>.key`.

The check value in table `config` is 32 random bytes, sealed. It makes a wrong key fail at start, and fingerprints are
keyed by it, so that they stay comparable when the key rotates. Tokens are derived from the key itself: a rotation
replaces them, and those made before are good while the old key is listed.
"""

import base64
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import Column, Connection, Table, select, text, update

from connector.config import Config
from connector.errors import ConfigError
from connector.store.engine.database import Database
from connector.store.schema import config as config_table
from connector.store.schema import credential, tenant

_VARIABLE = "CONNECTOR_SECRET_KEY"
_FIRST_ROW = text("insert into config (id) values (1) on conflict (id) do nothing")


class SecretBox:
    """Seals and opens JSON objects. `keys`: Fernet keys, newest first; `root`: the opened check value, 32 bytes."""

    def __init__(self, keys: Sequence[str], root: bytes) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in keys])
        raw = [base64.urlsafe_b64decode(key) for key in keys]
        #: Name of a key -> what tokens are made with, newest first.
        self._token_keys = {_name(key): _derive(key, "token") for key in raw}
        self._fingerprint_key = _derive(root, "fingerprint")

    def seal(self, data: Mapping[str, Any]) -> bytes:
        """`data` as JSON, encrypted with the newest key."""
        return self._fernet.encrypt(json.dumps(data, separators=(",", ":")).encode())

    def open(self, sealed: bytes) -> dict[str, Any]:
        """What `seal` was given. Raises `ConfigError` where no key opens it."""
        try:
            data: dict[str, Any] = json.loads(self._fernet.decrypt(sealed))
        except InvalidToken:
            raise ConfigError("a stored secret does not open with any of the keys", field=_VARIABLE) from None
        return data

    def rotate(self, sealed: bytes) -> bytes:
        """The same content under the newest key."""
        return self._fernet.rotate(sealed)

    def fingerprint(self, text: str) -> str:
        """Keyed hash (64 hex digits): equal for equal texts, tells nothing of them, survives a rotation of the key."""
        return hmac.new(self._fingerprint_key, text.encode(), hashlib.sha256).hexdigest()

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Names of the keys, newest first; a name tells nothing of its key."""
        return tuple(self._token_keys)

    def token(self, purpose: str, key_id: str | None = None) -> str:
        """A bearer token for `purpose` (`home:<connection id>`), the same each time while the key is the same.

        `key_id`: the key it is made with, one of `key_ids`; the newest where that is None or not listed any more.
        """
        return _token(self._token_keys.get(key_id or "", next(iter(self._token_keys.values()))), purpose)

    def is_token(self, purpose: str, token: str) -> bool:
        """Whether `token` is that of `purpose` under any of the keys; takes the same time for every wrong one."""
        given = token.encode()
        # Every key is tried, so that the time does not tell which one is in use.
        matches = [hmac.compare_digest(_token(key, purpose).encode(), given) for key in self._token_keys.values()]
        return True in matches


def open_box(config: Config, database: Database) -> SecretBox:
    """The box of this store, whose tables exist; a new store gets its check value, and on SQLite its key file.

    Raises `ConfigError`: no key for a database server, the key of another store, a lost key file.
    """
    keys = _keys(config, is_new=database.transact(_check_value) is None)
    try:
        root = database.transact(_root, MultiFernet([Fernet(key) for key in keys]))
    except InvalidToken:
        source = _VARIABLE if config.secret_key is not None else str(config.beside("key"))
        raise ConfigError("not the key that this database was sealed with", field=source) from None
    return SecretBox(keys, root)


def rekey(config: Config, database: Database) -> int:
    """Seals everything with the newest key and returns how many values that were.

    A key file gets a new key first; the old one leaves it after the last value is resealed, so that a crash in
    between locks nobody out.
    """
    box = open_box(config, database)
    file = config.beside("key") if config.secret_key is None else None
    if file is None:
        return database.transact(_reseal, box.rotate)
    keys = [Fernet.generate_key().decode(), *_read_keys(file)]
    _replace(file, ",".join(keys))
    count = database.transact(_reseal, MultiFernet([Fernet(key) for key in keys]).rotate)
    _replace(file, keys[0])
    return count


def _keys(config: Config, *, is_new: bool) -> list[str]:
    if config.secret_key is not None:
        return config.secret_key.split(",")
    file = config.beside("key")
    if file is None:
        raise ConfigError("not set; a database server needs one (32 random bytes, URL-safe base64)", field=_VARIABLE)
    if not file.exists():
        if not is_new:
            raise ConfigError(f"the key file {file} is missing; put it back, or set {_VARIABLE}")
        _make(file, Fernet.generate_key().decode())
    return _read_keys(file)


def _read_keys(file: Path) -> list[str]:
    try:
        keys = [key.strip() for key in file.read_text("ascii").split(",")]
        MultiFernet([Fernet(key) for key in keys])
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds no Fernet key"
        raise ConfigError(f"the key file {file} cannot be used: {reason}") from None
    return keys


def _make(file: Path, text: str) -> None:
    """Writes a new file of mode 0600, whole or not at all; one that somebody else made meanwhile stays."""
    draft = _draft(file, text)
    try:
        os.link(draft, file)
    except FileExistsError:
        return
    finally:
        draft.unlink()


def _replace(file: Path, text: str) -> None:
    _draft(file, text).replace(file)


def _draft(file: Path, text: str) -> Path:
    draft = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    try:
        with open(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="ascii") as opened:
            opened.write(text + "\n")
            opened.flush()
            os.fsync(opened.fileno())
    except OSError as error:
        raise ConfigError(f"the file {file} cannot be written: {error.strerror}") from None
    return draft


def _check_value(connection: Connection) -> bytes | None:
    return connection.execute(select(config_table.c.check_value)).scalar()


def _root(connection: Connection, fernet: MultiFernet) -> bytes:
    sealed = _check_value(connection)
    if sealed is None:
        connection.execute(_FIRST_ROW)
        # Another replica may start on the new store at the same time: the first value stays.
        mine = config_table.c.check_value.is_(None)
        values = {"check_value": fernet.encrypt(secrets.token_bytes(32))}
        connection.execute(update(config_table).where(mine).values(values))
        sealed = _check_value(connection)
    assert sealed is not None
    return fernet.decrypt(sealed)


def _reseal(connection: Connection, rotate: Callable[[bytes], bytes]) -> int:
    count = 0
    places: list[tuple[Table, Column[Any]]] = [
        (config_table, config_table.c.check_value),
        (tenant, tenant.c.secrets),
        (credential, credential.c.sealed),
    ]
    for table, column in places:
        for row_id, sealed in connection.execute(select(table.c.id, column)).all():
            connection.execute(update(table).where(table.c.id == row_id).values({column.name: rotate(sealed)}))
            count += 1
    return count


def _derive(key: bytes, purpose: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"connector {purpose}".encode()).derive(key)


def _name(key: bytes) -> str:
    return _derive(key, "name")[:6].hex()


def _token(key: bytes, purpose: str) -> str:
    return base64.urlsafe_b64encode(hmac.digest(key, purpose.encode(), "sha256")).decode().rstrip("=")
