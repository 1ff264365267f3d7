"""A call's stored events, read for the fold."""

import json
import logging
from urllib.parse import parse_qsl

from connector.errors import (
    IngressError,
)
from connector.exotel.details import NO_RECORDING, read_details
from connector.exotel.model import Link, NoRecording
from connector.exotel.parse import parse_request
from connector.pipeline.calls.fold import Arrived, Known
from connector.store.queries.deliveries import StoredEvent
from connector.tenants.model import Connection, Tenant

log = logging.getLogger(__name__)


def read(events: list[StoredEvent], country: str) -> list[Arrived]:
    """Stored events as the fold takes them. A request that cannot be read any more tells nothing."""
    arrived: list[Arrived] = []
    for event in events:
        if event.source == "agent":
            act = json.loads(event.body or b"{}")
            link = Link(connection=event.connection_id or "", id=str(act["ticket"]), url=act.get("url"))
            arrived.append(Arrived(link, event.received_at, event.id))
            continue
        if event.source == "details":
            found = NoRecording() if event.kind == NO_RECORDING else read_details(event.body or b"{}", country)
            if found is not None:
                arrived.append(Arrived(found, event.received_at, event.id))
            continue
        try:
            parsed = parse_request(
                event=event.kind,
                method=event.method,
                query=parse_qsl(event.query, keep_blank_values=True),
                content_type=event.content_type,
                body=event.body or b"",
                country=country,
            )
        except IngressError:
            log.warning("a stored event cannot be read", extra={"event": event.id})
            continue
        arrived.append(Arrived(parsed, event.received_at, event.id))
    return arrived


def known(tenant: Tenant, connection: Connection) -> Known:
    """Whose numbers are the tenant's own."""
    agents = frozenset(agent.phone for agent in connection.agents if agent.phone)
    return Known(exophones=frozenset(tenant.exophones), agents=agents)
