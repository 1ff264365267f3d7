"""Group commit: whatever was asked for since the last commit is committed together.

`Writer` is a thread that does so (SQLite); `engine.lanes` does it in the event loop (PostgreSQL).
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection

Change = Callable[[Connection, Sequence[Any]], Sequence[Any]]
C = TypeVar("C", bound=Change)

#: Rows of one transaction: enough to share a commit, few enough that none waits long for the others.
BATCH = 256


class WriteRequest:
    """A row of a change, and who waits for its result."""

    __slots__ = ("change", "done", "row")

    def __init__(self, change: Change, row: Any, done: "asyncio.Future[Any]") -> None:
        self.change = change
        self.row = row
        self.done = done


#: A row's result, or the error that it met.
Told = tuple[Any, BaseException | None]


_ONE_STATEMENT = "is_one_statement"


def one_statement(change: C) -> C:
    """Marks a change that is one statement on PostgreSQL: it is carried out without a transaction around it."""
    setattr(change, _ONE_STATEMENT, True)
    return change


def is_one_statement(change: Change) -> bool:
    """Whether the change is marked so."""
    return getattr(change, _ONE_STATEMENT, False)


def together(connection: Connection, batch: Sequence[WriteRequest]) -> list[Any]:
    """Runs each change once with all its rows; results in the batch's order."""
    groups: dict[Change, list[int]] = {}
    for place, asked in enumerate(batch):
        groups.setdefault(asked.change, []).append(place)
    results: list[Any] = [None] * len(batch)
    for change, places in groups.items():
        found = change(connection, [batch[place].row for place in places])
        for place, result in zip(places, found, strict=True):
            results[place] = result
    return results


def tell(batch: Sequence[WriteRequest], told: Sequence[Told]) -> None:
    """Hands results and errors to those who still wait."""
    for asked, (result, error) in zip(batch, told, strict=True):
        if asked.done.cancelled():
            continue
        if error is None:
            asked.done.set_result(result)
        else:
            asked.done.set_exception(error)


class Writer:
    """Runs `work(batch)` on a thread of its own, for all that is asked for while the last batch was at work.

    The thread takes from its queue by itself: to be handed each batch by the event loop would cost every commit a turn
    of a loop that is busy with requests.
    """

    def __init__(self, work: Callable[[list[WriteRequest]], list[Told]]) -> None:
        self._work = work
        self._queue: queue.SimpleQueue[WriteRequest | None] = queue.SimpleQueue()
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
        self._queue.put(WriteRequest(change, row, done))
        return await done

    def _run(self) -> None:
        assert self._loop is not None
        is_ending = False
        while not is_ending:
            taken: list[WriteRequest | None] = [self._queue.get()]
            with contextlib.suppress(queue.Empty):
                while len(taken) < BATCH:
                    taken.append(self._queue.get_nowait())
            is_ending = None in taken
            batch = [asked for asked in taken if asked is not None and not asked.done.cancelled()]
            if batch:
                told = self._work(batch)
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                    self._loop.call_soon_threadsafe(tell, batch, told)
