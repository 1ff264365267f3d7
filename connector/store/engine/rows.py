"""Many rows in one statement of constant text: they travel as one JSON parameter.

Each step of a statement gives the interpreter's lock away and has to win it back from a busy event loop; a statement
per row would do that for every row. It also is parsed once, whatever the number of rows.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Boolean, Column, Double, LargeBinary
from sqlalchemy.types import Integer

from connector.store import schema
from connector.store.engine.dialects import spelled

T = TypeVar("T")


def rows_of(*columns: str) -> str:
    """A table expression of the rows in the parameter `:rows`; give it an alias.

    A column has the type of the schema's column of that name; where tables differ in it, name the table:
    `contact.number` is the column `number` with the type that it has in `contact`.
    """
    names = [column.rpartition(".")[2] for column in columns]
    chosen = ", ".join(f"value ->> '$.{name}' as {name}" for name in names)
    typed = ", ".join(f"{name} {_type(column)}" for name, column in zip(names, columns, strict=True))
    return spelled(
        f"(select {chosen} from json_each(:rows))",  # noqa: S608 - names of columns, written by us
        f"(select * from jsonb_to_recordset(cast(:rows as jsonb)) as given({typed}))",  # noqa: S608
    )


def as_rows(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The parameter that `rows_of` reads."""
    return {"rows": as_json(rows)}


def as_json(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as one JSON text. What PostgreSQL keeps in no text (NUL, half a surrogate pair) becomes U+FFFD."""
    written = json.dumps(rows, separators=(",", ":"))
    if "\\u0000" in written or "\\ud" in written:
        written = json.dumps([{name: _storable(value) for name, value in row.items()} for row in rows])
    return written


def as_list(values: Sequence[T]) -> list[T]:
    """Values for `in :values`, repeated up to a power of two: a statement is prepared for few lengths."""
    length = 1 << max(len(values) - 1, 0).bit_length()
    return [*values, *[values[-1]] * (length - len(values))]


def _storable(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return value.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _sql_type(column: Column[Any]) -> str | None:
    if isinstance(column.type, LargeBinary):
        return None  # JSON carries no bytes
    if isinstance(column.type, Boolean):
        return "boolean"
    if isinstance(column.type, Integer):
        return "bigint"
    return "double precision" if isinstance(column.type, Double) else "text"


def _type(column: str) -> str:
    table, _, name = column.rpartition(".")
    tables = [schema.metadata.tables[table]] if table else schema.metadata.tables.values()
    types = {_sql_type(one.c[name]) for one in tables if name in one.c}
    if len(types) != 1:
        raise ValueError(f"the type of {column!r} is not sure: write `table.{name}`")
    (found,) = types
    assert found is not None, f"{column} holds bytes"
    return found
