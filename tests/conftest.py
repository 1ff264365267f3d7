"""What all tests share."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

from tests import databases

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
