"""The agent map as CSV: `crm_id,name,email,phone,caller_id,outbound`, further ids as `ids.<name>`, and `remove`."""

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from connector.errors import ConfigError

COLUMNS: Final = ("crm_id", "name", "email", "phone", "caller_id", "outbound")
_YES: Final = frozenset({"true", "yes", "1", "x"})
_NO: Final = frozenset({"false", "no", "0", ""})
_IDS: Final = "ids."


def read_csv(path: Path) -> list[dict[str, Any]]:
    """The file's lines as `put_agents` takes them, a `problem` with those that cannot be read.

    A column that is not there leaves its field alone. Raises `ConfigError`: no CSV, a column that nobody knows.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        words = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"{path} cannot be read: {words}") from None
    try:
        rows = csv.DictReader(io.StringIO(text), dialect=_dialect(text), strict=True)
        names = [(name or "").strip() for name in rows.fieldnames or ()]
        unknown = [name for name in names if name not in (*COLUMNS, "remove") and not name.startswith(_IDS)]
        if "crm_id" not in names or unknown:
            words = f"unknown column {unknown[0]!r}" if unknown else "it has no column crm_id"
            raise ConfigError(f"{path}: {words}; known are {', '.join(COLUMNS)}, ids.NAME and remove")
        rows.fieldnames = names
        return [_wish(row) for row in rows]
    except csv.Error as error:
        raise ConfigError(f"{path} is no CSV: {error}") from None


def write_csv(agents: Iterable[Mapping[str, Any]]) -> str:
    """Agents as `read_csv` takes them."""
    rows = list(agents)
    ids = sorted({f"{_IDS}{name}" for row in rows for name in row["ids"]})
    text = io.StringIO()
    writer = csv.DictWriter(text, [*COLUMNS, *ids], lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for row in rows:
        further = {f"{_IDS}{name}": value for name, value in row["ids"].items()}
        writer.writerow({**row, "outbound": "true" if row["outbound"] else "false", **further})
    return text.getvalue()


def _dialect(text: str) -> type[csv.Dialect]:
    """Comma, or the semicolon and tab that spreadsheets write in many countries."""
    first = text.partition("\n")[0]

    class Found(csv.excel):
        delimiter = max(",;\t", key=first.count)

    return Found


def _wish(row: Mapping[str | None, Any]) -> dict[str, Any]:
    cells = {name: (value or "").strip() for name, value in row.items() if name is not None}
    if None in row or None in row.values():
        return {"crm_id": cells["crm_id"], "problem": "it has not as many cells as the first line"}
    wish: dict[str, Any] = {name: cells[name] for name in COLUMNS if name in cells}
    for name in ("outbound", "remove"):
        word = cells.get(name, "").lower()
        if word not in _YES | _NO:
            return {"crm_id": cells["crm_id"], "problem": f"{name} is true or false, not {word!r}"}
        if name in cells:
            wish[name] = word in _YES
    ids = {name.removeprefix(_IDS): value for name, value in cells.items() if name.startswith(_IDS) and value}
    if ids:
        wish["ids"] = ids
    return wish
