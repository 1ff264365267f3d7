"""Calls of the stand-in of Exotel: Connect, details, bulk details, recording on and off.

See docs/reference/exotel.md §6.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web

from connector.exotel.wire import IST
from connector.kit.exotel.account import ExotelAccount
from connector.kit.exotel.calls import SimCall, e164, national
from connector.kit.exotel.play import Player
from connector.kit.exotel.strict import (
    Rules,
    form_of,
    is_sid,
    is_url,
    listed,
    number_up_to,
    one_of,
    query_of,
    refused,
    taken,
    text_up_to,
)

_MONTH: Final = timedelta(days=31)
_HISTORY: Final = timedelta(days=185)


def _is_number(value: str) -> bool:
    return e164(value) is not None


def _is_phone(value: str) -> bool:
    return re.fullmatch(r"\+\d{8,15}", value) is not None


_STATUS = one_of("completed", "failed", "busy", "no-answer", "canceled")
_CONNECT: Final[Rules] = {
    "From": _is_number,
    "To": _is_number,
    "CallerId": _is_number,
    "CallType": one_of("trans"),
    "TimeLimit": number_up_to(14_400),
    "TimeOut": number_up_to(60),
    "Record": one_of("true", "false"),
    "RecordingChannels": one_of("single", "dual"),
    "RecordingFormat": one_of("mp3", "mp3-hq"),
    "CustomField": text_up_to(128),
    "StatusCallback": is_url,
    "StatusCallbackEvents[]": one_of("terminal", "answered"),
    "StatusCallbackContentType": one_of("multipart/form-data", "application/json"),
    "MaxRetries": number_up_to(10, 0),
    "WaitUrl": is_url,
    "StartPlaybackTo": one_of("Callee", "Both"),
    "StartPlaybackValue": is_url,
}
_DETAILS: Final[Rules] = {"details": one_of("true", "false"), "RecordingUrlValidity": number_up_to(60, 5)}
_BULK: Final[Rules] = {
    **_DETAILS,
    "Sid": listed(is_sid, 100),
    "DateCreated": lambda value: _window(value) is not None,
    "To": listed(_is_phone, 5),
    "From": listed(_is_phone, 5),
    "PhoneNumber": listed(_is_phone, 5),
    "Status": listed(_STATUS, 5),
    "Direction": listed(one_of("inbound", "outbound-dial", "outbound-api"), 3),
    "Duration": lambda value: _lasted(value) is not None,
    "PageSize": number_up_to(100),
    "SortBy": one_of("DateCreated:asc", "DateCreated:desc"),
    "Before": lambda value: _cursor(value) is not None,
    "After": lambda value: _cursor(value) is not None,
}
_RECORDING: Final[Rules] = {
    "Action": one_of("START", "STOP"),
    "RecordingChannels": one_of("single", "dual"),
    "RecordingFormat": one_of("mp3", "mp3-hq"),
    "StatusCallback": is_url,
    "Leg1Recording": one_of("True", "False"),
}


class Voice:
    """Handlers of calls; each answers an object, which the door writes as JSON or XML."""

    def __init__(self, account: ExotelAccount, player: Player) -> None:
        self._account = account
        self._player = player

    async def about(self, _request: web.Request) -> dict[str, Any]:
        """The account itself: a check of the credentials."""
        return {"Account": {"Sid": self._account.sid, "Status": "active"}}

    async def connect(self, request: web.Request) -> dict[str, Any]:
        """Originates a call, which then plays itself."""
        account = self._account
        given = await form_of(request)
        form = taken(given, _CONNECT, needs=("From", "To", "CallerId"))
        if form["To"].startswith("sip:"):
            raise refused(400, "Invalid Parameter: To")
        leg1, leg2 = e164(form["From"]) or "", e164(form["To"])
        form["CallerId"] = e164(form["CallerId"]) or ""
        if not account.is_active:
            raise refused(403, "Account inactive.", 40002)
        if not account.is_kyc_done:
            raise refused(403, "Your account is not yet KYC compliant;")
        if not account.has_credit:
            raise refused(402, "Insufficient balance. Please recharge your account.")
        if form["CallerId"] not in account.exophones:
            raise refused(400, "Invalid Parameter: CallerId is not an ExoPhone of this account")
        if {leg1, leg2} & account.dnd:
            raise refused(403, f"Call to {national(leg2 or leg1)} cannot be made because of TRAI NDNC regulations")
        call = account.originate(form, leg1=leg1, leg2=leg2)
        record = account.record(call, details=False)
        self._player.play(call, form)
        return {"Call": record}

    async def details(self, request: web.Request) -> dict[str, Any]:
        """One call's record."""
        query = taken(query_of(request), _DETAILS)
        return {"Call": self._record(self._call(request), query)}

    async def bulk(self, request: web.Request) -> dict[str, Any]:
        """A page of calls that are over."""
        query = taken(query_of(request), _BULK)
        if "Before" in query and "After" in query:
            raise refused(400, "Invalid Parameters: Before, After")
        size = int(query.get("PageSize", "50"))
        newest_first = not query.get("SortBy", "").endswith("asc")
        first, last = self._bounds(query)
        matches = self._matcher(query)
        total = sum(1 for call in self._found(query, first, last, newest_first=newest_first) if matches(call))
        if "After" in query:
            at = _cursor(query["After"]) or (0, "")
            first, last = (first, at) if newest_first else ((at[0], at[1] + "\0"), last)
        if "Before" in query:
            at = _cursor(query["Before"]) or (0, "")
            first, last = ((at[0], at[1] + "\0"), last) if newest_first else (first, at)
        page: list[SimCall] = []
        has_more = False
        for call in self._found(query, first, last, newest_first=newest_first):
            if matches(call):
                if len(page) == size:
                    has_more = True
                    break
                page.append(call)
        return {
            "Metadata": self._about(request, query, page, total, has_more=has_more),
            "Calls": [self._record(call, query) for call in page],
        }

    async def recording(self, request: web.Request) -> dict[str, Any]:
        """Recording of a running call, on or off."""
        form = taken(await form_of(request), _RECORDING, needs=("Action",))
        call = self._call(request)
        if call.over_at is not None:
            raise refused(404, "Given callSID is not in-progress")
        call.is_recording = form["Action"] == "START"
        call.recorded |= call.is_recording
        self._account.recording_requests.append((call.sid, form))
        if form.get("StatusCallback"):
            self._player.tell_recording(call, form["StatusCallback"])
        return {"Recording": {"CallSid": call.sid, "Status": "in-progress" if call.is_recording else "completed"}}

    def _call(self, request: web.Request) -> SimCall:
        call = self._account.call(request.match_info["call"])
        if call is None:
            raise refused(404, "No matching results")
        return call

    def _record(self, call: SimCall, query: Mapping[str, str]) -> dict[str, Any]:
        valid_s = 60.0 * int(query.get("RecordingUrlValidity", "5"))
        return self._account.record(call, details=query.get("details") == "true", link_valid_s=valid_s)

    def _bounds(self, query: Mapping[str, str]) -> tuple[tuple[int, str], tuple[int, str]]:
        now = datetime.fromtimestamp(self._account.clock(), IST)
        if "Sid" in query and "DateCreated" not in query:
            return (0, ""), (2**40, "")
        begin, end = _window(query.get("DateCreated", "")) or (None, None)
        end = end or now
        begin = begin or end - _MONTH
        if not timedelta(0) <= end - begin <= _MONTH or begin < now - _HISTORY:
            raise refused(400, "Invalid Parameter: DateCreated spans more than a month, or lies before six months ago")
        return (int(begin.timestamp()), ""), (int(end.timestamp()) + 1, "")

    def _found(
        self, query: Mapping[str, str], first: tuple[int, str], last: tuple[int, str], *, newest_first: bool
    ) -> Iterator[SimCall]:
        if "Sid" not in query:
            return self._account.between(first, last, newest_first=newest_first)
        named = (self._account.call(sid) for sid in dict.fromkeys(query["Sid"].split(",")))
        calls = [call for call in named if call is not None and first <= _place(call) < last]
        return iter(sorted(calls, key=_place, reverse=newest_first))

    def _matcher(self, query: Mapping[str, str]) -> Callable[[SimCall], bool]:
        now = self._account.clock()
        wanted = {name: frozenset(query[name].split(",")) for name in _FIELDS if name in query}
        shortest, longest = _lasted(query.get("Duration", "gte:0s")) or (0, 0)

        def matches(call: SimCall) -> bool:
            if call.over_at is None or call.over_at > now:
                return False  # no ongoing calls
            length = call.ring_s + call.talk_s if call.is_settled(now) else 0
            if not shortest <= length <= longest:
                return False
            return all(_FIELDS[name](call) in values for name, values in wanted.items())

        return matches

    def _about(
        self, request: web.Request, query: Mapping[str, str], page: list[SimCall], total: int, *, has_more: bool
    ) -> dict[str, Any]:
        plain = {name: value for name, value in query.items() if name not in ("Before", "After")}
        first = f"{request.path}?{urlencode(plain)}"
        after, before = (_encoded(page[-1]), _encoded(page[0])) if page else ("", "")
        return {
            "Total": total,
            "PageSize": len(page),
            "FirstPageUri": first,
            # one of Exotel's own samples has the ampersand escaped (docs/reference/exotel.md §6.4)
            "PrevPageUri": f"{first}&amp;Before={before}" if "After" in query and page else None,
            "NextPageUri": f"{first}&amp;After={after}" if has_more else None,
        }


