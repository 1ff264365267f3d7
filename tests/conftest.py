"""What all tests share."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests import databases
from tests.rig.shop import Shop, shop_in

# Chance finds bugs while somebody is there to mend them; in CI the same commit gives the same verdict.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


@pytest.fixture(scope="session")
def postgres() -> Iterator[databases.Server]:
    """A real PostgreSQL server, started when the first test asks for it."""
    with databases.server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def both_databases(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Runs the test on either database: `databases.config_in(folder)` is the store of a folder."""
    if request.param == "sqlite":
        yield request.param
        return
    stores = databases.PostgresStores(request.getfixturevalue("postgres"))
    monkeypatch.setattr(databases, "current", stores)
    yield request.param
    stores.give_back()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A store with one tenant."""
    with shop_in(tmp_path) as made:
        yield made
