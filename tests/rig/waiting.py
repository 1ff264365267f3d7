"""Waiting for what others do in their own time."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any


async def until(told: Callable[[], Awaitable[Any] | Any], seconds: float = 20.0) -> Any:
    """The first true answer of `told`, which may be a coroutine function; fails where none comes."""
    end = time.monotonic() + seconds
    while True:
        found = told()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < end, f"it did not come within {seconds} s"
        await asyncio.sleep(0.02)
