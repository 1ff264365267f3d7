"""Targets: for whom claimed work is done, as the directory has it now, under the options of the work's first plan."""

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from connector.adapter import registry
from connector.adapter.options import Options
from connector.pipeline.delivery.story import Target
from connector.pipeline.recordings.links import LinkMaker
from connector.store.engine.database import Database
from connector.store.queries import deliveries
from connector.store.queries.deliveries import Work
from connector.tenants.directory import Directories, options_of
from connector.tenants.model import Connection

_REVISIONS_KEPT: Final = 2000


class Targets:
    """Finds the targets of deliveries."""

    def __init__(
        self, db: Database, directories: Directories, links: LinkMaker, answers: Callable[[int], bool]
    ) -> None:
        """`answers`: whether Exotel answers what is asked about a tenant's calls, by the tenant's id."""
        self._db = db
        self._directories = directories
        self._links = links
        self._answers = answers
        self._options: OrderedDict[tuple[str, int], Options] = OrderedDict()

    async def of(self, work: Work) -> Target | None:
        """For whom a claimed delivery is done; None where its connection is gone."""
        directory = self._directories.current
        tenant = directory.tenants_by_id.get(work.tenant_id)
        connection = directory.connections.get(work.connection_id)
        if tenant is None or connection is None:
            return None
        if work.revision is not None and work.revision != connection.revision:
            connection = await self._as_of(connection, work.revision, tenant.country)
        adapter = registry.get(connection.adapter)
        return Target(tenant, connection, adapter, self._links.of(work, adapter), self._answers(tenant.id))

    def newest(self, target: Target) -> Connection:
        """The target's connection under its newest options."""
        return self._directories.current.connections.get(target.connection.id, target.connection)

    async def _as_of(self, connection: Connection, revision: int, country: str) -> Connection:
        place = (connection.id, revision)
        options = self._options.get(place)
        if options is None:
            written = await self._db.read(deliveries.revision_options, connection.id, revision)
            try:
                options = options_of(registry.get(connection.adapter), json.loads(written or ""), country)
            except ValueError:  # pruned, or written for an adapter that has since changed its options
                return connection
            self._options[place] = options
            while len(self._options) > _REVISIONS_KEPT:
                self._options.popitem(last=False)
        return replace(connection, options=options, revision=revision)
