"""`/r/{token}`: a recording streamed from Exotel to whoever may hear it; the links to it stand in CRMs.

Nothing is kept on the way: a piece goes out before the next one is asked for. What may be heard by whom is the tenant's
setting `recordings`: anyone with the link for some days, or signed-in people alone, who may always.

Refusals are a page for browsers, JSON for others: `unknown` 404, `unauthorized` 401, `expired` and `revoked` 410,
`not_ready` 503 with Retry-After, `missing` 404, `exotel_unavailable` and `busy` 503 with Retry-After,
`exotel_refused`, `not_audio` and `elsewhere` 502.
"""

import asyncio
import contextlib
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import hdrs, web

from connector.errors import StoreBusy
from connector.exotel.recordings import Opened, RecordingTrouble, Why
from connector.pipeline.recordings.fetch import LATE_S
from connector.pipeline.recordings.links import file_name, name_in
from connector.store.queries import recordings
from connector.store.queries.recordings import Named
from connector.tenants.model import Tenant
from connector.web.answers import Refused, problem
from connector.web.auth import authenticate
from connector.web.keys import BOX, CLOCK, DATABASE, DIRECTORIES, PIPELINE
from connector.web.pages.page import new_nonce, page, page_headers

log = logging.getLogger(__name__)

#: Whether a request comes from somebody who is signed in to this tenant; a way of signing in is one of these.
SignedIn = Callable[[web.Request, Tenant], Awaitable[bool]]

_DAY_S: Final = 86_400.0
_LATER_S: Final = 60
#: Streams at once in one process; a stream is a socket on each side.
_STREAMS: Final = 100
#: A player that paused comes back with a range, so its connection need not be held longer.
_STALLED_S: Final = 120.0
#: A browser's own player for a bare file may load that file and style itself, nothing else. Where its origin is taken
#: from it as well (a plain `sandbox`), Chromium plays nothing.
_PLAYER_POLICY: Final = "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'; sandbox allow-same-origin"
_RANGE: Final = re.compile(r"bytes=(?:\d{1,15}-\d{0,15}|-\d{1,15})")

_page = page("recording.html")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a recording is not played, for people. `retry_s`: seconds after which it may be."""

    status: int
    code: str
    title: str
    words: str
    advice: str
    retry_s: int | None = None


_UNKNOWN: Final = Refusal(
    404,
    "unknown",
    "This link leads to no recording",
    "It is incomplete, or it is no longer in use.",
    "Open the call in your CRM again and follow the link there. If that does not help, ask your administrator.",
)
_SIGN_IN: Final = Refusal(
    401,
    "unauthorized",
    "Sign in to listen",
    "Recordings of this account are for signed-in people only.",
    "Ask your administrator for access. Programs send an API token of the account as Authorization: Bearer.",
)
_REVOKED: Final = Refusal(
    410,
    "revoked",
    "This link was withdrawn",
    "An administrator of the account has withdrawn the links to this recording.",
    "If you need to hear it, ask your administrator.",
)
_BUSY: Final = Refusal(
    503,
    "busy",
    "Too much is going on right now",
    "The recording cannot be played at this moment.",
    "Try again in a few seconds.",
    retry_s=5,
)
_MISSING: Final = Refusal(
    404,
    "missing",
    "Exotel has no recording of this call",
    "It was never made, or Exotel no longer keeps it.",
    "Recordings usually come within minutes of the call; this one will not come any more.",
)
_TROUBLES: Final[dict[Why, Refusal]] = {
    "unauthorized": Refusal(
        502,
        "exotel_refused",
        "Exotel does not give the recording out",
        "It refuses the API key that this account is set up with.",
        "Ask your administrator to check the account's API key and token.",
    ),
    "not_audio": Refusal(
        502,
        "not_audio",
        "This is no recording",
        "What came in its place is not audio, so it is not shown.",
        "Ask your administrator to look at the call in Exotel's dashboard.",
    ),
    "elsewhere": Refusal(
        502,
        "elsewhere",
        "The recording is not where it should be",
        "Exotel sends on to an address that nothing is fetched from.",
        "Ask your administrator to look at the connector's log.",
    ),
}


def _expired(days: int) -> Refusal:
    return Refusal(
        410,
        "expired",
        "This link has expired",
        f"Links to recordings work for {days} day{'' if days == 1 else 's'} after the call.",
        "If you still need to hear it, ask your administrator: signed-in people can open it at any time.",
    )


def _not_ready(wait_s: float) -> Refusal:
    return Refusal(
        503,
        "not_ready",
        "The recording is not ready yet",
        "Exotel makes it available a few minutes after the call.",
        "Try again in a minute.",
        retry_s=max(1, min(_LATER_S, round(wait_s))),
    )


def _unavailable(retry_after_s: float | None) -> Refusal:
    return Refusal(
        503,
        "exotel_unavailable",
        "Exotel does not answer",
        "The recording is kept at Exotel, which cannot be reached right now.",
        "Try again in a few minutes; the link stays good.",
        retry_s=max(1, min(3600, round(retry_after_s or _LATER_S))),
    )


class _Refused(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


async def with_api_token(request: web.Request, tenant: Tenant) -> bool:
    """Whether the request carries an API token that may read this tenant's calls."""
    try:
        asker = await authenticate(request)
    except Refused:
        return False
    return asker.may("read") and asker.is_for(tenant)


def add_recordings(app: web.Application, *, signed_in: Sequence[SignedIn] = (with_api_token,)) -> None:
    """Adds the route, GET and HEAD. `signed_in`: the ways of signing in; one of them is enough."""
    app.router.add_get("/r/{token}", _Recordings(signed_in).answer)


