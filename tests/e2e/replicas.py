"""Replicas of the connector on one PostgreSQL, and who sends them calls: as a load balancer does, and Exotel."""

import asyncio
import contextlib
import itertools
import random
import shutil
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import asyncpg

from connector.config import Config
from tests.e2e.service import Service, answered, caller

_INSIST_S: Final = 150.0
_START_S: Final = 120.0
#: A request that is not answered so long is sent to another replica.
_MOVE_ON_S: Final = 5.0
_SHUN_S: Final = 1.0
_CALLS_TO_FREEZE: Final = 60
_DROP: Final = (
    "select pg_terminate_backend(pid) from pg_stat_activity"
    " where datname = current_database() and pid <> pg_backend_pid()"
)


class Replica(Service):
    """One of several on a store, which stops itself where it is told to (`patched`)."""

    def __init__(self, folder: Path, config: Config, patch: Mapping[str, Any]) -> None:
        super().__init__(folder, config)
        self._order = folder / "freeze"
        self._patch = {"freeze": str(self._order), **patch}
        #: It did not answer: until then it is asked only where there is no other.
        self.shunned_until = 0.0

    async def start(self, patch: Mapping[str, Any] | None = None, *, ready: bool = True, **how: Any) -> None:
        """See `Service.start`."""
        self._order.unlink(missing_ok=True)
        await super().start({**self._patch, **(patch or {})}, ready=ready, **how)

    @property
    def is_frozen(self) -> bool:
        """Whether it is stopped (SIGSTOP)."""
        return "T" in self._state()

    async def start_again(self) -> None:
        """After a kill, as a service manager does: what gives up because its database is away is started anew."""
        until = time.monotonic() + _START_S
        await self.start(ready=False)
        while await self._status("GET", "/readyz") != 200:
            assert time.monotonic() < until, f"never ready: {self.tail()}"
            if not self.is_alive:
                await self.start(ready=False)
            await asyncio.sleep(0.05)

    def freeze_at(self, place: str) -> None:
        """Makes it stop itself at this place, the next time that it passes there."""
        made = self._order.with_suffix(".new")
        made.write_text(place)
        made.rename(self._order)


class Replicas(Sequence[Replica]):
    """Replicas on the store of `config`, running."""

    def __init__(self, made: Sequence[Replica], config: Config) -> None:
        self._made = made
        self._free = list(made)
        self._is_free = asyncio.Semaphore(len(made))
        self.config = config

    def __getitem__(self, place: Any) -> Any:
        return self._made[place]

    def __len__(self) -> int:
        return len(self._made)

    async def insist(self, event: str, params: Mapping[str, str], sid: str, dice: random.Random) -> None:
        """Sends one event to a replica at random, and to another one as long as it is not acknowledged."""
        until = time.monotonic() + _INSIST_S
        while True:
            now = time.monotonic()
            chosen = dice.choice([one for one in self._made if one.shunned_until < now] or self._made)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_MOVE_ON_S):
                    if await chosen.hook(event, params, sid) == 200:
                        return
            assert time.monotonic() < until, chosen.tail()
            chosen.shunned_until = time.monotonic() + _SHUN_S
            await asyncio.sleep(0.1)

    async def take(self, dice: random.Random) -> Replica:
        """One at random that nobody does anything to; the taker gives it back."""
        await self._is_free.acquire()
        taken = dice.choice(self._free)
        self._free.remove(taken)
        return taken

    def give_back(self, taken: Replica) -> None:
        """It is as it was."""
        self._free.append(taken)
        self._is_free.release()

    async def locked_calls(self) -> list[str]:
        """CallSids of deliveries that somebody's transaction holds."""
        rows = await self.fetch(
            "select call_sid from call where id in (select call_id from delivery) and id not in"
            " (select call_id from delivery for update skip locked)"
        )
        return [row["call_sid"] for row in rows]

    async def fetch(self, query: str) -> list[asyncpg.Record]:
        """Asks the database."""
        connection = await asyncpg.connect(self.config.database_url)
        try:
            rows: list[asyncpg.Record] = await connection.fetch(query)
            return rows
        finally:
            await connection.close()

    async def drop_connections(self) -> None:
        """Has the server end every connection of the replicas."""
        await self.fetch(_DROP)


@contextlib.asynccontextmanager
async def replicas(
    folder: Path, config: Config, *tenants: dict[str, Any], patches: Sequence[Mapping[str, Any]]
) -> AsyncIterator[Replicas]:
    """A replica for each of `patches`, which serve these tenants."""
    made = [Replica(folder / f"replica{number}", config, patch) for number, patch in enumerate(patches)]
    try:
        await made[0].apply(*tenants)
        await made[0].take_token()
        for other in made[1:]:
            await asyncio.to_thread(shutil.copy, f"{made[0].database}.token", f"{other.database}.token")
        await asyncio.gather(*(one.start() for one in made))
        yield Replicas(made, config)
    finally:
        await asyncio.gather(*(one.close() for one in made))


def new_calls() -> Iterator[tuple[int, str]]:
    """Numbers of calls, and who calls."""
    return ((number, caller(number)) for number in itertools.count())


async def frozen_at(place: str, victim: Replica, calls: Iterator[tuple[int, str]]) -> list[asyncio.Task[None]]:
    """Sends it calls, `frozen<number>`, until it is frozen there: others may be faster to work on what it accepts.

    The senders: some may wait for its answer.
    """
    victim.freeze_at(place)
    sending: list[asyncio.Task[None]] = []
    while not victim.is_frozen:
        assert len(sending) < _CALLS_TO_FREEZE, victim.tail()
        number, who = next(calls)
        call = answered(f"frozen{number}", who)
        sending.append(asyncio.create_task(victim.insist("automated_answered", call)))
        for _ in range(50):
            await asyncio.sleep(0.02)
            if victim.is_frozen:
                break
    return sending
