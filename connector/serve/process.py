"""`connector serve`: the service as a process: one per SQLite file, socket activation, a drain on SIGTERM."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Final

from aiohttp import web
from filelock import FileLock, Timeout

from connector.app import create_app
from connector.config import Config
from connector.errors import ConnectorError
from connector.observe import logs
from connector.serve.sockets import inherited_sockets, listen
from connector.store.opening import readable
from connector.web.keys import HOME

if sys.platform == "win32":
    from asyncio import run as _run  # there is no uvloop
else:
    from uvloop import run as _run

#: Requests under way get this long to end, then deliveries; after the last second the process goes, whatever hangs:
#: what was accepted is stored, and what a CRM was told is found out at the next start.
_REQUESTS_S: Final = 8.0
_DRAIN_S: Final = 28.0


def serve(config: Config, say: Callable[[str], None] = print) -> None:
    """Serves until SIGTERM or SIGINT. Raises `ConfigError`, and `ConnectorError` where address or store is taken."""
    _set_up_logs(config)
    token = config.beside("token")
    is_first = token is not None and not token.exists()

    def ready(url: str) -> None:
        if is_first:
            say(f"connector: the operator's API token is in {token}")
        say(f"connector: serving on {url}")

    with locked(config), readable(config):
        run(_serve(config, ready, tuple(inherited_sockets())))


def run(work: Coroutine[Any, Any, None]) -> None:
    """Runs a coroutine on the fastest loop there is."""
    _run(work)


@contextlib.contextmanager
def locked(config: Config) -> Iterator[None]:
    """Holds the lock of the SQLite file, so that one process alone delivers. Raises `ConnectorError`."""
    path = config.beside("lock")
    if path is None:
        yield
        return
    lock = FileLock(path, timeout=0, mode=0o600)
    try:
        lock.acquire()
    except Timeout:
        raise ConnectorError(f"another connector is serving {config.database_file}") from None
    except OSError as error:
        raise ConnectorError(f"the lock file {path} cannot be used: {error.strerror}") from None
    try:
        yield
    finally:
        lock.release()


def serve_as_worker(
    config: Config, sockets: tuple[socket.socket, ...], lifeline: int, ready: Callable[[str], None]
) -> None:
    """Serves as one of several, until SIGTERM or until the pipe `lifeline` ends. Raises as `serve`."""
    _set_up_logs(config)
    with readable(config):
        run(_serve(config, ready, sockets, lifeline))


@contextlib.asynccontextmanager
async def serving(
    app: web.Application, host: str, port: int, inherited: tuple[socket.socket, ...] = (), *, shared: bool = False
) -> AsyncIterator[str]:
    """The app behind inherited sockets, else host and port (0: any free one); gives its URL. On leaving it drains.

    `shared`: other processes listen there as well.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_REQUESTS_S)
    try:
        await runner.setup()
        await listen(runner, host, port, inherited, shared=shared)
        address = runner.addresses[0]
        if isinstance(address, tuple):
            app[HOME].bound_to(address[0], address[1])
        yield app[HOME].url
    finally:
        await runner.cleanup()


class Stop:
    """Hears the first SIGTERM or SIGINT, or the end of the pipe `lifeline`; a second signal has its usual effect.

    A worker takes any number of SIGTERM: the service manager sends one to every process of the service. Made before the
    service starts: a signal that comes meanwhile ends it in order, once it has started.
    """

    def __init__(self, lifeline: int | None = None) -> None:
        self._lifeline = lifeline
        self._event = asyncio.Event()
        self._signals = (signal.SIGTERM, signal.SIGINT) if lifeline is None else (signal.SIGTERM,)
        loop = asyncio.get_running_loop()
        for number in self._signals:
            loop.add_signal_handler(number, self._hear)
        if lifeline is not None:
            loop.add_reader(lifeline, self._hear)

    async def heard(self) -> None:
        """Returns once it did."""
        await self._event.wait()

    def _hear(self) -> None:
        self._event.set()
        loop = asyncio.get_running_loop()
        if self._lifeline is not None:
            loop.remove_reader(self._lifeline)
            return
        for number in self._signals:
            loop.remove_signal_handler(number)


def _set_up_logs(config: Config) -> None:
    logs.set_up(config.log_format)
    logging.getLogger("alembic").setLevel(logging.WARNING)


async def _serve(
    config: Config, ready: Callable[[str], None], inherited: tuple[socket.socket, ...], lifeline: int | None = None
) -> None:
    stop = Stop(lifeline)
    shared = lifeline is not None
    async with serving(create_app(config), config.host, config.port, inherited, shared=shared) as url:
        # What was loaded stays: a search for garbage that went through thousands of connections would hold up requests.
        gc.collect()
        gc.freeze()
        ready(url)
        await stop.heard()
        last_resort = threading.Timer(_DRAIN_S, os._exit, (1,))
        last_resort.daemon = True
        last_resort.start()
