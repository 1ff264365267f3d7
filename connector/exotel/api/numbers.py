"""ExoPhones of the account, and what Exotel knows of any number (reference exotel.md §6.7, §7)."""

from connector.exotel.api.http import ExotelHttp, Urgency
from connector.exotel.api.records import ExoPhone, NumberInfo


class Numbers:
    """Phone numbers: our own, and others'."""

    def __init__(self, http: ExotelHttp, urgency: Urgency) -> None:
        self._http = http
        self._urgency: Urgency = urgency

    async def exophones(self) -> list[ExoPhone]:
        """Every number of the account; asked in the v1 form where the account does not have the newer one."""
        raise NotImplementedError

    async def info(self, number: str) -> NumberInfo:
        """Circle, operator and kind of a number; takes seconds. Raises `NotFound`."""
        raise NotImplementedError
