"""How SQLite carries out the pipeline's statements: all that `connector.store.queries` holds, future ones too."""

import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from sqlalchemy import BindParameter, Connection, TextClause, bindparam, text

from connector.store import queries

#: The tables that grow with every call.
GROWING = ("event", "call", "delivery", "step", "contact", "tombstone", "popup", "recording", "audit")

_SQL = re.compile(r"\s*(select|insert|update|delete|with)\s", re.IGNORECASE)
_NAMED = re.compile(r"(?<!:):([a-z_]+)")


def plans(connection: Connection) -> dict[str, list[str]]:
    """Statement -> the lines of its query plan; none where it only inserts values or finds rows by its conflict."""
    return {name: _plan(connection, statement) for name, statement in _statements()}


def scans(lines: list[str]) -> list[str]:
    """Those lines that read a growing table from end to end, by an index or not."""
    return [line for line in lines if re.match(rf"SCAN ({'|'.join(GROWING)})\b", line)]


def searches_without_index(lines: list[str]) -> list[str]:
    """Those lines that look into a growing table by neither an index nor the row's id."""
    found = [line for line in lines if re.match(rf"SEARCH ({'|'.join(GROWING)})\b", line)]
    return [line for line in found if "USING" not in line]


def _statements() -> Iterator[tuple[str, TextClause | str]]:
    for module in (queries, *(value for value in vars(queries).values() if isinstance(value, ModuleType))):
        for name, value in vars(module).items():
            if "jsonb_" in str(value):
                continue  # PostgreSQL's alone
            if isinstance(value, TextClause) or (isinstance(value, str) and _SQL.match(value)):
                yield name, value


def _plan(connection: Connection, statement: TextClause | str) -> list[str]:
    if isinstance(statement, str):  # in the driver's own style
        nothing = dict.fromkeys(_NAMED.findall(statement)) or (None,) * statement.count("?")
        return [str(row[3]) for row in connection.exec_driver_sql(f"explain query plan {statement}", nothing)]
    parameters = statement.compile().binds
    names = [name for name, one in parameters.items() if one.expanding]
    lists: list[BindParameter[Any]] = [bindparam(name, expanding=True) for name in names]
    asked = text(f"explain query plan {statement.text}").bindparams(*lists)
    values = {name: [1, 2, 3] if name in names else None for name in parameters}
    return [str(row[3]) for row in connection.execute(asked, values)]
