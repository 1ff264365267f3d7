"""`connector` with its time written down: `python -m tests.bench.profiled serve …`.

Two threads are profiled, each by itself: the event loop from the ready line to the end, and the store's writer.
"""

import cProfile
import os
import sys
from typing import Any

from connector import cli, serve
from connector.store.sqlite import SqliteStore


def main() -> None:
    """Runs the command line; BENCH_PROFILE names what the figures' files begin with."""
    target = os.environ.pop("BENCH_PROFILE")
    loop, writer = cProfile.Profile(), cProfile.Profile()
    stopped, together = serve.stopped, SqliteStore._together

    async def until_stopped(lifeline: int | None = None) -> None:
        loop.enable()
        await stopped(lifeline)
        loop.disable()

    def written(self: SqliteStore, batch: Any) -> list[Any]:
        writer.enable()
        try:
            return together(self, batch)
        finally:
            writer.disable()

    serve.stopped = until_stopped
    SqliteStore._together = written  # type: ignore[method-assign]
    code = cli.run(sys.argv[1:])
    loop.dump_stats(f"{target}.loop")
    writer.dump_stats(f"{target}.writer")
    sys.exit(code)


if __name__ == "__main__":
    main()
