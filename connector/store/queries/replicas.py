"""Replicas: which processes are alive on this store."""

from collections.abc import Sequence

from sqlalchemy import Connection, text

_BEAT = text(
    "insert into replica (id, seen_at) values (:id, :now) on conflict (id) do update set seen_at = excluded.seen_at"
)
_BURY = text("delete from replica where seen_at <= :before")
_LIVING = text("select id from replica where seen_at > :before order by id")
_LEAVE = text("delete from replica where id = :id")


def beat(connection: Connection, rows: Sequence[tuple[str, float, float]]) -> list[list[str]]:
    """Says that a replica lives: (id, now, dead after so many seconds). Gives the living, in order."""
    found = []
    for id_, now, dead_s in rows:
        connection.execute(_BEAT, {"id": id_, "now": now})
        connection.execute(_BURY, {"before": now - dead_s})
        found.append([row[0] for row in connection.execute(_LIVING, {"before": now - dead_s})])
    return found


def leave(connection: Connection, ids: Sequence[str]) -> list[None]:
    """Says that a replica ends."""
    for id_ in ids:
        connection.execute(_LEAVE, {"id": id_})
    return [None] * len(ids)
