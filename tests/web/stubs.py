"""The ingress behind a real socket, with a pipeline that records and a directory that tests change."""

import asyncio
import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestClient
from pydantic import SecretStr

from connector.adapter.options import Options
from connector.errors import StoreBusy
from connector.observe.logs import server_logger
from connector.pipeline.calls.accept import Received
from connector.tenants.model import Connection, Directory, IngressRules, Tenant
from connector.web.answers import json_errors
from connector.web.hooks.ingress import INGRESS, add_ingress
from connector.web.hooks.ingress import Ingress as HookIngress
from connector.web.hooks.origin import Network, Origin
from connector.web.hooks.query import MOST_BYTES
from tests.rig.listening import Server

SID = "0025b4a2c1ed43a7b1cf162a"
KEY, TOKEN, HOOK = "demo_key", "demo_token:with/odd@letters", "hook-token-of-exotel535-0001"


def tenant(
    sid: str = "exotel535", id_: int = 1, ingress: IngressRules | None = None, hook: str = HOOK, token: str = TOKEN
) -> Tenant:
    connection = Connection(
        id=f"c{id_}",
        tenant_id=id_,
        name="support",
        adapter="local",
        account="here",
        enabled=True,
        revision=1,
        settings={},
        options=Options(),
    )
    return Tenant(
        id=id_,
        sid=sid,
        region="singapore",
        country="IN",
        time_zone="Asia/Kolkata",
        api_key=SecretStr(KEY),
        api_token=SecretStr(token),
        hook_token=SecretStr(hook),
        ingress=ingress or IngressRules(),
        connections=(connection,),
    )


@dataclass
class StubPipeline:
    """Keeps what it is given; `busy` makes it refuse."""

    received: list[Received] = field(default_factory=list)
    busy: bool = False
    broken: bool = False

    async def accept(self, received: Received) -> None:
        if self.broken:
            raise RuntimeError(f"a mistake of ours while {received.query} was stored")
        if self.busy:
            raise StoreBusy("The store cannot take it now.")
        self.received.append(received)


class StubDirectories:
    """`stored` is what the next look finds."""

    def __init__(self, *tenants: Tenant) -> None:
        self.current = Directory.of(1, list(tenants))
        self.stored = self.current
        self.looks = 0
        self.fails = False

    def apply(self, *tenants: Tenant) -> None:
        self.stored = Directory.of(self.stored.version + 1, list(tenants))

    async def refresh(self, force: bool = False) -> Directory:
        self.looks += 1
        if self.fails:
            raise StoreBusy("The store cannot take it now.")
        self.current = self.stored
        return self.current


def hook_app(pipeline: StubPipeline, directories: StubDirectories, trusted: Sequence[Network] = ()) -> web.Application:
    app = web.Application(
        middlewares=[json_errors],
        handler_args={"access_log": None, "max_line_size": 2 * MOST_BYTES, "logger": server_logger()},
    )
    app[INGRESS] = HookIngress(pipeline, Origin(directories, trusted))
    add_ingress(app)
    return app


Client = TestClient[web.Request, web.Application]
MakeClient = Callable[[web.Application], Client]


def client_of(app: web.Application) -> Client:
    return TestClient(Server(app))


def basic(key: str = KEY, token: str = TOKEN) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{key}:{token}".encode()).decode()}


async def raw_request(client: Client, data: bytes) -> bytes:
    """Bytes on the wire and back, for what no client would send."""
    assert client.port is not None
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(data)
    await writer.drain()
    answer = await asyncio.wait_for(reader.read(65536), 5)
    writer.close()
    await writer.wait_closed()
    return answer
