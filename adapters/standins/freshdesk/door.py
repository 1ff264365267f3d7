"""What every request to the stand-in passes: limits, credentials, content type.

See docs/reference/freshdesk.md §1, §6 and §7.
"""

import base64
import binascii
import math
from collections.abc import Mapping

from aiohttp import web
from standins.freshdesk.limits import Rights
from standins.freshdesk.state import Account

from connector.kit.standin import Refused

_BUCKETS = {
    ("POST", "/tickets"): "ticket_create",
    ("PUT", "/tickets/{id}"): "ticket_update",
    ("GET", "/tickets"): "list",
    ("GET", "/contacts"): "contact_list",
}


def admit(account: Account, request: web.Request, route: str) -> Mapping[str, str]:
    """Headers that tell of the limits. Raises `Refused`."""
    if not account.exists:
        raise Refused(404)
    headers = _spend(account, request.method, route)
    _authorise(account, request, route, headers)
    return headers


def _authorise(account: Account, request: web.Request, route: str, headers: Mapping[str, str]) -> None:
    rights = _rights(account, request.headers.get("Authorization", ""))
    if rights is None:
        words = "You have to be logged in to perform this action."
        raise Refused(401, {"code": "invalid_credentials", "message": words}, headers)
    if rights == "none" or (rights == "restricted" and route in ("/agents", "/ticket_fields")):
        words = "You are not authorized to perform this action."
        raise Refused(403, {"code": "access_denied", "message": words}, headers)
    kinds = ("application/json", "multipart/form-data")
    if request.body_exists and request.content_type not in kinds:
        words = "Content-Type header is set to a wrong value"
        raise Refused(415, {"code": "invalid_content_type", "message": words}, headers)


def _rights(account: Account, header: str) -> Rights | None:
    scheme, _, credentials = header.partition(" ")
    try:
        key = base64.b64decode(credentials, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return None
    if scheme != "Basic" or not key:
        return None
    return "admin" if account.keys is None else account.keys.get(key)


def _spend(account: Account, method: str, route: str) -> dict[str, str]:
    limits = account.limits
    if limits is None:
        return {"X-RateLimit-Total": "100000", "X-RateLimit-Remaining": "99999"}
    now = account.clock()
    left = limits.all
    for bucket in ("all", _BUCKETS.get((method, route))):
        if bucket is None:
            continue
        most: int = getattr(limits, bucket)
        used = account.windows.count(now, 60, bucket)
        left = max(0, most - used) if bucket == "all" else left
        if used > most:
            words = {"message": "You have exceeded the limit of requests per minute"}
            wait = {"Retry-After": str(math.ceil((now // 60 + 1) * 60 - now))}
            raise Refused(429, words, {"X-RateLimit-Total": str(limits.all), "X-RateLimit-Remaining": "0", **wait})
    return {
        "X-RateLimit-Total": str(limits.all),
        "X-RateLimit-Remaining": str(left),
        "X-RateLimit-Used-CurrentRequest": "1",
    }
