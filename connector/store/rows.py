"""Many rows in one statement of constant text: they travel as one JSON parameter.

Each step of a statement gives the interpreter's lock away and has to win it back from a busy event loop; a statement
per row would do that for every row. It also is parsed once, whatever the number of rows.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any


def rows_of(*columns: str) -> str:
    """A table expression of the rows in the parameter `:rows`; columns keep JSON's types."""
    chosen = ", ".join(f"value ->> '$.{column}' as {column}" for column in columns)
    return f"(select {chosen} from json_each(:rows))"  # noqa: S608 - names of columns, written by us


def as_rows(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The parameter that `rows_of` reads."""
    return {"rows": json.dumps(rows, separators=(",", ":"))}
