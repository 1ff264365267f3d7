"""Users, devices and numbers of the stand-in of Exotel (docs/reference/exotel.md §6.7)."""

import json
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from connector.kit.exotel.account import ExotelAccount
from connector.kit.exotel.calls import e164, national
from connector.kit.exotel.strict import (
    Rules,
    number_up_to,
    query_of,
    refused,
    taken,
    text_up_to,
)
from connector.kit.standin import Refused

_USERS: Final[Rules] = {
    "fields": lambda value: set(value.split(",")) <= {"devices", "active_call", "last_login"},
    "email": text_up_to(255),
    "devices.contact_uri": text_up_to(255),
    "offset": number_up_to(1_000_000, 0),
    "limit": number_up_to(50),
}
#: Phone numbers on a page of the newer list.
_PAGE: Final = 50


def _failed(request: web.Request, status: int, code: int, message: str) -> Refused:
    error = {"code": code, "message": message, "description": message}
    response = {"code": status, "status": "failure", "error_data": error, "data": None}
    return Refused(
        status, {"request_id": "standin", "method": request.method, "http_code": status, "response": response}
    )


class People:
    """Handlers of users and devices."""

    def __init__(self, account: ExotelAccount) -> None:
        self._account = account

    async def users(self, request: web.Request) -> dict[str, Any]:
        """A page of users."""
        query = taken(query_of(request), _USERS)
        found = [user for user in self._account.users if self._fits(user, query)]
        offset, limit = int(query.get("offset", "0")), int(query.get("limit", "20"))
        page = found[offset : offset + limit]
        fields = set(query.get("fields", "").split(","))
        rows = [self._row({k: v for k, v in user.items() if k in fields or k not in _OPTIONAL}) for user in page]
        about = {"total": len(found), "count": len(rows), "offset": offset, "limit": limit}
        return {"request_id": "standin", "method": "GET", "http_code": 200, "metadata": about, "response": rows}

    async def switch(self, request: web.Request) -> dict[str, Any]:
        """A device, on or off: one of a user at a time."""
        try:
            body = await request.json()
        except json.JSONDecodeError:
            body = None
        if not isinstance(body, dict) or set(body) != {"available"} or not isinstance(body["available"], bool):
            raise _failed(request, 400, 1001, "Bad or missing parameters in request")
        user = next((u for u in self._account.users if u["id"] == request.match_info["user"]), None)
        devices: list[dict[str, Any]] = user["devices"] if user else []
        device = next((d for d in devices if str(d["id"]) == request.match_info["device"]), None)
        if device is None:
            raise _failed(request, 404, 1000, "Not Found")
        if body["available"]:
            if not device["verified"]:
                raise _failed(request, 409, 10809, "Device is not verified")
            if any(other["available"] for other in devices if other is not device):
                raise _failed(request, 403, 10810, "Another device of this user is available")
        device["available"] = body["available"]
        return {"request_id": "standin", "method": "PUT", "http_code": 200, "response": self._row(device)}

    def _fits(self, user: Mapping[str, Any], query: Mapping[str, str]) -> bool:
        uris = query.get("devices.contact_uri", "").split(",")
        has_device = "devices.contact_uri" not in query or any(d["contact_uri"] in uris for d in user["devices"])
        return has_device and query.get("email", user.get("email")) == user.get("email")

    def _row(self, data: Mapping[str, Any]) -> dict[str, Any]:
        return {"code": 200, "status": "success", "error_data": None, "data": data}


_OPTIONAL: Final = frozenset({"devices", "active_call", "last_login"})


class Numbers:
    """Handlers of numbers."""

    def __init__(self, account: ExotelAccount) -> None:
        self._account = account

    async def newer(self, request: web.Request) -> dict[str, Any]:
        """ExoPhones, 50 on a page."""
        if not self._account.has_v2_beta:
            raise refused(404, "Not Found")
        page = int(taken(query_of(request), {"page": number_up_to(1000, 0)}).get("page", "0"))
        phones = list(self._account.exophones.items())[page * _PAGE : (page + 1) * _PAGE]
        rows = [
            {
                "sid": national(number),
                "phone_number": number,
                "friendly_name": national(number),
                "capabilities": {"voice": True, "sms": False},
                "country": "IN",
                "region": "KA",
                "voice_url": f"http://my.exotel.com/{self._account.sid}/exoml/start_voice/926",
                "sms_url": None,
            }
            for number, _name in phones
        ]
        return {"page": page, "page_size": _PAGE, "incoming_phone_numbers": rows}

    async def older(self, request: web.Request) -> dict[str, Any]:
        """ExoPhones in the v1 form."""
        taken(query_of(request), {})
        phones = self._account.exophones.items()
        rows = [{"IncomingPhoneNumber": {"PhoneNumber": national(n), "FriendlyName": name}} for n, name in phones]
        return {"IncomingPhoneNumbers": rows}

    async def about(self, request: web.Request) -> dict[str, Any]:
        """What is known of a number."""
        taken(query_of(request), {})
        number = e164(request.match_info["number"])
        if number is None or number.startswith("sip"):
            raise refused(400, "Invalid Parameter: number")
        return {
            "Numbers": {
                "PhoneNumber": national(number),
                "Circle": "KA",
                "CircleName": "Karnataka Telecom Circle",
                "Type": "Mobile",
                "Operator": "A",
                "OperatorName": "Airtel",
                "DND": "Yes" if number in self._account.dnd else "No",
            }
        }
