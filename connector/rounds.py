"""Rounds: something that is done every so often, beside all else, for as long as a part of the process lives."""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable

from connector.errors import StoreBusy

log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def every(
    seconds: float,
    do: Callable[[], Awaitable[object]],
    *,
    name: str,
    first_s: float | None = None,
    spread: float = 0.0,
    woken: asyncio.Event | None = None,
) -> AsyncIterator[None]:
    """Awaits `do()` every so many seconds while what is inside runs; the first time after `first_s` (None: as long).

    The wait begins when `do` has ended: no two of them run at once. Each wait is up to the share `spread` longer or
    shorter, so that processes that started together drift apart. `woken`, once set, ends a wait at once, and is
    cleared before the round that it brought about.

    Nothing that `do` raises ends the rounds: the next one comes after the same wait. A store that is busy is a warning,
    anything else a fault of ours, an error with its traceback; each is logged once, until a round went well or failed
    otherwise. On leaving, a round that is under way is cancelled, and has come to its end when this returns.
    """
    task = asyncio.create_task(_go_round(seconds, do, name, first_s, spread, woken or asyncio.Event()), name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _go_round(
    seconds: float,
    do: Callable[[], Awaitable[object]],
    name: str,
    first_s: float | None,
    spread: float,
    woken: asyncio.Event,
) -> None:
    wait_s = seconds if first_s is None else first_s
    told: type[Exception] | None = None
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s * random.uniform(1 - spread, 1 + spread)):  # noqa: S311 - no secret
                await woken.wait()
        woken.clear()
        wait_s = seconds
        try:
            await do()
        except Exception as error:
            kind = StoreBusy if isinstance(error, StoreBusy) else type(error)
            if kind is not told:
                _tell(name, error)
            told = kind
        else:
            told = None


def _tell(name: str, error: Exception) -> None:
    if isinstance(error, StoreBusy):
        log.warning("the store is busy", extra={"round": name, "error": str(error)})
    else:
        fields = {"round": name, "error": f"{type(error).__name__}: {error}"}
        log.error("a round failed; the next one comes", extra=fields, exc_info=error)
