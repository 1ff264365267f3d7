"""Legs of a call: who is on the line, hang up, listen, whisper, barge (docs/reference/exotel.md §6.5)."""

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote

from connector.errors import CrmUnavailable, ExotelRefused, NotFound, OutcomeUnknown
from connector.exotel.api.answers import object_of, rows_of
from connector.exotel.api.http import ExotelHttp, Urgency
from connector.exotel.api.parsing import parse_leg
from connector.exotel.api.records import LegRecord

MonitorAction = Literal["listen", "whisper", "barge"]


class Legs:
    """Must be enabled by Exotel per account; where it is not, Exotel refuses (`ExotelRefused`, `NotFound`)."""

    def __init__(self, http: ExotelHttp, urgency: Urgency) -> None:
        self._http = http
        self._urgency: Urgency = urgency

    async def active(self, call_sid: str) -> list[LegRecord]:
        """Legs of a call that runs; empty where it does not (Exotel's 404 "not in-progress")."""
        try:
            answer = await self._http.read(f"{self._http.call_path(call_sid)}/ActiveLegs.json", urgency=self._urgency)
        except (NotFound, ExotelRefused) as error:
            if isinstance(error, ExotelRefused) and error.why != "not_running":
                raise
            return []
        return self._legs(answer)

    async def finished(self, call_sid: str) -> list[LegRecord]:
        """Every leg of a call that is over. Raises `NotFound`, `ExotelRefused`."""
        return self._legs(await self._http.read(f"{self._http.call_path(call_sid)}/Legs.json", urgency=self._urgency))

    async def hang_up(self, call_sid: str, leg_sid: str) -> LegRecord:
        """Ends one leg, and with it the call between two. `NotFound`, `ExotelRefused` (`not_running`): it has ended."""
        return await self._change("PUT", self._leg(call_sid, leg_sid), {"Action": "hangup"})

    async def monitor(
        self,
        call_sid: str,
        action: MonitorAction,
        number: str,
        *,
        target_leg_sid: str | None = None,
        status_callback: str | None = None,
        custom_field: str | None = None,
    ) -> LegRecord:
        """Rings a supervisor, who then listens, whispers to `target_leg_sid` (needed for that), or joins.

        `number`: national with its trunk zero, as this endpoint wants it. `OutcomeUnknown`: the supervisor may be rung;
        ask `active`. Raises `ValueError` for a whisper to nobody.
        """
        form = {"Action": action, "PhoneNumber": number, **_target(action, target_leg_sid)}
        if status_callback is not None:
            form |= {"StatusCallback": status_callback, "StatusCallbackEvents[0]": "terminal"}
        if custom_field is not None:
            form["CustomField"] = custom_field
        return await self._change("POST", f"{self._http.call_path(call_sid)}/Legs.json", form)

    async def upgrade(
        self, call_sid: str, monitor_leg_sid: str, action: MonitorAction, *, target_leg_sid: str | None = None
    ) -> LegRecord:
        """listen to whisper, whisper to barge, listen to barge, while the supervisor is on the line."""
        form = {"Action": action, **_target(action, target_leg_sid)}
        return await self._change("PUT", self._leg(call_sid, monitor_leg_sid), form)

    async def _change(self, method: str, path: str, form: Mapping[str, str]) -> LegRecord:
        answer = await self._http.write(method, path, form=form, urgency=self._urgency)
        # an object under Leg, legs or Legs, by endpoint and by format (docs/reference/exotel.md §6.5)
        leg = parse_leg(object_of(answer, "Leg", "legs", "Legs"), self._http.country)
        if leg is None:
            raise OutcomeUnknown("Exotel's answer names no leg.")
        return leg

    def _legs(self, answer: Any) -> list[LegRecord]:
        rows = rows_of(answer, "Legs", "legs")
        if len(rows) == 1 and "Sid" not in rows[0]:  # XML: Legs holds a Leg, or several
            rows = rows_of(rows[0], "Leg")
        if not rows and not {"Legs", "legs"} & object_of(answer).keys():
            raise CrmUnavailable("Exotel's answer is no list of legs.")
        legs = (parse_leg(row, self._http.country) for row in rows)
        return [leg for leg in legs if leg is not None]

    def _leg(self, call_sid: str, leg_sid: str) -> str:
        return f"{self._http.call_path(call_sid)}/Legs/{quote(leg_sid, safe='')}.json"


def _target(action: MonitorAction, leg_sid: str | None) -> Mapping[str, str]:
    if action == "whisper" and leg_sid is None:
        raise ValueError("a whisper needs the leg that hears it")
    return {} if leg_sid is None else {"TargetLegSid": leg_sid}
