"""`connector simulate`."""

import asyncio

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from connector.simulate import play
from connector.simulate.target import parse_target


def simulate(url: str, calls: int, rate: float, mix: str | None, sid: str | None) -> bool:
    """`connector simulate`; returns whether every request was accepted."""
    target, weights = parse_target(url), play.parse_mix(mix)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("Playing calls", total=calls)
        summary = asyncio.run(
            play.simulate(target, calls=calls, rate=rate, mix=weights, sid=sid, on_call=lambda: progress.advance(task))
        )
    click.echo(f"{calls} calls, {summary.sent} requests: {summary.accepted} accepted, {_failed(summary)}")
    latencies = ", ".join(f"p{percent} {summary.percentile_ms(percent):.1f} ms" for percent in (50, 95, 99))
    click.echo(f"Answered within: {latencies}")
    return summary.accepted == summary.sent


def _failed(summary: play.Summary) -> str:
    failed = summary.sent - summary.accepted
    reasons = ", ".join(f"{count} x {reason}" for reason, count in summary.failures.most_common())
    return f"{failed} failed" + (f" ({reasons})" if reasons else "")
