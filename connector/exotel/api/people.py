"""Users of the Exotel account and their devices, on and off (reference exotel.md §7)."""

from collections.abc import AsyncIterator

from connector.exotel.api.http import ExotelHttp, Urgency
from connector.exotel.api.records import Device, User


class People:
    """Co-workers and the phones on which Exotel rings them."""

    def __init__(self, http: ExotelHttp, urgency: Urgency) -> None:
        self._http = http
        self._urgency: Urgency = urgency

    def users(self, *, email: str | None = None, device_uri: str | None = None) -> AsyncIterator[User]:
        """All users, or those of this e-mail or device (E.164 or `sip:`), devices and active call included.

        One request per 50 users.
        """
        raise NotImplementedError

    async def list_users(self) -> list[User]:
        """`users`, as a list."""
        return [user async for user in self.users()]

    async def switch_on(self, user: User, device_id: str) -> Device:
        """Makes this the user's one device that is rung: another that is on is switched off first.

        Raises `ExotelRefused` (`device_unverified`, `device_conflict`, `not_a_phone`), `NotFound` (no such device). Where
        the second step fails, the user is left without a device that is on, and the error says so.
        """
        raise NotImplementedError

    async def switch_off(self, user: User, device_id: str) -> Device:
        """Exotel no longer rings this device."""
        raise NotImplementedError
