"""What every request to the stand-in passes: counts, limits, credentials, content type (reference, 1, 6 and 7)."""

import base64
import binascii
import json
import math
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from adapters.freshdesk.standin.state import Account, Rights

_BUCKETS = {
    ("POST", "/tickets"): "ticket_create",
    ("PUT", "/tickets/{id}"): "ticket_update",
    ("GET", "/tickets"): "list",
    ("GET", "/contacts"): "contact_list",
}


class Refused(Exception):
    """A request that is not done; the answer says why."""

    def __init__(self, status: int, body: Any = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        self.status, self.body, self.headers = status, body, headers or {}


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """`body` as a JSON answer."""
    data = json.dumps(body, ensure_ascii=False).encode()
    return web.Response(status=status, body=data, headers=headers, content_type="application/json", charset="utf-8")


class Guard:
    """One account's door."""

    def __init__(self, account: Account) -> None:
        self.account = account
        #: bucket -> (minute, requests in it)
        self._window: dict[str, tuple[int, int]] = {}

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Credentials, content type, limits, counts; a refusal becomes its answer."""
        if not request.path.startswith("/api/"):
            return await handler(request)
        resource = request.match_info.route.resource
        route = resource.canonical.removeprefix("/api/v2") if resource else "unknown"
        self.account.requests[f"{request.method} {route}"] += 1
        headers: dict[str, str] = {}
        try:
            if not self.account.exists:
                raise Refused(404)
            headers = self._spend(request.method, route)
            self._authorise(request, route)
            response = await handler(request)
        except Refused as refused:
            response = answer(refused.body, refused.status) if refused.body else web.Response(status=refused.status)
            headers.update(refused.headers)
        except web.HTTPException as error:  # no such path or method: an empty body
            response = web.Response(status=error.status)
        self.account.answers[response.status] += 1
        response.headers.update(headers)
        return response

    def _authorise(self, request: web.Request, route: str) -> None:
        rights = self._rights(request.headers.get("Authorization", ""))
        if rights is None:
            words = "You have to be logged in to perform this action."
            raise Refused(401, {"code": "invalid_credentials", "message": words})
        if rights == "none" or (rights == "restricted" and route in ("/agents", "/ticket_fields")):
            words = "You are not authorized to perform this action."
            raise Refused(403, {"code": "access_denied", "message": words})
        kinds = ("application/json", "multipart/form-data")
        if request.body_exists and request.content_type not in kinds:
            raise Refused(
                415, {"code": "invalid_content_type", "message": "Content-Type header is set to a wrong value"}
            )

    def _rights(self, header: str) -> Rights | None:
        scheme, _, credentials = header.partition(" ")
        try:
            key = base64.b64decode(credentials, validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            return None
        if scheme != "Basic" or not key:
            return None
        return "admin" if self.account.keys is None else self.account.keys.get(key)

    def _spend(self, method: str, route: str) -> dict[str, str]:
        limits = self.account.limits
        if limits is None:
            return {"X-RateLimit-Total": "100000", "X-RateLimit-Remaining": "99999"}
        now = self.account.clock()
        minute = int(now // 60)
        left = limits.all
        for bucket in ("all", _BUCKETS.get((method, route))):
            if bucket is None:
                continue
            most: int = getattr(limits, bucket)
            begun, used = self._window.get(bucket, (minute, 0))
            used = used + 1 if begun == minute else 1
            self._window[bucket] = minute, used
            left = max(0, most - used) if bucket == "all" else left
            if used > most:
                words = {"message": "You have exceeded the limit of requests per minute"}
                wait = {"Retry-After": str(math.ceil((minute + 1) * 60 - now))}
                raise Refused(429, words, {"X-RateLimit-Total": str(limits.all), "X-RateLimit-Remaining": "0", **wait})
        return {
            "X-RateLimit-Total": str(limits.all),
            "X-RateLimit-Remaining": str(left),
            "X-RateLimit-Used-CurrentRequest": "1",
        }
