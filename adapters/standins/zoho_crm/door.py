"""What every request to the stand-in passes: token, scopes, credits; and the token endpoint.

See docs/reference/zoho_desk.md §2.
"""

from collections.abc import Mapping

from aiohttp import web
from standins.zoho_crm.state import TOKEN_LIFE_S, Account, refusal

from connector.kit.standin import answer

#: Scope that a route needs, by its beginning (docs/reference/zoho_crm.md §2).
_SCOPES = {
    "/org": "ZohoCRM.org.READ",
    "/users": "ZohoCRM.users.READ",
    "/settings/fields": "ZohoCRM.settings.fields.READ",
}
_GRANT = {"grant_type", "client_id", "client_secret", "refresh_token"}


def admit(account: Account, request: web.Request, route: str) -> Mapping[str, str]:
    """Headers that tell of the credits. Raises `Refused`."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Zoho-oauthtoken" or not account.tokens.is_good(token):
        raise refusal(401, "INVALID_TOKEN", "invalid oauth token")
    scope = next((scope for begin, scope in _SCOPES.items() if route.startswith(begin)), "ZohoCRM.modules.ALL")
    if route.endswith("/Attachments"):
        scope = "ZohoCRM.modules.attachments.ALL"
    if request.method == "POST" and scope == "ZohoCRM.settings.fields.READ":
        scope = "ZohoCRM.settings.fields.CREATE"
    if scope in account.missing_scopes:
        raise refusal(401, "OAUTH_SCOPE_MISMATCH", "invalid oauth scope to access this URL")
    wanted = "multipart/form-data" if route.endswith("/Attachments") else "application/json"
    if request.method in ("POST", "PUT") and request.content_type != wanted:
        raise refusal(415, "INVALID_DATA", f"a body of {wanted} is expected")
    if account.credits is None:
        return {}
    account.used += 1
    left = account.credits - account.used
    if left < 0:
        raise refusal(429, "LIMIT_EXCEEDED", "the credits of the day are used up")
    return {"X-API-CREDITS-REMAINING": str(left)} if left < account.credits / 2 else {}


async def token(account: Account, request: web.Request) -> web.Response:
    """`POST /oauth/v2/token`: errors come with 200, as the real ones do (§2.3)."""
    form = await request.post()
    if request.query or set(form) - {"scope"} != _GRANT or form["grant_type"] != "refresh_token":
        return answer({"error": "invalid_client"})
    made = account.log_in(str(form["refresh_token"]))
    if made is None:
        return answer({"error": "invalid_code"})
    told = {"access_token": made, "api_domain": str(request.url.origin())}
    return answer({**told, "token_type": "Bearer", "expires_in": TOKEN_LIFE_S})
