"""What the command line lists beside `views`: the records of many calls at once."""

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import Connection, select

from connector.store import schema
from connector.store.queries.views import RecordRow


def records(connection: Connection, call_ids: Sequence[int]) -> dict[int, list[RecordRow]]:
    """Call id -> what was written for it, by connection and slot; calls without records are left out."""
    step, delivery, of = schema.step.c, schema.delivery.c, schema.connection.c
    columns = (of.name, step.slot, step.kind, step.ref_id, step.url, step.state, step.warning, step.error)
    query = (
        select(delivery.call_id, *columns)
        .join_from(schema.step, schema.delivery)
        .join(schema.connection, of.id == delivery.connection_id)
        .where(delivery.call_id.in_(call_ids), step.ref_id.is_not(None))
        .order_by(of.name, step.slot)
    )
    found = defaultdict(list)
    for call_id, *row in connection.execute(query):
        found[call_id].append(RecordRow(*row))
    return found
