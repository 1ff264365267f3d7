"""What every request to the stand-in passes: token, organisation, scopes, credits; the token endpoint.

See docs/reference/zoho_desk.md §2, §3, §8.
"""

import secrets
from collections.abc import Mapping

from aiohttp import web
from standins.zoho_desk.rules import refusal
from standins.zoho_desk.state import MODULES, OPERATIONS, Account

from connector.kit.standin import answer

_TEN_MINUTES_S = 600.0


def admit(account: Account, request: web.Request, route: str) -> Mapping[str, str]:
    """Headers that tell of the credits. Raises `Refused`."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Zoho-oauthtoken" or not account.tokens.is_good(token):
        raise refusal(401, "INVALID_OAUTH", "The OAuth Token you provided is invalid.")
    if route != "/organizations" and request.headers.get("orgId") != account.org_id:
        raise refusal(403, "OAUTH_ORG_MISMATCH", "The organization id does not belong to this token.")
    if not scopes_of(request.method, route) <= account.scopes:
        raise refusal(403, "SCOPE_MISMATCH", "The token does not have the scope that this needs.")
    if not account.has_calls and "/calls" in route:
        raise refusal(403, "LICENSE_ACCESS_LIMITED", "Your edition does not include this feature.")
    wanted = "multipart/form-data" if route.endswith("/attachments") else "application/json"
    if request.body_exists and request.content_type != wanted:
        raise refusal(415, "UNSUPPORTED_MEDIA_TYPE", "The content type is not supported.")
    return _spend(account, 3 if route in ("/tickets", "/calls", "/agents") and request.method == "GET" else 1)


def scopes_of(method: str, route: str) -> set[str]:
    """What a token must be allowed for a request."""
    parts = route.strip("/").split("/")
    if parts[0] not in MODULES:
        return {"Desk.settings.READ" if parts[0] == "organizationFields" else "Desk.basic.READ"}
    if parts[-1] in ("comments", "attachments") and method == "POST":
        return {"Desk.tickets.UPDATE"}
    needed = {f"Desk.{parts[0]}.{OPERATIONS.get(method, 'DELETE')}"}
    return needed | {"Desk.search.READ"} if parts[-1] == "search" else needed


def _spend(account: Account, weight: int) -> Mapping[str, str]:
    left = 74_000
    if account.credits is not None:
        if account.credits < weight:
            headers = {"X-Rate-Limit-Remaining-v3": "0", "Retry-After": "3600"}
            raise refusal(429, "THRESHOLD_EXCEEDED", "The API credits of the day are used up.", headers)
        left = account.credits = account.credits - weight
    return {"X-Rate-Limit-Request-Weight-v3": str(weight), "X-Rate-Limit-Remaining-v3": str(left)}


async def token(account: Account, request: web.Request) -> web.Response:
    """`POST /oauth/v2/token`. A query string works as well, and lands in logs: here it is refused (§2.3)."""
    if request.query_string or request.content_type != "application/x-www-form-urlencoded":
        return answer({"error": "invalid_request"}, 400)
    given, now = await request.post(), account.clock()
    if (given.get("client_id"), given.get("client_secret")) != (account.client_id, account.client_secret):
        return answer({"error": "invalid_client"})
    if given.get("grant_type") != "refresh_token":
        return answer({"error": "unsupported_grant_type"})
    if given.get("refresh_token") != account.refresh_token:
        return answer({"error": "invalid_code"})
    if not account.made.has_room(now, _TEN_MINUTES_S, account.token_limit):
        words = "You have made too many requests continuously. Please try again after some time."
        return answer({"error_description": words, "error": "Access Denied", "status": "failure"})
    account.made.add(now)
    told = {
        "access_token": account.tokens.give(f"1000.{secrets.token_hex(16)}", account.token_life_s),
        "api_domain": "https://www.zohoapis.in",
        "token_type": "Bearer",
        "expires_in": account.token_life_s,
    }
    return answer(told)