_FIELDS: Final[Mapping[str, Callable[[SimCall], str]]] = {
    "To": lambda call: call.to_number,
    "From": lambda call: call.from_number,
    "PhoneNumber": lambda call: call.exophone,
    "Status": lambda call: call.status,
    "Direction": lambda call: call.direction,
}


def _window(value: str) -> tuple[datetime | None, datetime | None] | None:
    """`gte:2024-01-01 00:00:00;lte:...` in Indian time; None where it is none."""
    bounds: dict[str, datetime] = {}
    for part in filter(None, value.split(";")):
        found = re.fullmatch(r"(gte|lte):(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)", part)
        if found is None or found[1] in bounds:
            return None
        try:
            bounds[found[1]] = datetime.fromisoformat(found[2]).replace(tzinfo=IST)
        except ValueError:
            return None
    return bounds.get("gte"), bounds.get("lte")


def _lasted(value: str) -> tuple[int, int] | None:
    """`gte:10s;lte:45s`, either alone, or `eq:30s`; None where it is none."""
    bounds = {"gte": 0, "lte": 2**31}
    for part in value.split(";"):
        found = re.fullmatch(r"(?:(gte|lte|eq):)?(\d+)s", part)
        if found is None:
            return None
        bounds |= {found[1]: int(found[2])} if found[1] in bounds else dict.fromkeys(bounds, int(found[2]))
    return bounds["gte"], bounds["lte"]


def _place(call: SimCall) -> tuple[int, str]:
    return int(call.created_at), call.sid


def _encoded(call: SimCall) -> str:
    return b64encode("{},{}".format(*_place(call)).encode()).decode()


def _cursor(value: str) -> tuple[int, str] | None:
    try:
        at, _, sid = b64decode(value, validate=True).decode().partition(",")
        return int(at), sid
    except ValueError:
        return None