class _Recordings:
    def __init__(self, signed_in: Sequence[SignedIn]) -> None:
        self._signed_in = signed_in
        self._streams = asyncio.Semaphore(_STREAMS)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The recording, or why not."""
        try:
            tenant, recording = await self._admitted(request)
            if self._streams.locked():
                raise _Refused(_BUSY)
            async with self._streams:
                return await self._played(request, tenant, recording)
        except _Refused as refused:
            return _answer(request, refused.refusal)
        except StoreBusy:
            return _answer(request, _BUSY)

    async def _admitted(self, request: web.Request) -> tuple[Tenant, Named]:
        """Whose recording the link names, where this request may hear it. Raises `_Refused`."""
        name = name_in(request.match_info["token"], request.app[BOX])
        recording = await request.app[DATABASE].read(recordings.named, name) if name is not None else None
        tenant = request.app[DIRECTORIES].current.tenants_by_id.get(recording.tenant_id) if recording else None
        if recording is None or tenant is None:
            raise _Refused(_UNKNOWN)
        if not await self._is_signed_in(request, tenant):
            if tenant.recordings.open_to == "signed_in":
                raise _Refused(_SIGN_IN)
            if request.app[CLOCK].now() >= recording.call_created_at + tenant.recordings.days * _DAY_S:
                raise _Refused(_expired(tenant.recordings.days))
        if recording.revoked_at is not None:
            raise _Refused(_REVOKED)
        return tenant, recording

    async def _is_signed_in(self, request: web.Request, tenant: Tenant) -> bool:
        for way in self._signed_in:
            if await way(request, tenant):
                return True
        return False

    async def _played(self, request: web.Request, tenant: Tenant, recording: Named) -> web.StreamResponse:
        sent: dict[str, str] = {}
        wanted = request.headers.get(hdrs.RANGE, "")
        if _RANGE.fullmatch(wanted):
            sent[hdrs.RANGE] = wanted
            if hdrs.IF_RANGE in request.headers:
                sent[hdrs.IF_RANGE] = request.headers[hdrs.IF_RANGE][:256]
        try:
            recordings = request.app[PIPELINE].recordings
            async with recordings.opened(tenant, recording.call_sid, recording.url, sent) as found:
                _said("recording opened", tenant, recording, found.status)
                if recording.state != "ready" and found.status == 200:
                    await self._saw(request, recording, "ready", found.size)
                return await _stream(request, found, file_name(recording.call_sid, recording.url))
        except RecordingTrouble as trouble:
            refusal = await self._trouble(request, recording, trouble)
            _said("recording not opened", tenant, recording, refusal.status, refusal.code)
            raise _Refused(refusal) from None

    async def _trouble(self, request: web.Request, recording: Named, trouble: RecordingTrouble) -> Refusal:
        if trouble.why == "unavailable":
            return _unavailable(trouble.retry_after_s)
        if trouble.why != "absent":
            return _TROUBLES[trouble.why]
        left_s = (recording.available_by or recording.call_created_at) + LATE_S - request.app[CLOCK].now()
        if left_s > 0 and recording.state == "unknown":
            return _not_ready(left_s)
        if recording.state != "missing":
            await self._saw(request, recording, "missing", recording.size)
        return _MISSING

    async def _saw(self, request: web.Request, recording: Named, state: str, size: int | None) -> None:
        row = (recording.id, state, size, request.app[CLOCK].now())
        with contextlib.suppress(StoreBusy):  # the next listener will see it too
            await request.app[DATABASE].write(recordings.saw_recordings, row)


async def _stream(request: web.Request, found: Opened, name: str) -> web.StreamResponse:
    response = web.StreamResponse(
        status=found.status,
        headers={
            **found.headers,
            "Cache-Control": "private, no-store",
            "Content-Disposition": f'inline; filename="{name}"',
            "Content-Security-Policy": _PLAYER_POLICY,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "X-Robots-Tag": "noindex",
        },
    )
    if found.status == 416:
        response.content_length = 0
        await response.prepare(request)
        return response
    response.content_type = found.mime
    response.content_length = found.size
    await response.prepare(request)
    if request.method == hdrs.METH_HEAD:
        return response
    try:
        async for piece in found.pieces():
            async with asyncio.timeout(_STALLED_S):
                await response.write(piece)
    except (RecordingTrouble, TimeoutError, ConnectionError) as error:
        # Half a file must not look like a whole one; a listener who is gone notices nothing.
        log.info("recording broken off", extra={"reason": type(error).__name__})
        if request.transport is not None:
            request.transport.abort()
    return response


def _answer(request: web.Request, refusal: Refusal) -> web.Response:
    headers = {"X-Robots-Tag": "noindex"}
    if refusal.retry_s is not None:
        headers["Retry-After"] = str(refusal.retry_s)
    if refusal.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="connector"'
    if "text/html" not in request.headers.get(hdrs.ACCEPT, ""):
        return problem(refusal.status, refusal.code, f"{refusal.title}. {refusal.words}", headers=headers)
    nonce = new_nonce()
    headers |= page_headers(nonce)
    html = _page.render(refusal=refusal, nonce=nonce)
    return web.Response(status=refusal.status, text=html, content_type="text/html", headers=headers)


def _said(message: str, tenant: Tenant, recording: Named, status: int, code: str | None = None) -> None:
    known = {"tenant": tenant.sid, "call_sid": recording.call_sid, "status": status, "code": code}
    log.info(message, extra=known)
