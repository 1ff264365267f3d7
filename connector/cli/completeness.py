"""`connector statement`, `connector reconcile` and `connector backfill`; the last two follow what they asked for."""

import contextlib
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any, Final, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from connector.acts import statements as acts
from connector.acts.asker import CLI, Act
from connector.acts.office import Office
from connector.cli.office import ask, in_office
from connector.cli.output import parse_time, print_json, print_table
from connector.config import Config
from connector.pipeline.completeness.statement import Statement, numbers
from connector.store.queries.sweeps import Sweep

W = TypeVar("W")

_DAYS: Final = 7


def statement(config: Config, sid: str, day: str | None, as_json: bool) -> None:
    """`connector statement`."""
    wish = acts.CountDays(sid, days=_DAYS) if day is None else acts.CountDays(sid, _day(day))
    found = ask(config, acts.statement, wish)
    rows = [row for one in found for row in _rows(one)]
    if as_json:
        print_json(rows)
        return
    shown = ("day", "connection", "calls", "written", "not_due", "missing", "percent", "why")
    print_table(shown, ([row[name] if name != "why" else _why(row) for name in shown] for row in rows), "days")
    for one in found:
        if one.missing_calls:
            click.echo(f"Missing on {one.day}: {', '.join(one.missing_calls)}")
    if unchecked := [str(one.day) for one in found if not one.is_checked]:
        click.echo(
            f"Not proven yet, since Exotel's own list was not gone through to the end of: {', '.join(unchecked)}"
        )


def reconcile(config: Config, sid: str, everything: bool) -> None:
    """`connector reconcile`."""
    done = _followed(config, acts.reconcile, acts.Reconcile(sid, everything), "Asking Exotel")
    click.echo(f"{done.found} records were asked for or read; {done.made} calls were not known before.")


def backfill(config: Config, sid: str, since: str, until: str | None) -> None:
    """`connector backfill`."""
    begin = parse_time(since, "--from")
    wish = acts.Backfill(sid, begin, None if until is None else parse_time(until, "--to"))
    done = _followed(config, acts.backfill, wish, "Going through Exotel's records")
    click.echo(f"{done.found} calls were gone through; {done.made} were not known before.")


def _followed(config: Config, act: Act[W, acts.StoredWish], wish: W, words: str) -> Sweep:
    """Has a wish carried out, and follows it to its end."""
    told: set[str] = set()

    async def work(office: Office) -> Sweep:
        stored = await act(office, CLI, wish)
        with _bar(words) as show:

            def look(sweep: Sweep, trouble: str | None) -> None:
                show(sweep)
                if trouble is not None and trouble not in told:
                    told.clear()
                    told.add(trouble)
                    click.echo(f"connector: {trouble} It is tried again; Ctrl-C leaves it to the service.", err=True)

            return await acts.follow(office, stored, look)

    return in_office(config, work)


@contextlib.contextmanager
def _bar(words: str) -> Iterator[Callable[[Sweep], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(words, total=None)

        def show(sweep: Sweep) -> None:
            length = (sweep.until_at or sweep.from_at) - sweep.from_at
            done = length if sweep.state == "done" else sweep.done_at - sweep.from_at
            progress.update(task, total=length or None, completed=done, description=f"{words}: {sweep.found} calls")

        yield show


def _rows(one: Statement) -> Iterator[dict[str, Any]]:
    for name, total in (("", one.total), *one.connections.items()):
        yield {
            "day": one.day,
            "connection": name or None,
            **numbers(total),
            **({"unconfirmed": one.unconfirmed, "is_checked": one.is_checked} if not name else {}),
        }


def _why(row: dict[str, Any]) -> str:
    missing = [f"missing: {words} ({count})" for words, count in row["missing_for"].items()]
    return "\n".join([*missing, *(f"not due: {words} ({count})" for words, count in row["not_due_for"].items())])


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise click.UsageError("--day takes a day such as 2026-01-31") from None
