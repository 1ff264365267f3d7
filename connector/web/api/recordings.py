"""RecordingList: listed, and their links withdrawn."""

from aiohttp import web
from pydantic import Field

from connector.acts import recordings as acts
from connector.acts.asker import Asker
from connector.web.api.asking import new_cursor, read_cursor
from connector.web.api.shapes import Asked, PageAsked, Shown, Sid, Utc
from connector.web.keys import OFFICE


class RecordingsAsked(PageAsked):
    """Whose recordings."""

    tenant: Sid | None = Field(default=None, description="Account SID; needed with an operator's token.")


class RecordingAsked(Asked):
    """Whose recording."""

    tenant: Sid | None = Field(default=None, description="Account SID; needed with an operator's token.")


class RecordingOut(Shown):
    """A recording that has links. `open_until`: until when anyone with a link may listen; null: signed-in people alone.

    `state`: `ready`, `missing`, or `unknown` while nobody has listened to it.
    """

    call_sid: str
    call_at: Utc
    state: str
    bytes: int | None
    open_until: Utc | None
    withdrawn_at: Utc | None


class RecordingList(Shown):
    """A page of recordings, newest first."""

    recordings: list[RecordingOut]
    next_cursor: str | None


class RecordingRevoked(Shown):
    """What was withdrawn: how many links were in force until now."""

    call_sid: str
    revoked: int


async def list_recordings(request: web.Request, asker: Asker, asked: RecordingsAsked) -> RecordingList:
    """RecordingList that have links, newest first."""
    before = read_cursor(asked.cursor, int)
    wish = acts.ListRecordings(asked.tenant, before[0] if before else None, asked.limit)
    found = await acts.list_recordings(request.app[OFFICE], asker, wish)
    return RecordingList(
        recordings=[RecordingOut.model_validate(one) for one in found],
        next_cursor=new_cursor(found[-1].id) if len(found) == asked.limit else None,
    )


async def revoke_recording(request: web.Request, asker: Asker, asked: RecordingAsked) -> RecordingRevoked:
    """Withdraws the links to a call's recordings, for good; needs the scope `replay`, like all that changes records."""
    wish = acts.RevokeRecording(asked.tenant, request.match_info["call_sid"])
    revoked = await acts.revoke_recording(request.app[OFFICE], asker, wish)
    return RecordingRevoked(call_sid=wish.call_sid, revoked=revoked)
