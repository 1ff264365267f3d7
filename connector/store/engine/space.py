"""Gives the space of deleted rows back to the file system.

SQLite: files that this version makes keep free pages in order (`auto_vacuum=incremental`); here they are cut off a few
at a time, in transactions as short as an accept's. A file from before that keeps its size and fills its free pages
anew; `vacuum` by hand, while nobody serves it, makes it one of the new kind. PostgreSQL's autovacuum needs no help.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

#: Free pages that are kept for what comes next: the larger of so many, and this share of the file.
_KEPT_PAGES = 1000
_KEPT_SHARE = 0.05


def spare(connection: Connection) -> int:
    """How many pages could be given back now."""
    if connection.dialect.name != "sqlite" or _pragma(connection, "auto_vacuum") != 2:
        return 0
    kept = max(_KEPT_PAGES, int(_KEPT_SHARE * _pragma(connection, "page_count")))
    return max(0, _pragma(connection, "freelist_count") - kept)


def give_back(connection: Connection, rows: Sequence[int]) -> list[int]:
    """Cuts (so many) free pages off the file. For each: how many could be given back after that."""
    found = []
    for pages in rows:
        if connection.dialect.name == "sqlite":
            # One at a time: the driver takes a single step of a statement that has no columns.
            for _ in range(pages):
                connection.exec_driver_sql("PRAGMA incremental_vacuum(1)")
        found.append(spare(connection))
    return found


def _pragma(connection: Connection, name: str) -> int:
    return int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
