"""Legs of the stand-in of Exotel: active, finished, hang up, listen, whisper, barge (docs/reference/exotel.md §6.5)."""

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from connector.kit.exotel.account import ExotelAccount
from connector.kit.exotel.calls import SimCall, SimLeg, e164, national, stamp
from connector.kit.exotel.play import Player
from connector.kit.exotel.strict import Rules, form_of, is_sid, is_url, one_of, query_of, refused, taken, text_up_to

_MONITOR: Final[Rules] = {
    "Action": one_of("listen", "whisper", "barge"),
    "PhoneNumber": lambda value: value.startswith("0") and e164(value) is not None,
    "TargetLegSid": is_sid,
    "StatusCallback": is_url,
    "StatusCallbackEvents[]": one_of("terminal"),
    "CustomField": text_up_to(128),
    "StatusCallbackContentType": one_of("multipart/form-data", "application/json"),
}
_CHANGE: Final[Rules] = {"Action": one_of("hangup", "whisper", "barge"), "TargetLegSid": is_sid}
_UPGRADES: Final = frozenset({("listen", "whisper"), ("whisper", "barge"), ("listen", "barge")})


class Legs:
    """Handlers of legs."""

    def __init__(self, account: ExotelAccount, player: Player) -> None:
        self._account = account
        self._player = player

    async def active(self, request: web.Request) -> dict[str, Any]:
        """Legs on the line."""
        taken(query_of(request), {})
        return {"Legs": [self._shown(call, leg) for call in [self._running(request)] for leg in call.legs]}

    async def finished(self, request: web.Request) -> dict[str, Any]:
        """Legs of a call that is over."""
        taken(query_of(request), {})
        call = self._call(request)
        if call.over_at is None:
            raise refused(400, "Bad Request: Please check the callSID passed")
        first, second = call.from_number, call.to_number
        origins = ("inbound" if call.direction == "inbound" else "outbound", "outbound-dial")
        statuses = (call.leg1_status, call.leg2_status)
        rows = [
            {
                "Sid": f"{call.sid[:-2]}{place}g",
                "CallSid": call.sid,
                "AccountSid": self._account.sid,
                "PhoneNumber": national(number),
                "Status": status,
                "Origin": origin,
                "LastAction": "",
                "DateCreated": stamp(call.created_at),
                "DateUpdated": stamp(call.over_at),
                "OnCallDuration": call.talk_s,
                "BackupEcoPhone": national(call.exophone),
            }
            for place, (number, origin, status) in enumerate(zip((first, second), origins, statuses, strict=True))
            if status is not None
        ]
        return {"MetaData": {"Total": len(rows), "Count": len(rows)}, "legs": rows}

    async def monitor(self, request: web.Request) -> dict[str, Any]:
        """A supervisor's leg."""
        form = taken(await form_of(request), _MONITOR, needs=("Action", "PhoneNumber"))
        call = self._running(request)
        self._target(call, form)
        leg = SimLeg(
            self._account.new_sid(),
            e164(form["PhoneNumber"]) or "",
            "monitor",
            "in-progress",
            form["Action"],
            self._account.clock(),
            form.get("StatusCallback"),
            form.get("CustomField"),
        )
        call.legs.append(leg)
        return {"Leg": self._shown(call, leg)}

    async def change(self, request: web.Request) -> dict[str, Any]:
        """Hangs a leg up, or lets a supervisor do more."""
        form = taken(await form_of(request), _CHANGE, needs=("Action",))
        call = self._running(request)
        leg = next((leg for leg in call.legs if leg.sid == request.match_info["leg"]), None)
        if leg is None:
            raise refused(404, "Given legSID does not exist. Please check the legSID passed")
        if form["Action"] == "hangup":
            leg.last_action = "hangup"
            shown = self._shown(call, leg)
            self._player.end_leg(call, leg)
            return {"legs": shown}
        if (leg.last_action, form["Action"]) not in _UPGRADES:
            raise refused(400, "Invalid Parameter: Action")
        self._target(call, form)
        leg.last_action = form["Action"]
        return {"Leg": self._shown(call, leg)}

    def _target(self, call: SimCall, form: Mapping[str, str]) -> None:
        target = form.get("TargetLegSid")
        if (form["Action"] == "whisper" or target) and target not in {leg.sid for leg in call.legs}:
            raise refused(400, "Invalid Parameter: TargetLegSid is missing or invalid")

    def _call(self, request: web.Request) -> SimCall:
        call = self._account.call(request.match_info["call"])
        if not self._account.has_legs or call is None:
            raise refused(404, "Not Found")
        return call

    def _running(self, request: web.Request) -> SimCall:
        call = self._call(request)
        if call.over_at is not None:
            raise refused(404, "Given callSID is not in-progress")
        return call

    def _shown(self, call: SimCall, leg: SimLeg) -> dict[str, Any]:
        number = "EndUserNumber" if leg.origin == "monitor" else "PhoneNumber"
        return {
            "Sid": leg.sid,
            "CallSid": call.sid,
            "AccountSid": self._account.sid,
            number: national(leg.number),
            "Status": leg.status,
            "Origin": leg.origin,
            "LastAction": leg.last_action,
            "DateCreated": stamp(leg.created_at or call.created_at),
            "DateUpdated": stamp(self._account.clock()),
            "Uri": f"/v1/Accounts/{self._account.sid}/Calls/{call.sid}/ActiveLegs",
        }
