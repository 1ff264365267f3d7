"""What every change of the configuration leaves: a higher version, which running processes notice, and an audit row."""

import json
import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, insert, select, update

from connector.store.schema import audit, config


def record(
    connection: Connection, who: str, what: str, tenant_id: int | None = None, detail: Mapping[str, Any] | None = None
) -> None:
    """One audit row. `who`: a user's name, `cli` or `api:<token id>`; `detail` holds no secrets."""
    row = {"at": time.time(), "who": who, "what": what, "tenant_id": tenant_id, "detail": json.dumps(detail or {})}
    connection.execute(insert(audit).values(row))


def alone(connection: Connection) -> None:
    """Nobody else changes the configuration until the commit: two files applied at once would not see each other."""
    connection.execute(select(config.c.version).with_for_update())


def changed(connection: Connection) -> None:
    """Raises the version of the configuration."""
    if not connection.execute(update(config).values(version=config.c.version + 1)).rowcount:
        connection.execute(insert(config).values(id=1, version=1))
