"""Rows for people and for programs, as commands print them."""

import json
from collections.abc import Iterable, Mapping, Sequence
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
