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

from connector import logs
from connector.app import create_app
from connector.config import Config
from connector.errors import ConnectorError
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
#: A burst of calls waits in the kernel rather than being refused.
_BACKLOG: Final = 1024
#: systemd hands sockets over from this descriptor on (sd_listen_fds(3)).
_FIRST_SOCKET: Final = 3


def serve(config: Config, say: Callable[[str], None] = print) -> None:
    """Serves until SIGTERM or SIGINT. Raises `ConfigError`, and `ConnectorError` where address or store is taken."""
    logs.set_up(config.log_format)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with locked(config), readable(config):
        run(_serve(config, say))


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


@contextlib.asynccontextmanager
async def serving(app: web.Application, host: str, port: int) -> AsyncIterator[str]:
    """The app behind inherited sockets, else host and port (0: any free one); gives its URL. On leaving it drains."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_REQUESTS_S)
    try:
        await runner.setup()
        sockets = inherited_sockets()
        for inherited in sockets:
            await web.SockSite(runner, inherited, backlog=_BACKLOG).start()
        if not sockets:
            await _listen(runner, host, port)
        address = runner.addresses[0]
        if isinstance(address, tuple):
            app[HOME].bound_to(address[0], address[1])
        yield app[HOME].url
    finally:
        await runner.cleanup()


def inherited_sockets() -> list[socket.socket]:
    """Listening sockets that the service manager opened for this process (LISTEN_PID, LISTEN_FDS)."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(os.environ.get("LISTEN_FDS", "0"))
    # They are ours alone: a child must not take them for its own.
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    sockets = [socket.socket(fileno=descriptor) for descriptor in range(_FIRST_SOCKET, _FIRST_SOCKET + count)]
    for inherited in sockets:
        inherited.setblocking(False)
        inherited.set_inheritable(False)
    return sockets


async def stopped() -> None:
    """Returns at the first SIGTERM or SIGINT; a second one has its usual effect."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
    for number in signals:
        loop.remove_signal_handler(number)


async def _serve(config: Config, say: Callable[[str], None]) -> None:
    token = config.beside("token")
    is_first = token is not None and not token.exists()
    async with serving(create_app(config), config.host, config.port) as url:
        # What was loaded stays: a search for garbage that went through thousands of connections would hold up requests.
        gc.collect()
        gc.freeze()
        if is_first:
            say(f"connector: the operator's API token is in {token}")
        say(f"connector: serving on {url}")
        await stopped()
        last_resort = threading.Timer(_DRAIN_S, os._exit, (1,))
        last_resort.daemon = True
        last_resort.start()


async def _listen(runner: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port, backlog=_BACKLOG, reuse_address=True).start()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise ConnectorError(f"cannot listen on {host}:{port}: {reason}") from None
