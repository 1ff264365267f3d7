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
#: At the end of a select: the rows stay as they are until the commit.
LOCKED: Final = spelled("/* locked */", "for no key update")


@compiles(TextClause, "postgresql")
def _as_postgresql_spells(element: TextClause, compiler: Any, **options: Any) -> str:
    spelling = element.text
    for sqlite, postgresql in _SPELLINGS.items():
        spelling = spelling.replace(sqlite, postgresql)
    if spelling != element.text:
        element = text(spelling).bindparams(*element.compile().binds.values())
    words: str = compiler.visit_textclause(element, **options)
    return words
