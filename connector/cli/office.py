"""How a command asks for an act: on an opened store, beside a running service or without one."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from connector.acts.asker import CLI, Act
from connector.acts.office import Office, office_on
from connector.config import Config
from connector.store.opening import Store, opened

W = TypeVar("W")
R = TypeVar("R")


def ask(config: Config, act: Act[W, R], wish: W, *, make: bool = False) -> R:
    """The act's result. `make`: see `opened`."""

    async def work(office: Office) -> R:
        return await act(office, CLI, wish)

    return in_office(config, work, make=make)


def in_office(config: Config, work: Callable[[Office], Awaitable[R]], *, make: bool = False) -> R:
    """The result of `work`, for a command that needs more than one act."""

    async def run(store: Store) -> R:
        async with office_on(store, config) as office:
            return await work(office)

    with opened(config, make=make) as store:
        return asyncio.run(run(store))
