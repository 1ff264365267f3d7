"""Users and API tokens. A token is shown once, when it is made; the store keeps its SHA-256."""

import hashlib
import os
import secrets
import time
from pathlib import Path
from typing import Final

from sqlalchemy import Connection as Sql
from sqlalchemy import insert, select

from connector.errors import ConfigError
from connector.store import schema
from connector.store.engine.database import Database
from connector.store.queries import trail

#: What every token may do.
SCOPES: Final = ("read", "replay", "call")
#: Sees customers' numbers whole where their tenant masks them; a token has it only where it was asked for.
NUMBERS: Final = "numbers"
#: Makes a leaked token recognisable, for people and for scanners.
PREFIX: Final = "ctk_"
_OPERATOR: Final = "operator"


def add_user(sql: Sql, name: str, sid: str | None, who: str = "cli") -> int:
    """Makes a user of the tenant with this SID, or an operator (None), and returns its id.

    Raises `ConfigError` for a name that is taken and an unknown tenant.
    """
    if not name.strip() or len(name) > 128:
        raise ConfigError("a user's name has 1 to 128 characters")
    tenant_id = None
    if sid is not None:
        tenant_id = sql.execute(select(schema.tenant.c.id).where(schema.tenant.c.sid == sid)).scalar()
        if tenant_id is None:
            raise ConfigError(f"there is no tenant {sid!r}")
    if sql.execute(select(schema.user.c.id).where(schema.user.c.name == name)).first():
        raise ConfigError(f"there is a user {name!r} already")
    row = {"name": name, "tenant_id": tenant_id, "created_at": time.time()}
    user_id = int(sql.execute(insert(schema.user).values(row).returning(schema.user.c.id)).scalar_one())
    trail.record(sql, who, "user.add", tenant_id, {"user": name})
    return user_id


def add_token(sql: Sql, user_id: int, who: str = "cli", *, numbers: bool = False) -> str:
    """Makes an API token of the user and returns it. `numbers`: it sees customers' numbers that tenants mask."""
    token = PREFIX + secrets.token_urlsafe(32)
    scopes = (*SCOPES, NUMBERS) if numbers else SCOPES
    row = {"user_id": user_id, "hash": hash_of(token), "scopes": ",".join(scopes), "created_at": time.time()}
    sql.execute(insert(schema.api_token).values(row))
    trail.record(sql, who, "token.add", detail={"user_id": user_id, "numbers": numbers})
    return token


def hash_of(token: str) -> str:
    """What the store knows of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def ensure_operator_token(db: Database, path: Path) -> bool:
    """At the first start makes the user `operator` and writes its token to `path`, mode 0600; says whether it did."""
    return db.transact(_first_operator, path)


def _first_operator(sql: Sql, path: Path) -> bool:
    if sql.execute(select(schema.user.c.id).where(schema.user.c.name == _OPERATOR)).first():
        return False
    token = add_token(sql, add_user(sql, _OPERATOR, None, who="start"), who="start")
    # Within the transaction: a token that is in force but was not written down would help nobody. A file of a former
    # store at this place is replaced, since its mode would outlive a mere rewrite.
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="ascii") as file:
        file.write(token + "\n")
    return True
