"""Legs of a call: who is on the line, hang up, listen, whisper, barge (reference exotel.md §6.5)."""

from typing import Literal

from connector.exotel.api.http import ExotelHttp, Urgency
from connector.exotel.api.records import LegRecord

MonitorAction = Literal["listen", "whisper", "barge"]


class Legs:
    """Must be enabled by Exotel per account; where it is not, Exotel refuses (`ExotelRefused`, `NotFound`)."""

    def __init__(self, http: ExotelHttp, urgency: Urgency) -> None:
        self._http = http
        self._urgency: Urgency = urgency

    async def active(self, call_sid: str) -> list[LegRecord]:
        """Legs of a call that runs; empty where it does not (Exotel's 404 "not in-progress")."""
        raise NotImplementedError

    async def finished(self, call_sid: str) -> list[LegRecord]:
        """Every leg of a call that is over. Raises `NotFound`, `ExotelRefused`."""
        raise NotImplementedError

    async def hang_up(self, call_sid: str, leg_sid: str) -> LegRecord:
        """Ends one leg, and with it the call between two. Raises `NotFound` where it has ended."""
        raise NotImplementedError

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

        `OutcomeUnknown`: the supervisor may be rung; ask `active`.
        """
        raise NotImplementedError

    async def upgrade(
        self, call_sid: str, monitor_leg_sid: str, action: MonitorAction, *, target_leg_sid: str | None = None
    ) -> LegRecord:
        """listen to whisper, whisper to barge, listen to barge, while the supervisor is on the line."""
        raise NotImplementedError
