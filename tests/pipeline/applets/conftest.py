"""Tests of answers while a caller waits."""

import pytest


@pytest.fixture(autouse=True)
def _on_both_databases() -> None:
    """What is tried here needs no store: it is not run once for each database."""
