"""Servers in this process."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

from aiohttp import web
from aiohttp.test_utils import TestServer


class Server(TestServer):
    """A server that ends well whoever comes just then.

    A connection that is accepted in the turn of the loop in which its server closes is dropped by Python 3.11 without
    its socket being closed. So nobody is accepted any more before that turn.
    """

    async def close(self) -> None:
        if self.runner is not None and not self.closed:
            loop = asyncio.get_running_loop()
            for site in self.runner.sites:
                for listener in site._server.sockets if site._server is not None else ():  # type: ignore[attr-defined]
                    loop.remove_reader(listener.fileno())
            for _ in range(3):  # accepted, made into a transport, handed to the server
                await asyncio.sleep(0)
        await super().close()


@contextlib.asynccontextmanager
async def listening(app: web.Application, port: int | None = None) -> AsyncIterator[str]:
    """Serves it meanwhile; its URL, without a slash at the end."""
    async with Server(app, port=port) as server:
        yield f"http://127.0.0.1:{server.port}"


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return int(tried.getsockname()[1])
