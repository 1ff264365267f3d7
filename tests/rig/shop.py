"""A store, and files applied to it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from connector.config import Config
from connector.store.opening import Store, opened
from connector.tenants.apply import Applied, apply
from connector.tenants.directory import load
from connector.tenants.file import TenantFile
from connector.tenants.model import Tenant
from tests.databases import config_in


class Shop:
    """A store with one tenant, `exotel535`."""

    def __init__(self, config: Config, store: Store) -> None:
        self.config = config
        self.db, self.box = store.db, store.box

    def apply(self, **changes: Any) -> Applied:
        """Applies the tenant with these changes."""
        tenant = {"sid": "exotel535", "api_key": "demo_key", "api_token": "demo_token", "hook_token": "hook-token"}
        file = TenantFile.model_validate({"tenants": [{**tenant, **changes}]})
        return apply(file, self.db, self.box)

    @property
    def tenant(self) -> Tenant:
        """The tenant as the store has it."""
        return self.db.transact(load, self.box).tenants["exotel535"]


@contextlib.contextmanager
def shop_in(folder: Path) -> Iterator[Shop]:
    """A shop with the store of this folder."""
    config = config_in(folder)
    with opened(config, make=True) as store:
        shop = Shop(config, store)
        shop.apply()
        yield shop
