"""Every test of the pipeline runs on SQLite and on PostgreSQL."""

import pytest


@pytest.fixture(autouse=True)
def _on_both_databases(both_databases: str) -> None:
    """Takes every test of this folder through `both_databases`."""
