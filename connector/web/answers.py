"""What every JSON route answers alike: the error body, the headers, and nothing of a stack trace."""

import json
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final

from aiohttp import web

from connector.errors import Declined, IngressError, StoreBusy

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: An API's answer is for the program that asked, now.
API_HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
#: Seconds after which a request that found the store busy may try again.
BUSY_RETRY_S: Final = 2

_STATUS: Final[Mapping[str, int]] = {
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "unknown_applet": 404,
    "method_not_allowed": 405,
    "agent_not_allowed": 403,
    "unknown_device": 404,
    "outside_hours": 409,
    "no_public_url": 409,
    "refused": 422,
    "exotel_credentials": 422,
    "crm_credentials": 422,
    "idempotency_key_reused": 422,
    "rate_limited": 429,
    "exotel_unavailable": 503,
    "crm_unavailable": 503,
    "pruned": 410,
    "too_large": 413,
    "too_many_failures": 429,
}


class Refused(IngressError):
    """A request is not served, with what its answer says besides the error body."""

    def __init__(
        self,
        code: str,
        message: str,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        status: int | None = None,
    ) -> None:
        """`status`: where it does not follow from the code."""
        super().__init__(code, message, field)
        self.headers = headers
        self.status = status


def refusal(error: IngressError) -> web.Response:
    """The answer to a request that is not served; its status follows from the code, 400 where nothing else fits."""
    headers, status = (error.headers, error.status) if isinstance(error, Refused) else (None, None)
    return problem(status or _STATUS.get(error.code, 400), error.code, error.message, error.field, headers)


def declined(error: Declined, now: float) -> web.Response:
    """The answer to what is not done; where time alone mends it, with when to ask again."""
    headers = None
    if error.retry_at is not None:
        headers = {"Retry-After": str(max(1, math.ceil(error.retry_at - now)))}
    return problem(_STATUS.get(error.code, 400), error.code, error.message, error.field, headers)


def busy(error: StoreBusy) -> web.Response:
    """503: the store cannot take it now, and nothing was kept."""
    return problem(503, "busy", error.message, headers={"Retry-After": str(BUSY_RETRY_S)})


def problem(
    status: int, code: str, message: str, field: str | None = None, headers: Mapping[str, str] | None = None
) -> web.Response:
    """An error body: `{"error": {"code", "message", "field"}}`."""
    text = json.dumps({"error": {"code": code, "message": message, "field": field}}, ensure_ascii=False)
    return web.Response(
        status=status, text=text, content_type="application/json", headers={**API_HEADERS, **(headers or {})}
    )


@web.middleware
async def json_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Unknown paths, wrong methods and our own mistakes as JSON, like every other refusal."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _http_problem(error)
    except Exception:
        # The route's pattern, not its URL: a URL may carry a hook token.
        resource = request.match_info.route.resource
        log.exception("request failed", extra={"route": resource.canonical if resource else None, "status": 500})
        return problem(500, "internal", "The connector made a mistake; its log has the details.")


def _http_problem(error: web.HTTPException) -> web.Response:
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
    code = HTTPStatus(error.status).phrase.lower().replace(" ", "_")
    words = {404: "There is nothing at this address.", 405: "This address does not take this method."}
    return problem(error.status, code, words.get(error.status, error.reason), headers=headers)
