"""Backups of SQLite stores."""

import sqlite3
import stat
import time
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Connection as Sql
from sqlalchemy import select

from connector.config import Config
from connector.errors import ConfigError, ConnectorError
from connector.store import schema
from connector.store.backup import backup
from connector.store.opening import opened
from connector.tenants.directory import load
from tests.rig.shop import Shop


def restored_at(sql: Sql) -> float | None:
    value: float | None = sql.execute(select(schema.config.c.restored_at)).scalar_one()
    return value


def test_a_copy_opens_and_knows_that_it_is_one(shop: Shop, tmp_path: Path) -> None:
    before = time.time()
    target = tmp_path / "copy.db"
    files = backup(shop.config, target)
    assert files == [target, tmp_path / "copy.db.key"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert not list(tmp_path.glob("copy.db-*"))
    with opened(Config(database_url=f"sqlite:///{target}"), make=False) as copy:
        assert copy.db.transact(load, copy.box).tenants.keys() == {"exotel535"}
        marked = copy.db.transact(restored_at)
    assert marked is not None
    assert before <= marked <= time.time()
    assert shop.db.transact(restored_at) is None


async def test_a_copy_is_made_while_the_service_writes(shop: Shop, tmp_path: Path) -> None:
    async with shop.db.running():
        backup(shop.config, tmp_path / "copy.db")
    assert sqlite3.connect(tmp_path / "copy.db").execute("pragma integrity_check").fetchone() == ("ok",)


def test_nothing_is_overwritten(shop: Shop, tmp_path: Path) -> None:
    key = tmp_path / "copy.db.key"
    key.write_text("mine")
    with pytest.raises(ConfigError, match=r"copy\.db\.key is in the way"):
        backup(shop.config, tmp_path / "copy.db")
    assert key.read_text() == "mine"
    assert not (tmp_path / "copy.db").exists()


def test_a_key_of_the_environment_is_not_written_down(shop: Shop, tmp_path: Path) -> None:
    config = replace(shop.config, secret_key=Fernet.generate_key().decode())
    assert backup(config, tmp_path / "copy.db") == [tmp_path / "copy.db"]


def test_what_cannot_be_copied_is_said(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pg_dump"):
        backup(replace(shop.config, database_url="postgresql://db/x"), tmp_path / "copy.db")
    with pytest.raises(ConfigError, match="there is no store"):
        backup(Config(database_url=f"sqlite:///{tmp_path}/none.db"), tmp_path / "copy.db")
    with pytest.raises(ConnectorError, match="could not be made: No such file"):
        backup(shop.config, tmp_path / "nowhere" / "copy.db")


def test_a_failed_copy_leaves_nothing_behind(shop: Shop, tmp_path: Path) -> None:
    source = tmp_path / "broken.db"
    source.write_bytes(b"no database" * 1000)
    (tmp_path / "broken.db.key").write_text("key")
    with pytest.raises(ConnectorError, match="could not be made"):
        backup(Config(database_url=f"sqlite:///{source}"), tmp_path / "copy.db")
    assert not list(tmp_path.glob("copy*"))
