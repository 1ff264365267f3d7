"""What every request to the stand-in passes: token, scopes, limits; and the token endpoint (hubspot.md §2 and 13)."""

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from connector.kit.standin import Refused, answer

if TYPE_CHECKING:
    from standins.hubspot.state import Account

#: What the adapter asks for.
SCOPES: Final = frozenset(
    {
        "crm.objects.contacts.read",
        "crm.objects.contacts.write",
        "crm.objects.owners.read",
        "crm.objects.companies.read",
        "crm.objects.deals.read",
        "crm.schemas.contacts.read",
        "crm.schemas.contacts.write",
        "tickets",
    }
)
_LASTS_S: Final = 1800
_GRANT: Final = ("grant_type", "client_id", "client_secret", "refresh_token")


@dataclass(frozen=True)
class Limits:
    """Requests of a private app on a small plan: per ten seconds, per day; searches per second."""

    burst: int = 100
    daily: int = 250_000
    search: int = 5


def failed(status: int, category: str, message: str, **more: Any) -> Refused:
    """A refusal as HubSpot words it."""
    body = {"status": "error", "message": message, "correlationId": "5f1c8a1e-0000-4000-8000-000000000000"}
    return Refused(status, {**body, "category": category, **more})


def admit(account: "Account", request: web.Request, route: str) -> Mapping[str, str]:
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


def _scopes(account: "Account", header: str) -> frozenset[str]:
    scheme, _, token = header.partition(" ")
    if scheme != "Bearer" or not token:
        raise failed(401, "INVALID_AUTHENTICATION", "Authentication credentials not found.")
    if token in account.issued:
        if account.issued[token] <= account.clock():
            raise failed(401, "EXPIRED_AUTHENTICATION", "The OAuth token used to make this call expired.")
        return account.scopes
    if account.tokens is not None and token not in account.tokens:
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


def _spend(account: "Account", route: str) -> dict[str, str]:
    """Counts the request. An answer to a search carries no headers, nor is there a Retry-After (§13)."""
    limits, now = account.limits, account.clock()
    if limits is None:
        return {}
    searches = route.endswith("/search")
    name, most, per_s = ("search", limits.search, 1.0) if searches else ("burst", limits.burst, 10.0)
    window = account.window.setdefault(name, deque())
    while window and window[0] <= now - per_s:
        window.popleft()
    policy = "SECONDLY" if searches else "TEN_SECONDLY_ROLLING"
    if account.spent >= limits.daily:
        policy = "DAILY"
    elif len(window) < most:
        policy = ""
        window.append(now)
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


async def token(account: "Account", request: web.Request) -> web.Response:
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
    made = f"oauth-{len(account.issued) + 1}"
    account.issued[made] = account.clock() + _LASTS_S
    told = {"access_token": made, "refresh_token": account.refresh_token, "expires_in": _LASTS_S}
    return answer({**told, "token_type": "bearer"})


def _denied(status: str, error: str, words: str) -> web.Response:
    return answer({"status": status, "error": error, "error_description": words, "message": words}, 400)


async def read_json(request: web.Request, allowed: frozenset[str], required: frozenset[str]) -> dict[str, Any]:
    """A body with these keys. Raises `Refused`."""
    try:
        body = json.loads(await request.read())
    except ValueError:
        raise failed(400, "VALIDATION_ERROR", "Invalid input JSON on line 1, column 1") from None
    if not isinstance(body, dict):
        raise failed(400, "VALIDATION_ERROR", "Invalid input JSON: an object is expected")
    if body.keys() - allowed or required - body.keys():
        wrong = sorted((body.keys() - allowed) | (required - body.keys()))
        raise failed(400, "VALIDATION_ERROR", f"Invalid input JSON: unknown or missing: {', '.join(wrong)}")
    return body
