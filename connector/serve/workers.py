"""`connector serve --workers N`: several processes behind one port of one machine, on PostgreSQL.

The first process opens no store and answers no request: it starts the workers, starts one anew that ended, and ends
them. Each worker is a whole service with a listening socket of its own (SO_REUSEPORT: the kernel spreads connections
over them, and over the others when one dies), or all listen on the sockets that the service manager opened.

Workers end when their *lifeline* does, a pipe that the first process holds: so also when that one is killed.
"""

import asyncio
import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Final, TypeVar

from connector.backoff import Backoff
from connector.config import Config
from connector.errors import ConfigError, ConnectorError
from connector.observe import logs
from connector.serve.sockets import inherited_sockets, reserved

log = logging.getLogger(__name__)

#: A worker needs this long at most to drain; then it is killed.
_DRAIN_S: Final = 29.0
#: Wait before a worker that died is started anew: doubled each time, from the first on again once one lived a while.
_RESTART: Final = Backoff(0.5, 30.0, sure=1.0)
_STABLE_S: Final = 60.0
#: `metrics.WORKERS_FOLDER`, which cannot be imported here: metrics are made anew in each worker.
_METRICS: Final = "PROMETHEUS_MULTIPROC_DIR"

T = TypeVar("T")

#: What a worker said: its URL once it serves, or why it cannot.
_Said = tuple[str | None, ConnectorError | None]
_NOTHING: Final[_Said] = (None, None)


def serve_many(config: Config, workers: int, say: Callable[[str], None]) -> None:
    """Serves with so many processes until SIGTERM or SIGINT.

    Raises `ConfigError` (a store that one process alone may serve, a setting that the workers refuse), and
    `ConnectorError` where the address is taken, or a worker did not end well.
    """
    if config.database_file is not None:
        raise ConfigError(
            "--workers above 1 needs PostgreSQL: an SQLite file is served by one process, which alone delivers from it"
        )
    logs.set_up(config.log_format)
    sockets = inherited_sockets()
    with tempfile.TemporaryDirectory(prefix="connector-metrics-") as folder:
        os.environ[_METRICS] = folder
        if sockets:
            asyncio.run(_Supervisor(config, sockets, say).run(workers))
            return
        with reserved(config.host, config.port) as port:
            asyncio.run(_Supervisor(replace(config, port=port), (), say).run(workers))


class _Supervisor:
    def __init__(self, config: Config, sockets: Sequence[socket.socket], say: Callable[[str], None]) -> None:
        self._config = config
        self._sockets = sockets
        self._say = say
        self._stop = asyncio.Event()

    async def run(self, workers: int) -> None:
        """Starts them, keeps them, and ends them."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        # The first alone finds out whether store and settings are right, and says it once.
        first = _Worker(self._config, 0, self._sockets)
        url = await self._unless_stopped(first.serves())
        if url is None:
            await first.end()
            return
        others = [_Worker(self._config, index, self._sockets) for index in range(1, workers)]
        keeping = [asyncio.create_task(self._keep(worker)) for worker in (first, *others)]
        await self._unless_stopped(asyncio.gather(*(worker.serves() for worker in others), return_exceptions=True))
        self._say(f"connector: {workers} workers are serving on {url}")
        if any(codes := await asyncio.gather(*keeping)):
            bad = ", ".join(f"worker {index} with {code}" for index, code in enumerate(codes) if code)
            raise ConnectorError(f"not all ended well: {bad}; the log has the details")

    async def _unless_stopped(self, waiting: Awaitable[T]) -> T | None:
        """What is waited for; None where all is to end first."""
        task = asyncio.ensure_future(waiting)
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait([task, stop], return_when=asyncio.FIRST_COMPLETED)
        for one in (task, stop):
            if not one.done():
                one.cancel()
        return task.result() if not self._stop.is_set() else None

    async def _keep(self, worker: "_Worker") -> int:
        """Starts the worker anew whenever it ends, until all is to end. Its last exit code."""
        deaths = 0
        while True:
            code = await self._unless_stopped(worker.ended())
            if code is None:
                return await worker.end()
            deaths = 1 if worker.lived_s >= _STABLE_S else deaths + 1
            wait_s = _RESTART.wait_s(deaths)
            log.error(
                "worker %d ended with %d%s; it is started anew in %.1f s",
                worker.index, code, worker.why and f" ({worker.why})", wait_s,
            )  # fmt: skip
            await self._unless_stopped(asyncio.sleep(wait_s))
            if self._stop.is_set():
                return 0
            worker = _Worker(self._config, worker.index, self._sockets)


class _Worker:
    """A worker's process, as the first process holds it."""

    def __init__(self, config: Config, index: int, sockets: Sequence[socket.socket]) -> None:
        context = multiprocessing.get_context("spawn")
        their_lifeline, self._lifeline = context.Pipe(duplex=False)
        self._saying, their_saying = context.Pipe(duplex=False)
        self.index = index
        #: What it said of its end, if anything.
        self.why = ""
        self._said = _NOTHING
        self._began = time.monotonic()
        self._process: SpawnProcess = context.Process(
            target=_work, args=(config, index, tuple(sockets), their_lifeline, their_saying), name=f"connector-{index}"
        )
        self._process.start()
        their_lifeline.close()
        their_saying.close()

    @property
    def lived_s(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._began

    async def serves(self) -> str:
        """Its URL, once it serves. Raises `ConfigError` and `ConnectorError` where it cannot."""
        await _readable(self._saying.fileno())
        url, error = self._hear()
        if url is not None:
            return url
        code = await self.ended()
        raise error or ConnectorError(f"a worker ended with {code} before it served")

    async def ended(self) -> int:
        """Its exit code, once it ended; below zero: minus the signal that killed it."""
        await _readable(self._process.sentinel)
        self._process.join()
        assert self._process.exitcode is not None
        _, error = self._hear()
        self.why = error.message if error is not None else ""
        return self._process.exitcode

    async def end(self) -> int:
        """Lets it drain. Its exit code."""
        self._lifeline.close()
        try:
            return await asyncio.wait_for(self.ended(), _DRAIN_S)
        except TimeoutError:
            self._process.kill()
            return await self.ended()

    def _hear(self) -> _Said:
        if self._said == _NOTHING and self._saying.poll():
            with contextlib.suppress(EOFError):
                url, is_wrong, words = self._saying.recv()
                self._said = url, None if url else (ConfigError if is_wrong else ConnectorError)(words)
        return self._said


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(descriptor, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(descriptor)


def _work(
    config: Config, index: int, sockets: tuple[socket.socket, ...], lifeline: Connection, saying: Connection
) -> None:
    """A worker's life, in a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the first process passes it on once
    from prometheus_client import values

    # Before the first metric is made. By index and not by process: a worker that is started anew counts on.
    values.ValueClass = values.MultiProcessValue(lambda: index)  # type: ignore[no-untyped-call]  # no types there
    from connector.observe import metrics
    from connector.serve.process import serve_as_worker

    metrics.join_workers(index)

    def ready(url: str) -> None:
        saying.send((url, False, ""))

    try:
        serve_as_worker(config, sockets, lifeline.fileno(), ready)
    except ConnectorError as error:
        saying.send((None, isinstance(error, ConfigError), error.message))
        sys.exit(1)
