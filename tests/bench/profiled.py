"""`connector` with its time written down: `python -m tests.bench.profiled serve …`.

Two threads are profiled, each by itself: the event loop from the ready line to the end, and the store's writer.
"""

import cProfile
import os
import sys
from typing import Any

from connector.cli.main import run
from connector.serve import process
from connector.store.engine.sqlite import SqliteStore


def main() -> None:
    """Runs the command line; BENCH_PROFILE names what the figures' files begin with."""
    target = os.environ.pop("BENCH_PROFILE")
    loop, writer = cProfile.Profile(), cProfile.Profile()
    heard, together = process.Stop.heard, SqliteStore._together

    async def until_heard(self: process.Stop) -> None:
        loop.enable()
        await heard(self)
        loop.disable()

    def written(self: SqliteStore, batch: Any) -> list[Any]:
        writer.enable()
        try:
            return together(self, batch)
        finally:
            writer.disable()

    process.Stop.heard = until_heard  # type: ignore[method-assign]
    SqliteStore._together = written  # type: ignore[method-assign]
    code = run(sys.argv[1:])
    loop.dump_stats(f"{target}.loop")
    writer.dump_stats(f"{target}.writer")
    sys.exit(code)


if __name__ == "__main__":
    main()
