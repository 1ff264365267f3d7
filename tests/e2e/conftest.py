"""What tests of several replicas share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.config import Config
from tests import databases


@pytest.fixture
def shared_store(tmp_path: Path, postgres: databases.Server) -> Iterator[Config]:
    """A database of PostgreSQL for the replicas of a test."""
    stores = databases.PostgresStores(postgres)
    yield stores.config(tmp_path)
    stores.give_back()
