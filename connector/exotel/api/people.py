"""Users of the Exotel account and their devices, on and off (docs/reference/exotel.md §7)."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from connector.errors import ConfigError, CrmError, CrmUnavailable, NotFound, OutcomeUnknown
from connector.exotel.api.answers import object_of, rows_of
from connector.exotel.api.http import ExotelHttp, Urgency
from connector.exotel.api.parsing import parse_device, parse_user
from connector.exotel.api.records import Device, User
from connector.exotel.wire import count_of

_PAGE: Final = 50


class People:
    """Co-workers and the phones on which Exotel rings them."""

    def __init__(self, http: ExotelHttp, urgency: Urgency) -> None:
        self._http = http
        self._urgency: Urgency = urgency

    async def users(self, *, email: str | None = None, device_uri: str | None = None) -> AsyncIterator[User]:
        """All users, or those of this e-mail or device (E.164 or `sip:`), devices and active call included.

        One request per 50 users.
        """
        wanted = {"email": email, "devices.contact_uri": device_uri}
        query = {"fields": "devices,active_call,last_login", **{k: v for k, v in wanted.items() if v is not None}}
        offset = 0
        while True:
            answer = await self._page({**query, "offset": str(offset), "limit": str(_PAGE)})
            rows = rows_of(answer, "response")
            for row in rows:
                user = parse_user(object_of(row, "data"), self._http.country)
                if user is not None:
                    yield user
            offset += len(rows)
            total = count_of(object_of(answer, "metadata").get("total"))
            if not rows or (offset >= total if total is not None else len(rows) < _PAGE):
                return

    async def list_users(self) -> list[User]:
        """`users`, as a list."""
        return [user async for user in self.users()]

    async def switch_on(self, user: User, device_id: str) -> Device:
        """Makes this the user's one device that is rung: another that is on is switched off first.

        Raises `ExotelRefused` (`device_unverified`, `device_conflict`, `not_a_phone`), `NotFound` (no such device).
        Where the second step fails, what was on is switched on again; where that fails too, the error says so.
        """
        others = [device for device in user.devices if device.available and device.id != device_id]
        for device in others:
            await self.switch_off(user, device.id)
        try:
            return await self._switch(user, device_id, on=True)
        except OutcomeUnknown:
            raise  # it may be on, and two are not allowed
        except (CrmError, ConfigError) as error:
            try:
                for device in others[:1]:
                    await self._switch(user, device.id, on=True)
            except (CrmError, ConfigError):
                error.message += " No device of this user is on now."
            raise

    async def switch_off(self, user: User, device_id: str) -> Device:
        """Exotel no longer rings this device."""
        return await self._switch(user, device_id, on=False)

    async def _switch(self, user: User, device_id: str, *, on: bool) -> Device:
        path = f"{self._http.people}/users/{quote(user.id, safe='')}/devices/{quote(device_id, safe='')}"
        answer = await self._http.write("PUT", path, body={"available": on}, urgency=self._urgency, service="ccm")
        response = next(iter(rows_of(answer, "response")), {})
        # what it says of the device, or the device itself as it now is: an answer may hold the change alone
        return parse_device(object_of(response, "data"), self._http.country) or Device(id=device_id, available=on)

    async def _page(self, query: Mapping[str, str]) -> Any:
        path = f"{self._http.people}/users"
        try:
            answer = await self._http.read(path, query, urgency=self._urgency, service="ccm")
        except NotFound:
            # one account's users were at the other region's host (docs/reference/exotel.md §5)
            if not self._http.look_elsewhere():
                raise
            try:
                answer = await self._http.read(path, query, urgency=self._urgency, service="ccm")
            except (CrmError, ConfigError):
                self._http.look_elsewhere()
                raise
        if "response" not in object_of(answer):
            raise CrmUnavailable("Exotel's answer is no list of users.")
        return answer
