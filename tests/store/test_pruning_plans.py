"""PostgreSQL finds by an index what the pruning statements ask for, and the tombstones that an accept asks for.

The tables are filled first: of an empty one PostgreSQL thinks that reading it whole is cheapest.
"""

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from connector.store.engine.database import Database
from tests.bench import plans
from tests.databases import Server
from tests.pipeline.test_query_plans import PRUNING

FILL = (
    "insert into tenant (sid, settings, secrets, hook_token_hash, created_at, updated_at)"
    " select 's' || n, '{}', '', 'h' || n, 0, 0 from generate_series(1, 20) n",
    "insert into connection (id, tenant_id, name, adapter, account, revision, created_at)"
    " select 'c' || n, n, 'c', 'a', 'a' || n, 1, 0 from generate_series(1, 20) n",
    "insert into call (tenant_id, call_sid, created_at, customer)"
    " select 1 + n % 20, 'sid' || n, n, '+' || n from generate_series(1, 10000) n",
    "insert into event (tenant_id, call_id, kind, dedup, method, query, received_at)"
    " select tenant_id, id, 'missed', 'd', 'GET', 'CallSid=', created_at from call",
    "insert into delivery (tenant_id, call_id, connection_id, state, priority, due_at, created_at, updated_at)"
    " select tenant_id, id, 'c' || tenant_id, 'done', 1, 0, 0, created_at from call",
    "insert into step (delivery_id, slot, kind, state, updated_at)"
    " select id, 'ticket', 'ticket', 'done', 0 from delivery",
    "insert into contact (connection_id, number, state, updated_at) select 'c' || tenant_id, id, 'done', 0 from call",
    "insert into tombstone (tenant_id, call_sid, connection_id, slot, kind, made_at)"
    " select tenant_id, 'old' || id, 'c' || tenant_id, 'ticket', 'ticket', id from call",
    "insert into audit (at, who, what, tenant_id, detail) select created_at, 'api:1', 'call', tenant_id,"
    " case when id % 100 = 0 then '{\"a\": 1}' else '{}' end from call",
    "analyze",
)


@pytest.fixture(scope="module")
def db(postgres: Server) -> Iterator[Database]:
    name = postgres.take()
    database = Database(postgres.url(name))
    for statement in FILL:
        database.transact(lambda sql, what=statement: sql.execute(text(what)))
    yield database
    database.dispose()
    postgres.give_back(name)


def test_the_pruning_statements_use_an_index(db: Database) -> None:
    found = db.transact(plans.postgresql_plans, PRUNING)
    assert set(found) == set(PRUNING)
    assert {name: lines for name, lines in found.items() if plans.unindexed(lines)} == {}


def test_an_accept_asks_for_tombstones_by_their_key(db: Database) -> None:
    (lines,) = db.transact(plans.postgresql_plans, ("_AT_ONCE",)).values()
    looks = [place for place, line in enumerate(lines) if " on tombstone " in line]
    assert len(looks) == 3
    assert all("tenant_id = " in lines[place + 1] and "call_sid = " in lines[place + 1] for place in looks), lines


def test_a_statement_without_an_index_is_noticed(db: Database) -> None:
    lines = db.transact(
        lambda sql: [str(row[0]) for row in sql.execute(text("explain select * from step where slot = 'x'"))]
    )
    assert plans.unindexed(lines)
