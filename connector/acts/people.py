"""People and programs that may ask, and the keys that secrets are sealed with."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection as Sql

from connector.access import users
from connector.acts.asker import Asker, act, operator_only, the_tenant
from connector.acts.office import Office
from connector.store import secrets
from connector.store.engine.database import single
from connector.store.queries import recordings, trail


@dataclass(frozen=True, slots=True)
class AddUser:
    """A user of a tenant, or an operator (None). `numbers`: the token sees customers' numbers that tenants mask."""

    name: str
    tenant: str | None
    token: bool = False
    numbers: bool = False


@dataclass(frozen=True, slots=True)
class Rekey:
    """`alone` holds the lock that keeps others from serving the store, or raises `ConnectorError`."""

    alone: Callable[[], contextlib.AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """How many values were sealed anew, and whether links to recordings ended with the old key."""

    values: int
    links_ended: bool


@act("manage")
async def add_user(office: Office, asker: Asker, wish: AddUser) -> str | None:
    """Adds a user; the API token, where one is asked for, is told this once."""
    if wish.tenant is None:
        operator_only(asker)
    else:
        await the_tenant(office, asker, wish.tenant)
    return await office.db.write(single(_add), (wish, asker.name))


def _add(sql: Sql, wish: AddUser, who: str) -> str | None:
    user_id = users.add_user(sql, wish.name, wish.tenant, who)
    return users.add_token(sql, user_id, who, numbers=wish.numbers) if wish.token else None


@act("manage")
async def rekey(office: Office, asker: Asker, wish: Rekey) -> Rekeyed:
    """Seals all secrets with the newest key."""
    operator_only(asker)
    has_key_file = office.config.secret_key is None
    # A running service holds the key file's old key and could not open what is sealed from now on.
    with wish.alone() if has_key_file else contextlib.nullcontext():
        count = await asyncio.to_thread(secrets.rekey, office.config, office.db)
        await office.db.write(single(trail.record), (asker.name, "rekey", None, {"values": count}))
    links = await office.db.read(recordings.count_links)
    return Rekeyed(count, bool(links) and has_key_file)
