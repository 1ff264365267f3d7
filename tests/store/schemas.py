"""What an older version of the program cannot live with in a newer schema, found by comparing the two."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Column, Connection, MetaData, Table, UniqueConstraint


def reflected(connection: Connection) -> MetaData:
    """The tables that are there, without Alembic's own."""
    found = MetaData()
    found.reflect(connection)
    if "alembic_version" in found.tables:
        found.remove(found.tables["alembic_version"])
    return found


def breaking(old: MetaData, new: MetaData) -> list[str]:
    """Changes that a program written for `old` would stumble over: it must be able to run beside one for `new`.

    New tables, new columns that are nullable or have a default, and new indexes are all right; unique ones only where
    they need a new column that the older version leaves null, since nulls are never equal.
    """
    return [words for table in old.sorted_tables for words in _of_table(table, new.tables.get(table.name))]


def _of_table(old: Table, new: Table | None) -> Iterator[str]:
    if new is None:
        yield f"{old.name} was dropped or renamed"
        return
    for column in old.columns:
        yield from _of_column(column, new.columns.get(column.name))
    for column in new.columns:
        if column.name not in old.columns and not column.nullable and column.server_default is None:
            yield f"{column} is new and must be told"
    if _key(old) != _key(new):
        yield f"the primary key of {old.name} changed"
    for what in _uniques(old) - _uniques(new):
        yield f"{old.name} is not unique by {', '.join(sorted(what))} any more"
    unseen = {column.name for column in new.columns if column.name not in old.columns and _stays_null(column)}
    for what in _uniques(new) - _uniques(old):
        if what & unseen:
            continue
        yield f"{old.name} became unique by {', '.join(sorted(what))}"
    for name in {str(index.name) for index in old.indexes} - {str(index.name) for index in new.indexes}:
        yield f"the index {name} was dropped"
    for key in {_foreign(c) for c in new.columns if c.name in old.columns} - {_foreign(c) for c in old.columns}:
        yield f"{old.name} has the new foreign key {key}"


def _of_column(old: Column[Any], new: Column[Any] | None) -> Iterator[str]:
    if new is None:
        yield f"{old} was dropped or renamed"
        return
    if str(old.type) != str(new.type):
        yield f"{old} was {old.type} and is {new.type}"
    if old.nullable and not new.nullable:
        yield f"{old} must be told now"
    if old.server_default is not None and new.server_default is None:
        yield f"{old} lost its default"


def _stays_null(column: Column[Any]) -> bool:
    return bool(column.nullable) and column.server_default is None


def _key(table: Table) -> list[str]:
    return [column.name for column in table.primary_key.columns]


def _uniques(table: Table) -> set[frozenset[str]]:
    constraints = [one.columns for one in table.constraints if isinstance(one, UniqueConstraint)]
    indexes = [index.columns for index in table.indexes if index.unique]
    return {frozenset(column.name for column in columns) for columns in (*constraints, *indexes)}


def _foreign(column: Column[Any]) -> tuple[str, ...]:
    return (column.name, *sorted(key.target_fullname for key in column.foreign_keys))
