"""What every request to the stand-in passes: token, scopes, limits; and the token endpoint.

See docs/reference/hubspot.md §2 and §13.
"""

from collections.abc import Mapping
from typing import Final

from aiohttp import web
from standins.hubspot.limits import failed
from standins.hubspot.state import Account

from connector.kit.standin import Refused, answer

_LASTS_S: Final = 1800
_GRANT: Final = ("grant_type", "client_id", "client_secret", "refresh_token")


def admit(account: Account, request: web.Request, route: str) -> Mapping[str, str]:
    """Headers that tell of the limits. Raises `Refused`."""
    scopes = _scopes(account, request.headers.get("Authorization", ""))
    headers = _spend(account, route)
    needed = _needed(request.method, route, request.match_info.get("objects", ""), request.match_info.get("to", ""))
    missing = sorted(needed - scopes)
    if missing:
        error = {"message": "One or more of the following scopes are required.", "context": {"requiredScopes": missing}}
        words = "This app hasn't been granted all required scopes to make this call."
        raise failed(403, "MISSING_SCOPES", words, errors=[error])
    if request.body_exists and request.content_type != "application/json":
        raise failed(415, "VALIDATION_ERROR", "Unsupported Media Type")
    return headers


def _scopes(account: Account, header: str) -> frozenset[str]:
    scheme, _, token = header.partition(" ")
    if scheme != "Bearer" or not token:
        raise failed(401, "INVALID_AUTHENTICATION", "Authentication credentials not found.")
    if token in account.issued:
        if not account.issued.is_good(token):
            raise failed(401, "EXPIRED_AUTHENTICATION", "The OAuth token used to make this call expired.")
    elif account.tokens is not None and token not in account.tokens:
        raise failed(401, "INVALID_AUTHENTICATION", "The access token is invalid.")
    return account.scopes


def _needed(method: str, route: str, objects: str, to: str) -> set[str]:
    """Calls, notes and tasks are covered by the contacts' scopes (§2.3)."""
    changes = method in ("PATCH", "DELETE") or (method == "POST" and not route.endswith(("/search", "/batch/read")))
    if "/owners" in route:
        return {"crm.objects.owners.read"}
    if "/pipelines/" in route:
        return {"tickets"}
    if "/properties/" in route:
        return {"crm.schemas.contacts.write" if changes else "crm.schemas.contacts.read"}
    scopes = set()
    for one in filter(None, (objects, to)):
        if one == "tickets":
            scopes.add("tickets")
        elif one in ("companies", "deals"):
            scopes.add(f"crm.objects.{one}.read")
        else:
            scopes.add(f"crm.objects.contacts.{'write' if changes else 'read'}")
    return scopes


def _spend(account: Account, route: str) -> dict[str, str]:
    """Counts the request. An answer to a search carries no headers, nor is there a Retry-After (§13)."""
    limits, now = account.limits, account.clock()
    if limits is None:
        return {}
    searches = route.endswith("/search")
    name, most, per_s = ("search", limits.search, 1.0) if searches else ("burst", limits.burst, 10.0)
    window = account.windows[name]
    policy = "SECONDLY" if searches else "TEN_SECONDLY_ROLLING"
    if account.spent >= limits.daily:
        policy = "DAILY"
    elif window.has_room(now, per_s, most):
        policy = ""
        window.add(now)
        account.spent += 1
    if policy:
        words = {"message": f"You have reached your {policy.lower()} limit.", "errorType": "RATE_LIMIT"}
        raise Refused(429, {"status": "error", "correlationId": "c033", "policyName": policy, **words})
    if searches:
        return {}
    return {
        "X-HubSpot-RateLimit-Max": str(most),
        "X-HubSpot-RateLimit-Remaining": str(most - len(window)),
        "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
        "X-HubSpot-RateLimit-Daily": str(limits.daily),
        "X-HubSpot-RateLimit-Daily-Remaining": str(limits.daily - account.spent),
    }


async def token(account: Account, request: web.Request) -> web.Response:
    """`POST /oauth/v1/token`: all values in a form, nothing in the query (§2.1)."""
    form = dict(await request.post())
    if request.content_type != "application/x-www-form-urlencoded" or request.query or set(form) != set(_GRANT):
        return _denied("BAD_REQUEST", "invalid_request", "missing or unknown parameters")
    if form["grant_type"] != "refresh_token":
        return _denied("BAD_GRANT_TYPE", "unsupported_grant_type", "refresh_token is expected")
    if form["client_id"] != account.client_id or form["client_secret"] != account.client_secret:
        return _denied("BAD_CLIENT_ID", "invalid_client", "missing or unknown client")
    if form["refresh_token"] != account.refresh_token:
        return _denied("BAD_REFRESH_TOKEN", "invalid_grant", "missing or invalid refresh token")
    made = account.issued.give(f"oauth-{len(account.issued) + 1}", _LASTS_S)
    told = {"access_token": made, "refresh_token": account.refresh_token, "expires_in": _LASTS_S}
    return answer({**told, "token_type": "bearer"})


def _denied(status: str, error: str, words: str) -> web.Response:
    return answer({"status": status, "error": error, "error_description": words, "message": words}, 400)
