"""Dispatch: which due deliveries are claimed next, and how many at once.

Order: by class (missed and voicemail before logs and tickets before late looks), connections of a class in turn, a
connection's deliveries by due time. A connection holds at most `CAP` slots while others have work, so that one slow
CRM does not hold the others' calls; without others it may take more, up to half of the slots.

Hints make it soon (accept and finished attempts say where work is), a look at the due rows makes it sure: every second
where this process is alone with its store, else every 15 s or so, and what there is no room for is offered to the
others meanwhile (`store.engine.wakes`).
"""

import asyncio
import contextlib
import itertools
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Protocol

from connector.clock import Clock
from connector.errors import StoreBusy
from connector.pipeline.delivery.journal import LEASE_S
from connector.pipeline.delivery.runner import Result
from connector.rounds import every
from connector.store.engine.database import Database
from connector.store.queries import deliveries
from connector.store.queries.deliveries import Claim, Renewal, Work

log = logging.getLogger(__name__)

SLOTS: Final = 128
CAP: Final = 16
_CLASSES: Final = (1, 2, 3)
_LOOK_EVERY_S: Final = 1.0
#: With others on the store, whose looks are as good as ours.
_SHARED_LOOK_EVERY_S: Final = 15.0
_BUSY_S: Final = 1.0
#: Deliveries under way may end for so long when the process is told to stop; then their claims are given back.
_DRAIN_S: Final = 15.0
#: After so long due, a delivery is lifted one class.
_AGED_S: Final = 3600.0
#: Claims are gathered for so long while work is under way: fewer, larger transactions.
_GATHER_S: Final = 0.004
_AT_ONCE: Final = 16


class Rooms(Protocol):
    """What a connection's account has room for."""

    def room(self, connection_id: str) -> int:
        """How many more deliveries may start now; 0 where it is paused or its circuit is open."""

    def is_open(self, connection_id: str) -> bool:
        """Whether any process may start deliveries: neither paused nor its circuit open."""

    def started(self, connection_id: str, change: int) -> None:
        """A delivery started (+1) or ended (-1)."""


