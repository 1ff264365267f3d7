"""Sealing, key files, rotation."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Connection, insert, select

from connector.config import Config
from connector.errors import ConfigError
from connector.store import schema
from connector.store.engine.database import Database
from connector.store.engine.migrate import migrate
from connector.store.secrets import SecretBox, open_box, rekey

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    config = Config(database_url=f"sqlite:///{tmp_path}/a.db")
    migrate(config.database_url)
    return config


@pytest.fixture
def database(config: Config) -> Iterator[Database]:
    database = Database(config.database_url)
    yield database
    database.dispose()


def with_key(config: Config, *keys: str) -> Config:
    return Config(database_url=config.database_url, secret_key=",".join(keys))


def test_what_was_sealed_opens_and_shows_nothing() -> None:
    box = SecretBox([OLD], b"r" * 32)
    sealed = box.seal({"api_key": "hunter2"})
    assert b"hunter2" not in sealed
    assert box.open(sealed) == {"api_key": "hunter2"}
    with pytest.raises(ConfigError, match="CONNECTOR_SECRET_KEY"):
        SecretBox([NEW], b"r" * 32).open(sealed)


def test_all_keys_open_and_the_first_seals() -> None:
    sealed = SecretBox([OLD], b"r" * 32).seal({"a": 1})
    both = SecretBox([NEW, OLD], b"r" * 32)
    assert both.open(sealed) == {"a": 1}
    assert SecretBox([NEW], b"r" * 32).open(both.rotate(sealed)) == {"a": 1}


def test_fingerprints_outlive_a_rotation_and_tokens_do_not() -> None:
    old, both, new = (SecretBox(keys, b"r" * 32) for keys in ([OLD], [NEW, OLD], [NEW]))
    assert old.fingerprint("x") == both.fingerprint("x") != old.fingerprint("y")
    token = old.token("home:abc")
    assert both.is_token("home:abc", token)
    assert not new.is_token("home:abc", token)
    assert not old.is_token("home:abd", token)
    assert not old.is_token("home:abc", "ü")


def test_a_new_sqlite_store_gets_a_key_file_that_only_its_owner_reads(config: Config, database: Database) -> None:
    box = open_box(config, database)
    file = config.beside("key")
    assert file is not None
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    sealed = box.seal({"a": 1})
    assert open_box(config, database).open(sealed) == {"a": 1}
    assert [path.name for path in file.parent.glob("*.key*")] == ["a.db.key"]


def test_a_wrong_key_fails_at_start_in_one_line(config: Config, database: Database) -> None:
    open_box(with_key(config, OLD), database)
    with pytest.raises(ConfigError, match=r"^CONNECTOR_SECRET_KEY: not the key"):
        open_box(with_key(config, NEW), database)


def test_a_lost_key_file_is_not_replaced_by_a_new_one(config: Config, database: Database) -> None:
    open_box(config, database)
    file = config.beside("key")
    assert file is not None
    file.unlink()
    with pytest.raises(ConfigError, match="is missing"):
        open_box(config, database)
    file.write_text("nonsense")
    with pytest.raises(ConfigError, match="holds no Fernet key"):
        open_box(config, database)
    file.write_text(OLD)
    with pytest.raises(ConfigError, match=r"a\.db\.key: not the key"):
        open_box(config, database)


def test_a_database_server_needs_a_key(config: Config, database: Database) -> None:
    with pytest.raises(ConfigError, match="CONNECTOR_SECRET_KEY: not set"):
        open_box(Config(database_url="postgresql://db/x"), database)


def sealed_row(connection: Connection, box: SecretBox) -> None:
    row = {"sid": "t", "settings": "{}", "secrets": box.seal({"api_key": "k"}), "hook_token_hash": "h"}
    connection.execute(insert(schema.tenant).values(created_at=0, updated_at=0, **row))


def secrets_of(connection: Connection) -> bytes:
    return bytes(connection.execute(select(schema.tenant.c.secrets)).scalar_one())


def test_rekey_reseals_everything_with_the_newest_key(config: Config, database: Database) -> None:
    database.transact(sealed_row, open_box(with_key(config, OLD), database))
    assert rekey(with_key(config, NEW, OLD), database) == 2
    box = open_box(with_key(config, NEW), database)
    assert box.open(database.transact(secrets_of)) == {"api_key": "k"}


def test_rekey_replaces_a_key_file(config: Config, database: Database) -> None:
    database.transact(sealed_row, open_box(config, database))
    file = config.beside("key")
    assert file is not None
    before = file.read_text()
    assert rekey(config, database) == 2
    assert before not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert open_box(config, database).open(database.transact(secrets_of)) == {"api_key": "k"}
