"""Recordings: the rows that our links name, what was seen of the files, and which links were revoked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, text

from connector.store.engine.rows import rows_of


@dataclass(frozen=True, slots=True)
class RecordingRow:
    """A recording as the pipeline knows it; see `schema.recording`. `available_by` is Unix time."""

    url: str
    name: str
    key_id: str
    available_by: float | None = None
    is_revoked: bool = False


@dataclass(frozen=True, slots=True)
class Named:
    """A recording with the call that it is of, for who opens a link. Times are Unix seconds."""

    id: int
    tenant_id: int
    call_sid: str
    call_created_at: float
    url: str
    state: str
    size: int | None
    available_by: float | None
    revoked_at: float | None


_OF_CALLS = text(
    "select call_id, url, name, key_id, available_by, revoked_at is not null from recording"
    " where call_id in :ids and name is not null"
).bindparams(bindparam("ids", expanding=True))
_FIELDS = ("tenant_id", "call_id", "url", "name", "key_id", "available_by")
WRITE_RECORDING = text(
    f"insert into recording ({', '.join(_FIELDS)}, state) select {', '.join(_FIELDS)}, 'unknown' "  # noqa: S608
    f"from {rows_of(*_FIELDS)} r where true on conflict (call_id, url) do update set name = excluded.name,"
    " key_id = excluded.key_id, available_by = coalesce(excluded.available_by, recording.available_by)"
)
_NAMED = (
    "recording.id, recording.tenant_id, call.call_sid, call.created_at, recording.url, recording.state,"
    " recording.size, recording.available_by, recording.revoked_at "
    "from recording join call on call.id = recording.call_id"
)
_BY_NAME = text(f"select {_NAMED} where recording.name = :name")
_OF_TENANT = text(
    f"select {_NAMED} where recording.tenant_id = :tenant_id and recording.name is not null"
    " and (cast(:call_sid as text) is null or call.call_sid = :call_sid)"
    " and (cast(:before as bigint) is null or recording.id < :before)"
    " order by recording.id desc limit :limit"
)
_COUNT = text("select count(*) from recording where name is not null")
_REVOKE = text(
    "update recording set revoked_at = :now where revoked_at is null and call_id in"
    " (select id from call where tenant_id = :tenant_id and call_sid = :call_sid)"
)
_SEEN = text("update recording set state = :state, size = :size, checked_at = :now where id = :id")


def of_calls(connection: Connection, call_ids: Sequence[int]) -> dict[int, dict[str, RecordingRow]]:
    """Call id -> Exotel's link -> row, for calls with recordings."""
    found: dict[int, dict[str, RecordingRow]] = {}
    for call_id, url, name, key_id, available_by, is_revoked in connection.execute(_OF_CALLS, {"ids": call_ids}):
        row = RecordingRow(url, name, key_id or "", available_by, bool(is_revoked))
        found.setdefault(call_id, {})[url] = row
    return found


def recording_values(tenant_id: int, call_id: int, row: RecordingRow) -> dict[str, Any]:
    """A row for `WRITE_RECORDING`."""
    known = {"url": row.url, "name": row.name, "key_id": row.key_id, "available_by": row.available_by}
    return {"tenant_id": tenant_id, "call_id": call_id, **known}


def named(connection: Connection, name: str) -> Named | None:
    """The recording that a link names."""
    row = connection.execute(_BY_NAME, {"name": name}).one_or_none()
    return Named(*row) if row is not None else None


def recordings(
    connection: Connection, tenant_id: int, call_sid: str | None = None, *, before: int | None = None, limit: int = 50
) -> list[Named]:
    """A tenant's recordings that have links, newest first; of one call where it is named.

    `before`: id of the last one seen.
    """
    values = {"tenant_id": tenant_id, "call_sid": call_sid, "before": before, "limit": limit}
    return [Named(*row) for row in connection.execute(_OF_TENANT, values)]


def count_links(connection: Connection) -> int:
    """How many recordings have links."""
    return int(connection.execute(_COUNT).scalar_one())


def revoke_recordings(connection: Connection, rows: Sequence[tuple[int, str, float]]) -> list[int]:
    """Revokes the links of calls (tenant id, CallSid, now); how many were in force."""
    return [
        connection.execute(_REVOKE, {"tenant_id": tenant_id, "call_sid": call_sid, "now": now}).rowcount
        for tenant_id, call_sid, now in rows
    ]


def saw_recordings(connection: Connection, rows: Sequence[tuple[int, str, int | None, float]]) -> list[None]:
    """Keeps what was seen of files: (id, `ready` or `missing`, bytes, now)."""
    values = [{"id": id_, "state": state, "size": size, "now": now} for id_, state, size, now in rows]
    connection.execute(_SEEN, values)
    return [None] * len(rows)
