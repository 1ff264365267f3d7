"""The pipeline's statements find their rows by an index, so that a million old calls cost a new one nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, text

from connector.store.engine.database import Database
from connector.store.engine.migrate import upgrade
from connector.store.queries import events
from tests.bench import plans

#: Carried out for every event or attempt; each reads at least one table that grows.
HOT = (
    *("_NEW_CALL", "_NEW_EVENT", "_NEW_DELIVERY", "_CLAIM", "_CALL_SIDS", "_EVENTS", "_STEPS", "_DUE", "_HELD"),
    *("_FINISH", "_SUMMARY"),
)
#: Carried out for every few calls that are pruned, beside the others.
PRUNING = (
    *("_OLD_CALLS", "_PRUNABLE", "_BURY", "_BURY_EMPTY", "_PRUNE", "_CONTACTS", "_FORGET", "_EMPTY_AUDIT"),
    *("_EXPIRED", "_EXPIRE", "_CLOSED"),
)


@pytest.fixture
def both_databases() -> str:
    """This module is about SQLite; the same of PostgreSQL is in `test_query_plans_postgresql`."""
    return "sqlite"


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[Connection]:
    database = Database(f"sqlite:///{tmp_path}/c.db")
    database.transact(upgrade)
    with create_engine(database.url).connect() as connection:
        yield connection
    database.dispose()


def test_no_statement_reads_a_growing_table_from_end_to_end(sql: Connection) -> None:
    found = plans.plans(sql)
    assert len(found) > len(HOT) + len(PRUNING)
    assert {name: lines for name, lines in found.items() if plans.scans(lines)} == {}


def test_the_hot_statements_use_an_index(sql: Connection) -> None:
    found = plans.plans(sql)
    for name in (*HOT, *PRUNING):
        assert any("USING" in line for line in found[name]), (name, found[name])
        assert not plans.searches_without_index(found[name]), (name, found[name])
        assert not any("TEMP B-TREE" in line for line in found[name]), (name, found[name])


def test_the_contact_of_a_caller_is_found_by_an_index(sql: Connection) -> None:
    for name in ("_CONTACT", "_KNOWN_CONTACT"):
        assert all("USING INDEX" in line for line in plans.plans(sql)[name])


def test_who_talked_to_a_caller_last_is_found_in_the_order_of_an_index(sql: Connection) -> None:
    (line,) = plans.plans(sql)["_TALKED"]
    assert "ix_call_tenant_id_customer (tenant_id=? AND customer=? AND created_at>?)" in line


def test_a_call_is_known_as_pruned_by_the_whole_of_its_name(sql: Connection) -> None:
    for name in ("_NEW_CALL", "_NEW_DELIVERY", "_CLOSED"):
        looks = [line for line in plans.plans(sql)[name] if line.startswith("SEARCH t") and "tombstone" in line]
        assert looks, name
        assert all("(tenant_id=? AND call_sid=?" in line for line in looks), looks


def test_a_statement_without_an_index_is_noticed(sql: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_BAD", text("select id from event where kind = :kind"), raising=False)
    assert plans.scans(plans.plans(sql)["_BAD"])
