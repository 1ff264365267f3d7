"""On PostgreSQL too the pipeline's statements find their rows by an index: they are planned as in full tables."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest
from sqlalchemy import TextClause, make_url, text

from connector.store.queries import events
from tests.bench import plans
from tests.databases import Server

#: A value for a parameter, by its type.
VALUES: dict[str, Any] = {
    "text": "1",
    "varchar": "1",
    "int8": 1,
    "int4": 1,
    "float8": 1.0,
    "jsonb": "[]",
    "bool": True,
    "bytea": b"1",
}


@pytest.fixture
def both_databases() -> str:
    """This module is about one of them."""
    return "postgresql"


@pytest.fixture
def database(postgres: Server) -> Iterator[str]:
    name = postgres.take()
    yield postgres.url(name)
    postgres.give_back(name)


async def explained(url: str) -> dict[str, list[str]]:
    """Statement -> the lines of its plan, where reading a table from end to end, or sorting, is the last resort."""
    connection = await asyncpg.connect(url)
    try:
        for setting in ("enable_seqscan = off", "enable_sort = off", "plan_cache_mode = force_generic_plan"):
            await connection.execute(f"set {setting}")
        return {
            name: await _plan(connection, statement)
            for name, statement in plans.statements("postgresql")
            if isinstance(statement, TextClause)
        }
    finally:
        await connection.close()


async def _plan(connection: Any, statement: TextClause) -> list[str]:
    given = {name: [1, 2, 3] if one.expanding else None for name, one in statement.compile().binds.items()}
    dialect = make_url("postgresql+asyncpg://").get_dialect()()
    compiled = statement.bindparams(**given).compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    prepared = await connection.prepare(compiled.string)
    values = [VALUES[parameter.name] for parameter in prepared.get_parameters()]
    rows = await connection.fetch(f"explain {compiled.string}", *values)
    return [row[0] for row in rows]


def scans(lines: list[str]) -> list[str]:
    return [line for line in lines if re.search(rf"Seq Scan on ({'|'.join((*plans.GROWING, 'contact'))})\b", line)]


def test_no_statement_reads_a_growing_table_from_end_to_end(database: str) -> None:
    found = asyncio.run(explained(database))
    assert len(found) > 20
    assert {name: lines for name, lines in found.items() if scans(lines)} == {}
    for name in ("_AT_ONCE", "_CLAIM", "_EVENTS", "_STEPS", "_DUE", "_HELD", "_FINISH", "_LEASES"):
        assert any(re.search(r"Index (Only )?Scan", line) for line in found[name]), (name, found[name])


def test_due_work_is_found_by_its_index_alone(database: str) -> None:
    found = asyncio.run(explained(database))
    assert not any("Sort" in line for line in found["_CLAIM"]), found["_CLAIM"]
    assert any("ix_delivery_due" in line for line in found["_CLAIM"]), found["_CLAIM"]
    assert all("ix_delivery_due" in line for line in found["_DUE"] if " on delivery" in line), found["_DUE"]


def test_a_statement_without_an_index_is_noticed(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_BAD", text("select id from event where kind = :kind"), raising=False)
    assert scans(asyncio.run(explained(database))["_BAD"])
