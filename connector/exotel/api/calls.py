"""Calls: made by Connect, looked up one by one and in bulk, recorded (reference exotel.md §6.1-§6.4, §6.6)."""

from collections.abc import AsyncIterator, Mapping
from typing import Final, Literal
from urllib.parse import parse_qsl, quote, urlsplit

from connector.errors import CrmUnavailable, OutcomeUnknown
from connector.exotel.api.answers import object_of, rows_of
from connector.exotel.api.filters import CallFilter
from connector.exotel.api.http import ExotelHttp, Urgency
from connector.exotel.api.parsing import parse_call
from connector.exotel.api.records import CallPage, CallRecord
from connector.exotel.wire import count_of, text_of

CallbackType = Literal["multipart/form-data", "application/json"]

#: Origination takes 30 s at worst (reference exotel.md §6.1).
_CONNECT_ANSWER_S: Final = 40.0
_LONGEST_CALL_S: Final = 14_400
_LONGEST_RING_S: Final = 60
_LONGEST_FIELD: Final = 128
_MOST_ON_PAGE: Final = 100
_SHORTEST_LINK_MIN: Final = 5
_LONGEST_LINK_MIN: Final = 60


class CallsApi:
    """Calls: made, looked up, recorded."""

    def __init__(self, http: ExotelHttp, urgency: Urgency) -> None:
        self._http = http
        self._urgency: Urgency = urgency

    async def connect(
        self,
        agent_number: str,
        customer_number: str,
        caller_id: str,
        *,
        custom_field: str | None = None,
        status_callback: str | None = None,
        callback_type: CallbackType = "multipart/form-data",
        record: bool = False,
        dual_channel: bool = False,
        time_limit_s: int | None = None,
        ring_s: int | None = None,
        max_retries: int | None = None,
    ) -> CallRecord:
        """Rings the agent (`From`; E.164 or `sip:`), then the customer (`To`); returns once the call is originated.

        `status_callback` is told `answered` (once per leg) and `terminal`. `ring_s`: 60 at most. `max_retries`: how
        often the agent is rung again; Exotel's default is 3. Takes up to 30 s, and is never repeated: `CrmUnavailable`,
        `RateLimited`, `AuthFailed`, `ExotelRefused`, `NotFound` and `ConfigError` say that no call was placed;
        `OutcomeUnknown` that one may have been, to be found by From, To and time, or by its callback
        (reference exotel.md §6.1). Raises `ValueError` for what Exotel would not take.
        """
        form = {"From": agent_number, "To": customer_number, "CallerId": caller_id}
        if record:
            form |= {"Record": "true", "RecordingChannels": "dual" if dual_channel else "single"}
        if max_retries is not None:
            form["MaxRetries"] = str(max_retries)
        if status_callback is not None:
            form |= {
                "StatusCallback": status_callback,
                "StatusCallbackEvents[0]": "answered",
                "StatusCallbackEvents[1]": "terminal",
                "StatusCallbackContentType": callback_type,
            }
        return await self._connect(form, custom_field, time_limit_s, ring_s)

    async def connect_flow(
        self,
        number: str,
        caller_id: str,
        flow_id: str,
        *,
        custom_field: str | None = None,
        status_callback: str | None = None,
        time_limit_s: int | None = None,
        ring_s: int | None = None,
    ) -> CallRecord:
        """Rings `number`, then runs the flow `flow_id` with it. Errors as `connect` (reference exotel.md §6.2).

        `status_callback` is told once, at the end; what happens in between comes from the flow's own passthrus.
        """
        url = f"http://my.exotel.com/{quote(self._http.sid, safe='')}/exoml/start_voice/{quote(flow_id, safe='')}"
        form = {"From": number, "CallerId": caller_id, "Url": url}
        if status_callback is not None:
            form["StatusCallback"] = status_callback
        return await self._connect(form, custom_field, time_limit_s, ring_s)

    async def get(self, call_sid: str, *, link_valid_min: int | None = None) -> CallRecord:
        """Call Details, legs included. Raises `NotFound` for a CallSid that Exotel does not know (yet).

        `link_valid_min`: 5 to 60, life of a signed recording link where the account has them.
        """
        query = {"details": "true", **_validity(link_valid_min)}
        answer = await self._http.read(f"{self._http.call_path(call_sid)}.json", query, urgency=self._urgency)
        record = parse_call(object_of(answer, "Call"), self._http.country)
        if record is None:
            raise CrmUnavailable("Exotel's answer has no call in it.")
        return record

    async def page(
        self,
        wanted: CallFilter,
        *,
        cursor: str | None = None,
        page_size: int = _MOST_ON_PAGE,
        link_valid_min: int | None = None,
    ) -> CallPage:
        """One page of bulk details, legs included: the first, or the one that `cursor` of the page before leads to.

        A cursor may be kept for days; it holds the filter. No calls that still run are listed, and those that just
        ended may be missing (reference exotel.md §6.4).
        """
        query = dict(parse_qsl(cursor)) if cursor is not None else dict(wanted.query())
        query |= {
            "details": "true",
            "PageSize": str(min(max(page_size, 1), _MOST_ON_PAGE)),
            **_validity(link_valid_min),
        }
        answer = await self._http.read(f"{self._http.v1}/Calls.json", query, urgency=self._urgency)
        about = object_of(answer, "Metadata", "MetaData")
        if not about and not {"Calls", "Call"} & object_of(answer).keys():
            raise CrmUnavailable("Exotel's answer is no page of calls.")
        records = (parse_call(row, self._http.country) for row in rows_of(answer, "Calls", "Call"))
        return CallPage(
            tuple(record for record in records if record is not None),
            count_of(about.get("Total")),
            self._cursor(text_of(about.get("NextPageUri"))),
        )

    async def pages(self, wanted: CallFilter, *, page_size: int = _MOST_ON_PAGE) -> AsyncIterator[CallPage]:
        """Every page, one request each, in order; ends on the last, and before one that leads in a circle."""
        seen: set[str | None] = set()
        cursor: str | None = None
        while cursor not in seen:
            seen.add(cursor)
            page = await self.page(wanted, cursor=cursor, page_size=page_size)
            yield page
            if page.cursor is None:
                return
            cursor = page.cursor

    async def start_recording(
        self,
        call_sid: str,
        *,
        status_callback: str | None = None,
        dual_channel: bool = False,
        first_leg_only: bool = False,
    ) -> None:
        """Records a running call from now on (reference exotel.md §6.6). `ExotelRefused` (`not_running`): too late."""
        form = {"Action": "START", "RecordingChannels": "dual" if dual_channel else "single"}
        if status_callback is not None:
            form["StatusCallback"] = status_callback
        if first_leg_only:
            form["Leg1Recording"] = "True"
        await self._record(call_sid, form)

    async def stop_recording(self, call_sid: str) -> None:
        """Ends the recording of a running call."""
        await self._record(call_sid, {"Action": "STOP"})

    async def _record(self, call_sid: str, form: Mapping[str, str]) -> None:
        path = f"{self._http.call_path(call_sid)}/recording.json"
        # the sources show no answer of this endpoint, so nothing is asked of it (reference exotel.md §6.6)
        await self._http.write("POST", path, form=form, urgency=self._urgency, needs_body=False)

    async def _connect(
        self, form: dict[str, str], custom_field: str | None, time_limit_s: int | None, ring_s: int | None
    ) -> CallRecord:
        if custom_field is not None and len(custom_field) > _LONGEST_FIELD:
            raise ValueError(f"CustomField has {_LONGEST_FIELD} characters at most")
        if time_limit_s is not None and not 0 < time_limit_s <= _LONGEST_CALL_S:
            raise ValueError(f"a call lasts {_LONGEST_CALL_S} s at most")
        if ring_s is not None and not 0 < ring_s <= _LONGEST_RING_S:
            raise ValueError(f"a phone rings {_LONGEST_RING_S} s at most")
        told = {"CustomField": custom_field, "TimeLimit": time_limit_s, "TimeOut": ring_s}
        form |= {"CallType": "trans", **{name: str(value) for name, value in told.items() if value is not None}}
        path = f"{self._http.v1}/Calls/connect.json"
        answer = await self._http.write("POST", path, form=form, urgency=self._urgency, answer_s=_CONNECT_ANSWER_S)
        record = parse_call(object_of(answer, "Call"), self._http.country)
        if record is None:
            raise OutcomeUnknown("Exotel's answer to Connect names no call.")
        return record

    def _cursor(self, uri: str | None) -> str | None:
        """The query of `NextPageUri`, which leads to this account's calls on this host and nowhere else.

        Raises `CrmUnavailable` for any other: to end there would leave calls out.
        """
        if uri is None:
            return None
        parts = urlsplit(uri.replace("&amp;", "&"))  # as one JSON sample has it (seed 001, bulk details)
        if parts.scheme or parts.netloc or parts.path.removesuffix(".json") != f"{self._http.v1}/Calls":
            raise CrmUnavailable("Exotel's list of calls goes on at another address than this account's.")
        return parts.query or None


def _validity(minutes: int | None) -> Mapping[str, str]:
    if minutes is not None and not _SHORTEST_LINK_MIN <= minutes <= _LONGEST_LINK_MIN:
        raise ValueError(f"a signed link lives {_SHORTEST_LINK_MIN} to {_LONGEST_LINK_MIN} minutes")
    return {} if minutes is None else {"RecordingUrlValidity": str(minutes)}
