"""Replicas: which processes are alive on this store, by the database's clock."""

from collections.abc import Sequence

from sqlalchemy import Connection, text

from connector.store.engine.dialects import NOW

_BEAT = text(
    f"insert into replica (id, seen_at) values (:id, {NOW})"  # noqa: S608 - ours
    " on conflict (id) do update set seen_at = excluded.seen_at returning seen_at"
)
_BURY_REPLICAS = text("delete from replica where seen_at <= :before")
_LIVING = text("select id from replica where seen_at > :before order by id")
_LEAVE = text("delete from replica where id = :id")


def beat(connection: Connection, rows: Sequence[tuple[str, float, float]]) -> list[list[str]]:
    """Says that a replica lives: (id, now, dead after so many seconds). Gives the living, in order."""
    found = []
    for id_, now, dead_s in rows:
        before = connection.execute(_BEAT, {"id": id_, "now": now}).scalar_one() - dead_s
        connection.execute(_BURY_REPLICAS, {"before": before})
        found.append([row[0] for row in connection.execute(_LIVING, {"before": before})])
    return found


def leave(connection: Connection, ids: Sequence[str]) -> list[None]:
    """Says that a replica ends."""
    for id_ in ids:
        connection.execute(_LEAVE, {"id": id_})
    return [None] * len(ids)
