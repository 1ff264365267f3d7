"""Rows for people and for programs, as commands print them."""

import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table

_WIDE: Final = 500


def print_json(rows: Iterable[Mapping[str, Any]]) -> None:
    """One JSON object a line."""
    for row in rows:
        click.echo(json.dumps(row, ensure_ascii=False))


def print_table(names: Sequence[str], rows: Iterable[Sequence[Any]], what: str) -> None:
    """A table without frames; `what` is said to be missing where there are no rows."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in names:
        table.add_column(name.replace("_", " "), overflow="fold", no_wrap=name in ("at", "call_sid"))
    for row in rows:
        # Text from outside is no markup.
        table.add_row(*("" if value is None else str(value).replace("[", r"\[") for value in row))
    if not table.row_count:
        click.echo(f"No {what}.")
        return
    terminal = Console(highlight=False)
    # A file or a pipe has no width to fit into: nothing is folded there.
    console = terminal if terminal.is_terminal else Console(highlight=False, width=_WIDE)
    console.print(table)


_SPAN: Final = re.compile(r"(\d+)([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_time(text: str, option: str) -> float:
    """Unix seconds of `2026-01-31`, `2026-01-31T09:30` (UTC where no zone is told), or of `30m`, `12h`, `7d` ago."""
    span = _SPAN.fullmatch(text)
    if span:
        return time.time() - int(span[1]) * _SECONDS[span[2]]
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"{option} takes a time such as 2026-01-31T09:30, or 30m, 12h, 7d ago") from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def lines_of(records: Iterable[Mapping[str, Any]]) -> str:
    """Records in the cell of a table, one a line."""
    return "\n".join(f"{one['connection']}: {one['kind']} {one['id']} {one['url'] or ''}".rstrip() for one in records)


def utc(at: float) -> str:
    """Unix seconds as `2026-01-31T09:30:00Z`."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
