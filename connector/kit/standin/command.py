"""`python -m standins.NAME --port 9000`: a stand-in as its own process, on 127.0.0.1 only."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import click
from aiohttp import web

from connector.kit.faults import Faults

if sys.platform == "win32":
    from asyncio import run as run
else:
    from uvloop import run as run

_HOST = "127.0.0.1"


def main(
    title: str, standin: Callable[[Any, Faults], web.Application], account: Callable[..., Any], *options: click.Option
) -> None:
    """Runs `standin` of an `account`; each of `options` fills the account's field of its name."""

    def serve_one(port: int, latency_ms: float, **fields: Any) -> None:
        run(serve(standin(account(**fields), Faults(latency_s=latency_ms / 1000)), port))

    params = [
        click.Option(["--port"], default=0, show_default=True, help="0 takes a free one."),
        click.Option(["--latency-ms"], default=0.0, show_default=True),
        click.Option(["--search-lag-s"], default=0.0, show_default=True, help="How long search does not see a change."),
        *options,
    ]
    help_ = f"Runs a stand-in of {title} and prints its URL."
    click.Command(None, params=[*params], callback=serve_one, help=help_).main()


async def serve(app: web.Application, port: int) -> None:
    """Serves on 127.0.0.1, prints the URL, and goes on until it is ended."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, _HOST, port, backlog=1024).start()
    bound = runner.addresses[0][1]
    click.echo(f"http://{_HOST}:{bound}")
    await asyncio.Event().wait()