class Dispatcher:
    """Claims due work and runs it, until it is told to stop."""

    def __init__(
        self,
        db: Database,
        rooms: Rooms,
        run: Callable[[Work], Awaitable[Result | None]],
        clock: Clock,
        *,
        slots: int = SLOTS,
        cap: int = CAP,
    ) -> None:
        self._db = db
        self._rooms = rooms
        self._run = run
        self._clock = clock
        self._slots = slots
        self._cap = cap
        self.holder = uuid.uuid4().hex[:12]
        #: Class -> connection -> the number of its last wake-up: one that comes while its work is claimed stays.
        self._hints: dict[int, dict[str, int]] = {priority: {} for priority in _CLASSES}
        self._numbers = itertools.count()
        self._running: dict[str, int] = {}
        self._tasks: dict[asyncio.Task[None], Work] = {}
        self._wakes = db.wakes()
        self._look_every_s = _LOOK_EVERY_S if db.single_process else _SHARED_LOOK_EVERY_S
        self._wake = asyncio.Event()
        self._stopping = False

    def wake(self, connection_id: str, priority: int, in_s: float = 0.0) -> None:
        """A delivery of this connection is due, now or in a moment."""
        if in_s <= 0:
            self._hints[priority][connection_id] = next(self._numbers)
            self._wake.set()
        elif in_s <= 1.5 * self._look_every_s:  # later ones are found by the look
            asyncio.get_running_loop().call_later(in_s, self.wake, connection_id, priority)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Works; on leaving, what runs is finished first, and given back where that takes too long."""
        look = every(self._look_every_s, self.look, name="dispatch-look", first_s=0, spread=0.2)
        claims = asyncio.create_task(self._claim_loop(), name="dispatch-claim")
        try:
            async with every(LEASE_S / 4, self._renew, name="dispatch-renew"):
                try:
                    async with look, self._wakes.running(self.wake, self._has_room):
                        try:
                            yield
                        finally:
                            self._stopping = True
                            self._leave_to_others()
                finally:
                    self._wake.set()
                    # Not cancelled: what a claim that is being committed gets would belong to nobody until its lease
                    # ends.
                    await asyncio.gather(claims, return_exceptions=True)
                    if self._tasks:
                        await asyncio.wait(self._tasks, timeout=_DRAIN_S)
        finally:
            await self._give_back()

    async def _give_back(self) -> None:
        late = dict(self._tasks)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        with contextlib.suppress(StoreBusy):  # the leases run out by themselves
            await asyncio.gather(*(self._db.write(deliveries.give_back, work) for work in late.values()))

    def _has_room(self) -> bool:
        # Whoever asks the others for help takes none of their work.
        return len(self._tasks) < self._slots and not any(self._hints.values())

    async def _renew(self) -> None:
        """Prolongs the claims of attempts that take long; most end before their first turn."""
        until = self._clock.now() + LEASE_S
        long = [work for work in self._tasks.values() if work.lease_until < until - LEASE_S / 4]
        if long:
            await self._db.write(deliveries.renew, Renewal(self.holder, long, until))

    async def look(self) -> None:
        """Finds what is due, whoever was told of it. Raises `StoreBusy`."""
        now = self._clock.now()
        for connection_id, priority, due_at in await self._db.read(deliveries.due):
            if priority > 1 and due_at <= now - _AGED_S:
                await self._db.write(deliveries.promote, (connection_id, priority, now - _AGED_S))
                self.wake(connection_id, priority - 1)
            self.wake(connection_id, priority, due_at - now)

    async def _claim_loop(self) -> None:
        while True:
            await self._wake.wait()
            if self._stopping:
                return
            self._wake.clear()
            try:
                more = True
                while more and not self._stopping:
                    more = await self._claim()
                    await asyncio.sleep(_GATHER_S if more else 0)
            except StoreBusy as error:
                log.warning("the store is busy", extra={"error": str(error)})
                await asyncio.sleep(_BUSY_S)
                self._wake.set()
            except Exception:
                log.exception("work could not be claimed; it is tried again")
                await asyncio.sleep(_BUSY_S)
                self._wake.set()
            self._offer()
            if self._tasks:
                await asyncio.sleep(_GATHER_S)

    def _leave_to_others(self) -> None:
        for priority, hints in self._hints.items():
            for connection_id in hints:
                self._wakes.offer(connection_id, priority)

    def _offer(self) -> None:
        for priority, hints in self._hints.items():
            for connection_id in hints:
                # Our part of what the account allows may be in use while another's is free.
                if self._rooms.is_open(connection_id):
                    self._wakes.offer(connection_id, priority)

    async def _claim(self) -> bool:
        """Claims what there is room for. True where there may be more."""
        wishes = self._wishes()
        if not wishes:
            return False
        numbers = [self._hints[wish.priority][wish.connection_id] for wish in wishes]
        granted = await asyncio.gather(
            *(self._db.write(deliveries.claim, wish) for wish in wishes), return_exceptions=True
        )
        for wish, works, number in zip(wishes, granted, numbers, strict=True):
            if isinstance(works, BaseException):
                continue
            hints = self._hints[wish.priority]
            if len(works) < wish.limit and hints[wish.connection_id] == number:
                del hints[wish.connection_id]
            for work in works:
                self._start(work)
        for refused in granted:
            if isinstance(refused, BaseException):
                raise refused
        return True

    def _wishes(self) -> list[Claim]:
        free = self._slots - len(self._tasks)
        now = self._clock.now()
        wishes: list[Claim] = []
        wished: dict[str, int] = {}
        for priority in _CLASSES:
            hints = self._hints[priority]
            others = sum(1 for waiting in self._hints.values() for _ in waiting) > 1
            for connection_id in list(hints):
                if free <= 0:
                    return wishes
                taken = self._running.get(connection_id, 0) + wished.get(connection_id, 0)
                cap = self._cap if others else max(self._cap, self._slots // 2)
                room = self._rooms.room(connection_id) - wished.get(connection_id, 0)
                limit = min(cap - taken, room, free, _AT_ONCE)
                if limit <= 0:
                    continue
                # To the end of the line: connections of a class take turns.
                hints[connection_id] = hints.pop(connection_id)
                free -= limit
                wished[connection_id] = wished.get(connection_id, 0) + limit
                wishes.append(Claim(connection_id, priority, limit, self.holder, now, now + LEASE_S))
        return wishes

    def _start(self, work: Work) -> None:
        self._running[work.connection_id] = self._running.get(work.connection_id, 0) + 1
        self._rooms.started(work.connection_id, 1)
        task = asyncio.get_running_loop().create_task(self._work(work), name="delivery")
        self._tasks[task] = work
        task.add_done_callback(self._tasks.pop)

    async def _work(self, work: Work) -> None:
        try:
            result = await self._run(work)
        finally:
            self._running[work.connection_id] -= 1
            if not self._running[work.connection_id]:
                del self._running[work.connection_id]
            self._rooms.started(work.connection_id, -1)
            self._wake.set()
        if result is not None and result.state == "pending" and not self._stopping:
            self.wake(work.connection_id, work.priority, result.due_at - self._clock.now())
