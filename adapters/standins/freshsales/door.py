"""What every request to the stand-in passes: key, rights, limit, content type.

See docs/reference/freshsales.md §1, §2 and §9.
"""

from collections.abc import Mapping

from aiohttp import web
from standins.freshsales.state import Account, refusal

from connector.kit.standin import Refused

_HOUR_S = 3600


def admit(account: Account, request: web.Request, route: str) -> Mapping[str, str]:
    """No headers: none is documented. Raises `Refused`."""
    if not account.exists:
        raise account.not_found()
    scheme, _, key = request.headers.get("Authorization", "").partition("=")
    rights = None
    if scheme == "Token token" and key:
        rights = "admin" if account.keys is None else account.keys.get(key)
    if rights is None:
        raise Refused(401, {"login": "failed", "message": "Invalid credentials"})
    if rights == "none" or (rights == "restricted" and route.startswith(("/selector/owners", "/settings/"))):
        raise refusal(403, "You are not authorised to perform this operation.")
    used = account.windows.count(account.clock(), _HOUR_S)
    if account.limit is not None and used > account.limit:
        raise Refused(429)  # no header and no body is documented
    kinds = ("application/json", *(("multipart/form-data",) if route == "/phone_calls" else ()))
    if request.body_exists and request.content_type not in kinds:
        raise refusal(400, "Content-Type is not supported")
    return {}
