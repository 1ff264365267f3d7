"""How the databases carry out the pipeline's statements: all that `connector.store.queries` holds, future ones too."""

import importlib
import pkgutil
import re
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import BindParameter, Connection, TextClause, bindparam, text

from connector.store import queries

#: The tables that grow with every call.
GROWING = ("event", "call", "delivery", "step", "contact", "tombstone", "popup", "recording", "audit")

_SQL = re.compile(r"\s*(select|insert|update|delete|with)\s", re.IGNORECASE)
_NAMED = re.compile(r"(?<!:):([a-z_]+)")


def plans(connection: Connection) -> dict[str, list[str]]:
    """Statement -> the lines of SQLite's plan; none where it only inserts values or finds rows by its conflict."""
    return {name: _plan(connection, statement) for name, statement in statements("sqlite")}


def scans(lines: list[str]) -> list[str]:
    """Those lines that read a growing table from end to end, by an index or not."""
    return [line for line in lines if re.match(rf"SCAN ({'|'.join(GROWING)})\b", line)]


def searches_without_index(lines: list[str]) -> list[str]:
    """Those lines that look into a growing table by neither an index nor the row's id."""
    found = [line for line in lines if re.match(rf"SEARCH ({'|'.join(GROWING)})\b", line)]
    return [line for line in found if "USING" not in line]


#: What a parameter is called, and a value of its type.
_VALUES: dict[str, Any] = {
    **dict.fromkeys(("id", "tenant_id", "limit", "priority"), 1),
    **dict.fromkeys(("made_at", "before", "now", "created_at", "lease_until"), 1.0),
    **dict.fromkeys(("rows", "events", "deliveries"), "[]"),
    "ids": [1],
    "numbers": ["1"],
}


def postgresql_plans(connection: Connection, names: Sequence[str]) -> dict[str, list[str]]:
    """`plans` of these statements on PostgreSQL, which goes by how much the tables hold (`analyze`)."""
    found = {name: one for name, one in statements("postgresql") if name in names and isinstance(one, TextClause)}
    return {name: _postgresql_plan(connection, one) for name, one in found.items()}


def unindexed(lines: list[str]) -> list[str]:
    """Those nodes of PostgreSQL's plan that read a growing table, or an index of one, from end to end."""
    found = []
    for place, line in enumerate(lines):
        node = re.search(rf"(Seq|Index|Index Only|Bitmap Heap) Scan .*?\bon ({'|'.join(GROWING)})\b", line)
        details = " ".join(lines[place + 1 : place + 3]).partition("->")[0]
        if node and (node[1] == "Seq" or ("Cond:" not in details and "Bitmap" not in node[1])):
            found.append(line)
    return found


def _postgresql_plan(connection: Connection, statement: TextClause) -> list[str]:
    binds = statement.compile().binds
    lists: list[BindParameter[Any]] = [bindparam(name, expanding=True) for name, one in binds.items() if one.expanding]
    asked = text(f"explain {statement.text}").bindparams(*lists)
    rows = connection.execute(asked, {name: _VALUES.get(name, "x") for name in binds})
    return [str(row[0]) for row in rows]


#: What one database alone carries out: accept in one statement or in several, and what is given back at a start.
_ONLY = {
    **dict.fromkeys(("_NEW_CALL", "_NEW_EVENT", "_BODY", "_NEW_DELIVERY"), "sqlite"),
    **dict.fromkeys(("_RELEASE", "_SETTLE_STEPS", "_RELEASE_CONTACTS"), "sqlite"),
    "_AT_ONCE": "postgresql",
}


def statements(database: str) -> Iterator[tuple[str, TextClause | str]]:
    """Name and text of all that is carried out on `sqlite` or `postgresql`."""
    named: dict[str, TextClause | str] = {}
    for module in map(importlib.import_module, _modules()):
        for name, value in vars(module).items():
            if _ONLY.get(name, database) != database:
                continue
            is_statement = isinstance(value, TextClause) or (isinstance(value, str) and _SQL.match(value))
            if is_statement and named.setdefault(name, value) is not value:  # two modules have the same word for it
                named[f"{module.__name__.rpartition('.')[2]}.{name}"] = value
    yield from named.items()


def _modules() -> Iterator[str]:
    return (f"{queries.__name__}.{one.name}" for one in pkgutil.iter_modules(queries.__path__))


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
