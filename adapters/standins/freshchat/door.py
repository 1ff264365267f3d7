"""What every request to the stand-in passes: limits, token, scopes, content type.

See docs/reference/freshchat.md §1 and §7.
"""

from collections.abc import Mapping

from aiohttp import web
from standins.freshchat.rules import invalid, refusal
from standins.freshchat.state import ALL_SCOPES, Account

_SCOPES = {
    ("GET", "/accounts/configuration"): "account:read",
    ("GET", "/agents"): "agent:read",
    ("GET", "/channels"): "channel:read",
    ("GET", "/users"): "user:read",
    ("POST", "/users"): "user:create",
    ("GET", "/users/{id}"): "user:read",
    ("GET", "/users/{id}/conversations"): "conversation:read",
    ("POST", "/conversations"): "conversation:create",
    ("GET", "/conversations/{id}"): "conversation:read",
    ("PUT", "/conversations/{id}"): "conversation:update",
    ("GET", "/conversations/{id}/messages"): "message:get",
    ("POST", "/conversations/{id}/messages"): "message:create",
}


def admit(account: Account, request: web.Request, route: str) -> Mapping[str, str]:
    """Headers that tell of the limits. Raises `Refused`."""
    if not account.exists:
        raise account.not_found()
    used = account.windows.count(account.clock(), 60)
    if account.per_minute is not None and used > account.per_minute:
        raise refusal(429, "TOO_MANY_REQUESTS", "Too many requests")
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    scopes = ALL_SCOPES if account.tokens is None else account.tokens.get(token)
    if scheme != "Bearer" or not token or scopes is None:
        raise refusal(401, "UNAUTHENTICATED", "The token is not valid or has expired")
    if _SCOPES.get((request.method, route), "") not in ("", *scopes):
        raise refusal(403, "FORBIDDEN", "The token lacks a scope")
    if request.body_exists and request.content_type != "application/json":
        raise invalid("Content-Type is not application/json")
    # Nothing is documented (§8): an account with a limit keeps it to itself.
    limits = {"X-RateLimit-Total": "100000", "X-RateLimit-Remaining": "99999"} if account.per_minute is None else {}
    return {"X-Trace-ID": f"00-{account.requests.total():032x}", **limits}
