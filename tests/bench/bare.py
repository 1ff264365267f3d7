"""What `accept` is held against, as a process: an aiohttp handler that stores nothing; with `--raw` not even aiohttp.

The raw server looks at nothing and answers each packet with the same bytes: what the generator does against it is the
generator's own ceiling.
"""

import asyncio
import sys
from typing import cast

from aiohttp import web

from connector.serve.process import run

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Type: application/octet-stream\r\nServer: raw\r\n\r\n"


class _Raw(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(_ANSWER)


async def _nothing(request: web.Request) -> web.Response:
    return web.Response()


async def _serve(*, raw: bool) -> None:
    if raw:
        server = await asyncio.get_running_loop().create_server(_Raw, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
    else:
        app = web.Application()
        app.router.add_get("/v2/accounts/{sid}/call-events", _nothing)
        app.router.add_get("/h/{hook_token}/{event}", _nothing)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        port = runner.addresses[0][1]
    print(f"serving on http://127.0.0.1:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    run(_serve(raw="--raw" in sys.argv))
