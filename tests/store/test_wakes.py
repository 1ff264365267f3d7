"""Hints between replicas: said to all others, kept where there is no room, and none is needed for work to go on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest

from connector.backoff import Backoff
from connector.store.engine import notify
from connector.store.engine.notify import NotifyWakes
from tests.databases import Server
from tests.rig.waiting import until


@pytest.fixture
def url(postgres: Server) -> Iterator[str]:
    """A database that nobody listens to."""
    name = postgres.create_empty()
    yield postgres.url(name)
    postgres.drop(name)


class Replica:
    """One end of the port: what it was told, and how much more it has room for."""

    def __init__(self, url: str, room: int = 10_000) -> None:
        self.url = url
        self.room = room
        self.told: list[tuple[str, int]] = []
        self.connections: list[Any] = []
        self.wakes = NotifyWakes(self.connect)

    async def connect(self) -> Any:
        self.connections.append(await asyncpg.connect(self.url, command_timeout=1.0))
        return self.connections[-1]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Replica"]:
        """Runs once it listens."""

        def tell(connection_id: str, priority: int) -> None:
            self.told.append((connection_id, priority))
            self.room -= 1

        async with self.wakes.running(tell, lambda: self.room > 0):
            await until(lambda: bool(self.connections))
            await asyncio.sleep(0.05)
            yield self


async def test_what_one_offers_all_others_are_told(url: str) -> None:
    async with Replica(url).running() as one, Replica(url).running() as two, Replica(url).running() as three:
        one.wakes.offer("c1", 1)
        one.wakes.offer("c1", 1)
        one.wakes.offer("c2", 3)
        await until(lambda: len(two.told) == len(three.told) == 2)
        assert two.told == three.told == [("c1", 1), ("c2", 3)]
        assert one.told == []


async def test_what_is_heard_waits_for_room_and_is_one_hint_however_often_it_was_said(url: str) -> None:
    async with Replica(url).running() as one, Replica(url, room=0).running() as two:
        for _ in range(3):
            one.wakes.offer("c1", 1)
            one.wakes.offer("c2", 1)
            await asyncio.sleep(0.15)
        assert two.told == []
        two.room = 1
        await until(lambda: two.told)
        await asyncio.sleep(0.3)
        assert two.told == [("c1", 1)]
        two.room = 1
        await until(lambda: len(two.told) == 2)
        assert two.told[1] == ("c2", 1)


async def test_thousands_of_hints_arrive_though_a_notification_is_short(url: str) -> None:
    async with Replica(url).running() as one, Replica(url).running() as two:
        offered = [(f"connection-{number:05}", 1 + number % 3) for number in range(5000)]
        for hint in offered:
            one.wakes.offer(*hint)
        await until(lambda: len(two.told) == 5000)
        assert two.told == offered


def test_a_notification_is_below_the_servers_limit() -> None:
    words = [f"{'ä' * (number % 40)}x:1" for number in range(3000)]
    payloads = list(notify._payloads(words))
    assert " ".join(payloads).split() == words
    assert all(len(payload.encode()) < 8000 for payload in payloads)
    assert len(payloads) < 25


async def test_what_is_offered_while_leaving_is_said_first(url: str) -> None:
    async with Replica(url).running() as two:
        async with Replica(url).running() as one:
            one.wakes.offer("c1", 2)
        await until(lambda: two.told == [("c1", 2)])


async def test_a_connection_that_breaks_is_made_anew(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "_RECONNECT", Backoff(0.01, 0.1))
    async with Replica(url).running() as one, Replica(url).running() as two:
        killer = await asyncpg.connect(url)
        await killer.execute("select pg_terminate_backend($1)", two.connections[0].get_server_pid())
        await killer.close()
        await until(lambda: len(two.connections) == 2)
        await asyncio.sleep(0.05)
        one.wakes.offer("c1", 1)
        await until(lambda: two.told == [("c1", 1)])


class Dead:
    """A connection whose socket died without a word: nothing comes, and each statement ends in its time limit."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def add_listener(self, *_: Any) -> None:
        pass

    async def execute(self, *_: Any) -> None:
        raise TimeoutError


async def test_a_socket_that_is_dead_is_noticed(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "_RECONNECT", Backoff(0.01, 0.1))
    monkeypatch.setattr(notify, "_CHECK_EVERY_S", 0.2)
    two = Replica(url)
    connect = two.connect

    async def dead_at_first() -> Any:
        connection = await connect()
        return Dead(connection) if len(two.connections) == 1 else connection

    two.wakes = NotifyWakes(dead_at_first)
    async with Replica(url).running() as one, two.running():
        await until(lambda: len(two.connections) == 2)
        await asyncio.sleep(0.05)
        one.wakes.offer("c1", 1)
        await until(lambda: two.told == [("c1", 1)])


async def test_nonsense_on_the_channel_ends_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "_RECONNECT", Backoff(0.01, 0.1))
    async with Replica(url).running() as one, Replica(url).running() as two:
        stranger = await asyncpg.connect(url)
        await stranger.execute("select pg_notify($1, 'nonsense')", notify._CHANNEL)
        await stranger.close()
        await until(lambda: len(two.connections) == 2)
        await asyncio.sleep(0.05)
        one.wakes.offer("c1", 1)
        await until(lambda: two.told == [("c1", 1)])
