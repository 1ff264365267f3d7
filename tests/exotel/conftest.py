"""What tests of the Exotel client share: the stand-in on a socket, and a client that speaks to it."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr

from connector.exotel.api import Exotel
from connector.exotel.api.hosts import Hosts
from connector.exotel.api.http import ExotelHttp
from connector.kit.exotel import ExotelAccount, exotel_app
from connector.kit.faults import Faults
from connector.outbound import session
from tests.rig.listening import Server

SID = "acme1"
KEY, TOKEN = "demo_key", "demo_token-5b1"
AGENT, CUSTOMER, EXOPHONE = "+919711581199", "+919876543210", "+918047494574"


class Purse:
    """A budget that notes what is spent."""

    def __init__(self) -> None:
        self.spent: list[float] = []
        self.blocked_s: list[float] = []

    async def spend(self, _bucket: str, *, kept: float) -> None:
        self.spent.append(kept)

    def blocked(self, _bucket: str, for_s: float) -> None:
        self.blocked_s.append(for_s)


@pytest.fixture
def faults() -> Faults:
    return Faults(seed=1)


@pytest.fixture
def account() -> ExotelAccount:
    return ExotelAccount(sid=SID, api_key=KEY, api_token=TOKEN)


@pytest.fixture
def purse() -> Purse:
    return Purse()


@pytest.fixture
async def standin(account: ExotelAccount, faults: Faults) -> AsyncIterator[str]:
    """Address of the stand-in."""
    async with Server(exotel_app(account, faults)) as server:
        yield str(server.make_url("")).rstrip("/")


@pytest.fixture
async def sessions() -> AsyncIterator[aiohttp.ClientSession]:
    async with session(frozenset({"127.0.0.1"})) as client:
        yield client


def http(client: aiohttp.ClientSession, url: Any, purse: Purse, **how: Any) -> ExotelHttp:
    given = {"sid": SID, "api_key": SecretStr(KEY), "api_token": SecretStr(TOKEN), "hosts": Hosts("singapore", url)}
    return ExotelHttp(client, budget=purse, **{**given, **how})


@pytest.fixture
async def exotel(sessions: aiohttp.ClientSession, standin: str, purse: Purse) -> Exotel:
    """A client of the stand-in."""
    return Exotel(http(sessions, standin, purse))


Answering = Callable[..., Any]


@pytest.fixture
async def answering(sessions: aiohttp.ClientSession, purse: Purse) -> AsyncIterator[Answering]:
    """`await answering(status, body)`: a client of a server that always answers so; headers as keywords."""
    servers: list[Server] = []

    async def made(status: int, body: bytes, **headers: str) -> Exotel:
        async def handler(_request: web.Request) -> web.Response:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return web.Response(status=status, body=body, headers=named)

        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", handler)
        server = Server(app)
        await server.start_server()
        servers.append(server)
        return Exotel(http(sessions, str(server.make_url("")).rstrip("/"), purse))

    yield made
    for server in servers:
        await server.close()
