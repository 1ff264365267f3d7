"""Group commit in the event loop: a lane per kind of change, several of its batches under way at once.

A lane's rows gather while its last batch is young; one that takes long (a lock is waited for, the network hangs) holds
only its own rows: the next batch leaves `_OVERLAP_S` after it, beside it, up to `_ABREAST` of them.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from connector.store.engine.writer import BATCH, Change, Told, WriteRequest, tell

_OVERLAP_S: Final = 0.02
_ABREAST: Final = 3

Work = Callable[[Change, list[WriteRequest]], Awaitable[list[Told]]]


class Lanes:
    """Runs `work(change, batch)` for what is asked for, many rows at a time. `work` raises nothing."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._lanes: dict[Change, _Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, change: Change, row: Any) -> Any:
        """This row's result. A caller that is cancelled while its row still waits withdraws it."""
        asked = WriteRequest(change, row, asyncio.get_running_loop().create_future())
        lane = self._lanes.get(change)
        if lane is None:
            lane = self._lanes[change] = _Lane()
        lane.waiting.append(asked)
        self._look_soon(change, lane, 0.0)
        return await asked.done

    async def drain(self) -> None:
        """Returns once all that was asked for is done."""
        while self._lanes:
            await asyncio.gather(*self._tasks)
            await asyncio.sleep(0)

    def _look_soon(self, change: Change, lane: "_Lane", in_s: float) -> None:
        # Not at once: what the loop's other callbacks of this turn ask for shares the batch.
        if lane.timer is None:
            loop = asyncio.get_running_loop()
            lane.timer = (
                loop.call_later(in_s, self._look, change, lane) if in_s else loop.call_soon(self._look, change, lane)
            )

    def _look(self, change: Change, lane: "_Lane") -> None:
        lane.timer = None
        while lane.waiting and lane.under_way < _ABREAST:
            now = asyncio.get_running_loop().time()
            young_for_s = lane.last_at + _OVERLAP_S - now
            if lane.under_way and young_for_s > 0:
                self._look_soon(change, lane, young_for_s)
                return
            batch = [lane.waiting.popleft() for _ in range(min(BATCH, len(lane.waiting)))]
            batch = [asked for asked in batch if not asked.done.cancelled()]
            if not batch:
                continue
            lane.under_way += 1
            lane.last_at = now
            task = asyncio.get_running_loop().create_task(self._run(change, lane, batch), name="store-batch")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if not lane.waiting and not lane.under_way:
            self._lanes.pop(change, None)

    async def _run(self, change: Change, lane: "_Lane", batch: list[WriteRequest]) -> None:
        try:
            tell(batch, await self._work(change, batch))
        finally:
            lane.under_way -= 1
            if lane.timer is not None:
                lane.timer.cancel()
                lane.timer = None
            self._look(change, lane)


class _Lane:
    __slots__ = ("last_at", "timer", "under_way", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[WriteRequest] = deque()
        self.under_way = 0
        self.last_at = 0.0
        self.timer: asyncio.Handle | None = None
