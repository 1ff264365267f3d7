"""The region where Exotel has an account, as Exotel itself said it: kept beside what the operator's file says."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select, update

from connector.store.queries import trail
from connector.store.schema import tenant


def keep_regions(connection: Connection, found: Sequence[tuple[int, str]]) -> list[None]:
    """Keeps (tenant id, region); a `region` of the operator's file stays above it."""
    changed: set[int] = set()
    for tenant_id, region in found:
        query = select(tenant.c.settings).where(tenant.c.id == tenant_id).with_for_update()
        written = connection.execute(query).scalar_one_or_none()
        settings: dict[str, Any] = json.loads(written) if written is not None else {}
        if written is None or settings.get("region_found") == region:
            continue
        settings["region_found"] = region
        text = json.dumps(settings, separators=(",", ":"), sort_keys=True)
        connection.execute(update(tenant).where(tenant.c.id == tenant_id).values(settings=text))
        changed.add(tenant_id)
    if changed:
        trail.changed(connection, changed)
    return [None] * len(found)
