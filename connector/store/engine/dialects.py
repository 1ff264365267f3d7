"""One text for both databases: what they spell differently is written as SQLite reads it, and known here.

`text()` of a statement may hold such spellings; when it is compiled for PostgreSQL (once per statement) each is
replaced by PostgreSQL's.
"""

from typing import Any, Final

from sqlalchemy import TextClause, text
from sqlalchemy.ext.compiler import compiles

_SPELLINGS: Final[dict[str, str]] = {}


def spelled(sqlite: str, postgresql: str) -> str:
    """The piece of SQL as a statement is to hold it."""
    _SPELLINGS[sqlite] = postgresql
    return sqlite


#: At the end of a select: rows that another transaction holds are passed over. SQLite has one writer.
SKIP_LOCKED: Final = spelled("/* skip locked */", "for no key update skip locked")
#: The time by which replicas agree, in Unix seconds: the database's. SQLite has no other clock than ours, `:now`, which
#: is bound for both.
NOW: Final = spelled(
    "cast(:now as double precision)",
    "(0 * cast(:now as double precision) + cast(extract(epoch from clock_timestamp()) as double precision))",
)


def locked(order: str) -> str:
    """At the end of a select: the rows stay as they are until the commit, taken in this order by everybody."""
    return spelled(f"/* locked by {order} */", f"order by {order} for no key update")


#: The order in which deliveries are taken: accept's, which knows no ids yet.
LOCKED_DELIVERIES: Final = locked("call_id, connection_id")


@compiles(TextClause, "postgresql")
def _as_postgresql_spells(element: TextClause, compiler: Any, **options: Any) -> str:
    spelling = element.text
    for sqlite, postgresql in _SPELLINGS.items():
        spelling = spelling.replace(sqlite, postgresql)
    if spelling != element.text:
        element = text(spelling).bindparams(*element.compile().binds.values())
    words: str = compiler.visit_textclause(element, **options)
    return words
