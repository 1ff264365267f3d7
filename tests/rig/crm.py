"""The CRMs of the tests: stand-ins."""

import functools
from types import ModuleType
from typing import Any

from connector.config import Config
from connector.kit.standins import standins
from connector.outbound import session
from connector.store.secrets import SecretBox
from connector.tenants.check import make_adapter
from connector.tenants.model import Connection


@functools.cache  # to look through all that is installed takes longer than to open a store
def standin_of(adapter: str) -> ModuleType:
    """The module that offers an adapter's stand-in: `standin`, `Account`, `SETTINGS`."""
    module: ModuleType = standins()[adapter].load()
    return module


async def first_user(connection: Connection, box: SecretBox, config: Config) -> Any:
    """The first of the people whom the connection's CRM lists."""
    async with session(frozenset({"127.0.0.1"})) as client:
        first, *_ = await make_adapter(client, connection, box, config).list_agents()
    return first
