"""Freshdesk's stand-in that notes when a caller was first asked for: `GET /_bench/first` gives number -> Unix time."""

import re
import sys
import time

from aiohttp import web
from aiohttp.typedefs import Handler
from standins.freshdesk import Account, standin

from connector.kit.faults import Faults
from connector.kit.standin import run, serve
from tests.bench.load import CALLER

_first: dict[str, float] = {}
_NUMBER = re.compile(CALLER)


@web.middleware
async def _note(request: web.Request, handler: Handler) -> web.StreamResponse:
    found = _NUMBER.search(request.path_qs)
    if found is not None:
        _first.setdefault(found[0], time.time())
    return await handler(request)


async def _told(_request: web.Request) -> web.Response:
    return web.json_response(_first)


if __name__ == "__main__":
    app = standin(Account(), Faults())
    app.middlewares.insert(0, _note)
    app.router.add_get("/_bench/first", _told)
    run(serve(app, int(sys.argv[1])))
