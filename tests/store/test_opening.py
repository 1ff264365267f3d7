"""Nobody opens a store of a schema that he does not know, or a server's without a key: he says so in one line."""

from pathlib import Path

import pytest
from sqlalchemy import text

from connector.config import Config
from connector.errors import ConfigError, StoreBusy
from connector.store.engine.database import Database
from connector.store.engine.migrate import upgrade
from connector.store.opening import opened
from tests.databases import config_in

pytestmark = pytest.mark.usefixtures("both_databases")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return config_in(tmp_path)


@pytest.mark.parametrize(("revision", "words"), [("9999", "upgrade the connector"), ("0001", "connector migrate")])
def test_another_versions_schema_is_refused_in_one_line(config: Config, revision: str, words: str) -> None:
    database = Database(config.database_url)
    try:
        database.transact(upgrade)
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


@pytest.mark.parametrize("both_databases", ["sqlite"], indirect=True)
@pytest.mark.parametrize("place", ["127.0.0.1:1/none", "/none?host=/no/such/folder"])
def test_a_server_that_is_not_there_is_said_so(both_databases: str, place: str) -> None:
    nowhere = Config(database_url=f"postgresql://nobody@{place}")
    with pytest.raises(StoreBusy) as refused, opened(nowhere, make=False):
        pass
    assert refused.value.message.startswith("The database cannot be reached: ")
    assert "\n" not in refused.value.message
