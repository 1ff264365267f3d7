"""Recordings that have links: listed, and their links withdrawn."""

import functools
from dataclasses import dataclass

from connector.acts.asker import Asker, act, the_tenant
from connector.acts.office import Office
from connector.errors import Declined
from connector.store.queries import recordings, revocations

_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class ListRecordings:
    """Whose recordings; `before`: id of the last one seen."""

    tenant: str | None
    before: int | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class RevokeRecording:
    """The call whose links are withdrawn."""

    tenant: str | None
    call_sid: str


@dataclass(frozen=True, slots=True)
class KnownRecording:
    """A recording with links. Times are Unix seconds; `open_until` None: links are for signed-in people alone."""

    id: int
    call_sid: str
    call_at: float
    state: str
    bytes: int | None
    open_until: float | None
    withdrawn_at: float | None


@act("read")
async def list_recordings(office: Office, asker: Asker, wish: ListRecordings) -> list[KnownRecording]:
    """Recordings that have links, newest first."""
    tenant = await the_tenant(office, asker, wish.tenant)
    query = functools.partial(recordings.recordings, before=wish.before, limit=wish.limit)
    open_s = tenant.recordings.days * _DAY_S if tenant.recordings.open_to == "anyone_with_link" else None
    return [
        KnownRecording(
            id=row.id,
            call_sid=row.call_sid,
            call_at=row.call_created_at,
            state=row.state,
            bytes=row.size,
            open_until=row.call_created_at + open_s if open_s is not None else None,
            withdrawn_at=row.revoked_at,
        )
        for row in await office.db.read(query, tenant.id)
    ]


@act("replay")
async def revoke_recording(office: Office, asker: Asker, wish: RevokeRecording) -> int:
    """Withdraws the links to a call's recordings, for good; how many were in force. Like all that changes records, it
    needs the scope `replay`."""
    tenant = await the_tenant(office, asker, wish.tenant)
    if not await office.db.read(recordings.recordings, tenant.id, wish.call_sid):
        raise Declined("not_found", f"{tenant.sid} has no recording of a call {wish.call_sid!r}.", "call_sid")
    row = (tenant.id, wish.call_sid, asker.name, office.clock.now())
    return await office.db.write(revocations.revoke, row)
