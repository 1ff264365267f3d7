"""ExoPhones of the account, and what Exotel knows of any number (docs/reference/exotel.md §6.7, §7)."""

from typing import Final
from urllib.parse import quote

from connector.errors import CrmUnavailable, NotFound
from connector.exotel.api.answers import object_of, rows_of
from connector.exotel.api.http import ExotelHttp, Urgency
from connector.exotel.api.parsing import parse_exophone, parse_number_info
from connector.exotel.api.records import ExoPhone, NumberInfo
from connector.exotel.wire import count_of

#: No account has more numbers than these pages hold; it ends a list that never does.
_MOST_PAGES: Final = 100


class Numbers:
    """Phone numbers: our own, and others'."""

    def __init__(self, http: ExotelHttp, urgency: Urgency) -> None:
        self._http = http
        self._urgency: Urgency = urgency

    async def exophones(self) -> list[ExoPhone]:
        """Every number of the account; asked in the v1 form where the account does not have the newer one."""
        try:
            return await self._listed()
        except NotFound:
            answer = await self._http.read(f"{self._http.v1}/IncomingPhoneNumbers.json", urgency=self._urgency)
        rows = rows_of(answer, "IncomingPhoneNumbers")
        if not rows and "IncomingPhoneNumbers" not in object_of(answer):
            raise CrmUnavailable("Exotel's answer is no list of ExoPhones.")
        found = (parse_exophone(row, self._http.country) for row in rows)
        return [exophone for exophone in found if exophone is not None]

    async def _listed(self) -> list[ExoPhone]:
        found: dict[str, ExoPhone] = {}
        query: dict[str, str] | None = None
        for _ in range(_MOST_PAGES):
            answer = await self._http.read(f"{self._http.v2_beta}/IncomingPhoneNumbers", query, urgency=self._urgency)
            rows = rows_of(answer, "incoming_phone_numbers")
            if not rows and "incoming_phone_numbers" not in object_of(answer):
                raise CrmUnavailable("Exotel's answer is no list of ExoPhones.")
            known = len(found)
            for row in rows:
                exophone = parse_exophone(row, self._http.country)
                if exophone is not None:
                    found.setdefault(exophone.number, exophone)
            page, size = (count_of(object_of(answer).get(name)) for name in ("page", "page_size"))
            if len(found) == known or page is None or size is None or len(rows) < size:
                break
            query = {"page": str(page + 1)}
        return list(found.values())

    async def info(self, number: str) -> NumberInfo:
        """Circle, operator and kind of a number; takes seconds. Raises `NotFound`."""
        path = f"{self._http.v1}/Numbers/{quote(number, safe='')}.json"
        found = object_of(await self._http.read(path, urgency=self._urgency), "Numbers")
        if not found:
            raise CrmUnavailable("Exotel's answer tells nothing of the number.")
        return parse_number_info(found, self._http.country)
