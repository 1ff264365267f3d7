"""Group commit: a thread that takes whatever was asked for since its last commit, and commits it together."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection

Change = Callable[[Connection, Sequence[Any]], Sequence[Any]]

#: Rows of one transaction: enough to share a commit, few enough that none waits long for the others.
_BATCH = 256


class Asked:
    """A row of a change, and who waits for its result."""

    __slots__ = ("change", "done", "row")

    def __init__(self, change: Change, row: Any, done: "asyncio.Future[Any]") -> None:
        self.change = change
        self.row = row
        self.done = done


Told = tuple[Any, BaseException | None]


class Writer:
    """Runs `work(batch)` on a thread of its own, for all that is asked for while the last batch was at work.

    The thread takes from its queue by itself: to be handed each batch by the event loop would cost every commit a turn
    of a loop that is busy with requests.
    """

    def __init__(self, work: Callable[[list[Asked]], list[Told]]) -> None:
        self._work = work
        self._queue: queue.SimpleQueue[Asked | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Starts the thread; results are told in the loop that runs now."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def stop(self) -> None:
        """Ends the thread once what was asked for is done."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    async def ask(self, change: Change, row: Any) -> Any:
        """This row's result. A caller that is cancelled while its row still waits withdraws it."""
        assert self._loop is not None, "the store does not run"
        done = self._loop.create_future()
        self._queue.put(Asked(change, row, done))
        return await done

    def _run(self) -> None:
        assert self._loop is not None
        is_ending = False
        while not is_ending:
            taken: list[Asked | None] = [self._queue.get()]
            with contextlib.suppress(queue.Empty):
                while len(taken) < _BATCH:
                    taken.append(self._queue.get_nowait())
            is_ending = None in taken
            batch = [asked for asked in taken if asked is not None and not asked.done.cancelled()]
            if batch:
                told = self._work(batch)
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                    self._loop.call_soon_threadsafe(_tell, batch, told)


def _tell(batch: list[Asked], told: list[Told]) -> None:
    for asked, (result, error) in zip(batch, told, strict=True):
        if asked.done.cancelled():
            continue
        if error is None:
            asked.done.set_result(result)
        else:
            asked.done.set_exception(error)
