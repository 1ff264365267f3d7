"""Links to recordings withdrawn, and who did it: one act, from the API and from the command line."""

from collections.abc import Sequence

from sqlalchemy import Connection

from connector.store.queries import recordings, trail


def revoke(connection: Connection, rows: Sequence[tuple[int, str, str, float]]) -> list[int]:
    """Withdraws the links of calls: (tenant id, CallSid, who, now). How many of each were in force."""
    counts = recordings.revoke_recordings(connection, [(tenant_id, sid, now) for tenant_id, sid, _, now in rows])
    for (tenant_id, call_sid, who, _), count in zip(rows, counts, strict=True):
        if count:
            trail.record(connection, who, "recordings.revoke", tenant_id, {"call_sid": call_sid, "revoked": count})
    return counts
