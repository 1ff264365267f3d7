"""What every change of the configuration leaves: a higher version, which running processes notice, and an audit row."""

import json
import time
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, insert, select, update

from connector.store.schema import audit, config, tenant


def record(
    connection: Connection, who: str, what: str, tenant_id: int | None = None, detail: Mapping[str, Any] | None = None
) -> None:
    """One audit row. `who`: a user's name, `cli` or `api:<token id>`; `detail` holds no secrets."""
    row = {"at": time.time(), "who": who, "what": what, "tenant_id": tenant_id, "detail": json.dumps(detail or {})}
    connection.execute(insert(audit).values(row))


def alone(connection: Connection) -> None:
    """Nobody else changes the configuration until the commit: two files applied at once would not see each other."""
    connection.execute(select(config.c.version).with_for_update())


def changed(connection: Connection, tenants: Collection[int] = ()) -> None:
    """Raises the version of the configuration; of `tenants` (ids) alone, where some are named.

    Running processes then read these anew, and not all that there are.
    """
    raised = update(config).values(version=config.c.version + 1).returning(config.c.version)
    version = connection.execute(raised).scalar()
    if version is None:
        version = 1
        connection.execute(insert(config).values(id=1, version=version))
    if tenants:
        connection.execute(update(tenant).where(tenant.c.id.in_(tenants)).values(version=version))
