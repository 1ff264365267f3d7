"""Every test of the pipeline runs on SQLite and on PostgreSQL."""

import pytest

from connector.store.engine import dialects

_DATABASES_CLOCK = dialects._SPELLINGS[dialects.NOW]


@pytest.fixture(autouse=True)
def _on_both_databases(both_databases: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes every test of this folder through `both_databases`, on a clock that the test may move."""
    monkeypatch.setitem(dialects._SPELLINGS, dialects.NOW, dialects.NOW)


@pytest.fixture
def _databases_clock(_on_both_databases: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database's own clock, as outside of tests."""
    monkeypatch.setitem(dialects._SPELLINGS, dialects.NOW, _DATABASES_CLOCK)
