"""What happens to a call that Connect originated, and what its StatusCallback is told.

See docs/reference/exotel.md §4, §10.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import aiohttp

from connector.kit.exotel.account import Ending, ExotelAccount
from connector.kit.exotel.calls import SimCall, SimLeg, national, stamp

_TIMEOUT: Final = aiohttp.ClientTimeout(total=15)
#: Ending -> status of the call, of leg 1 and of leg 2.
_ENDINGS: Final[Mapping[Ending, tuple[str, str, str | None]]] = {
    "answered": ("completed", "completed", "completed"),
    "machine": ("completed", "completed", "completed"),
    "agent_no_answer": ("no-answer", "no-answer", None),
    "agent_busy": ("busy", "busy", None),
    "agent_hangup": ("failed", "completed", "canceled"),
    "customer_busy": ("busy", "completed", "busy"),
    "customer_no_answer": ("no-answer", "completed", "no-answer"),
    "customer_failed": ("failed", "completed", "failed"),
}


class Player:
    """Plays calls, each in a task of its own, while it is running."""

    def __init__(self, account: ExotelAccount) -> None:
        self._account = account
        self._session: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Player"]:
        """Calls play until this ends."""
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
            self._session = session
            try:
                yield self
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    async def idle(self) -> None:
        """Returns once nothing plays."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    def play(self, call: SimCall, form: Mapping[str, str]) -> None:
        """Plays the call of a Connect to its end."""
        account = self._account
        ending = account.endings.popleft() if account.endings else account.ending
        self._start(self._played(call, dict(form), ending))

    def tell_recording(self, call: SimCall, url: str) -> None:
        """The Recording API's own callback; its fields are documented nowhere."""
        files = f"{self._account.url}/exotelrecordings/{self._account.sid}/{call.file}"
        self._start(self._tell(url, {"CallSid": call.sid, "Status": "completed", "RecordingUrl": files}))

    def end_leg(self, call: SimCall, leg: SimLeg) -> None:
        """A leg hangs up; the call between two ends with it."""
        call.legs.remove(leg)
        if leg.callback is not None:
            self._start(self._tell(leg.callback, self._leg_told(call, leg)))
        if leg.origin != "monitor":
            call.over_at = self._account.clock()

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _played(self, call: SimCall, form: Mapping[str, str], ending: Ending) -> None:
        account = self._account
        status, leg1, leg2 = _ENDINGS[ending]
        await asyncio.sleep(account.step_s)
        if leg1 == "completed" and call.over_at is None:
            await self._answered(call, form, "")
            await asyncio.sleep(account.step_s)
            if leg2 == "completed" and call.over_at is None:
                call.legs.append(SimLeg(account.new_sid(), call.to_number, "outbound-dial", "in-progress"))
                await self._answered(call, form, "in-progress")
                await asyncio.sleep(account.step_s)
        talk_s = account.talk_s if leg2 == "completed" else 0
        call.status, call.leg1_status, call.leg2_status, call.talk_s = status, leg1, leg2, talk_s
        call.recorded &= bool(talk_s)
        if call.over_at is None:
            call.over_at = account.clock()
        for leg in call.legs:
            if leg.callback is not None:
                await self._tell(leg.callback, self._leg_told(call, leg))
        call.legs.clear()
        await self._over(call, form, is_machine=ending == "machine")

    async def _answered(self, call: SimCall, form: Mapping[str, str], second: str) -> None:
        if "answered" not in _events(form):
            return
        legs = [{"Status": "in-progress", "OnCallDuration": 0}, {"Status": second, "OnCallDuration": 0}]
        await self._told(call, form, {"EventType": "answered", "Status": "in-progress", "Legs": legs})

    async def _over(self, call: SimCall, form: Mapping[str, str], *, is_machine: bool) -> None:
        events = _events(form)
        files = f"{self._account.url}/exotelrecordings/{self._account.sid}/{call.file}"
        end = {"Status": call.status, "RecordingUrl": files if call.recorded else ""}
        if not events:
            basic = {"CallSid": call.sid, **end, "DateUpdated": stamp(self._account.clock())}
            if call.status != "completed":
                del basic["RecordingUrl"]  # the key may be missing (docs/reference/exotel.md §4.1)
            await self._tell_of(form, basic)
        elif "terminal" in events:
            first: dict[str, Any] = {
                "Status": call.leg1_status,
                "OnCallDuration": call.talk_s + call.ring_s if call.leg1_status == "completed" else 0,
            }
            second: dict[str, Any] = {"Status": call.leg2_status or "", "OnCallDuration": call.talk_s}
            if is_machine:
                second |= {"AnsweredBy": "MACHINE", "AmdCause": "LONGGREETING"}
            end_at = call.created_at + call.ring_s + call.talk_s
            told = {"EventType": "terminal", **end, "ConversationDuration": call.talk_s, "EndTime": stamp(end_at)}
            if "CustomField" in form:
                told["CustomField"] = form["CustomField"]
            await self._told(call, form, {**told, "Legs": [first, second]})

    async def _told(self, call: SimCall, form: Mapping[str, str], told: Mapping[str, Any]) -> None:
        now = self._account.clock()
        about = {
            "CallSid": call.sid,
            "DateCreated": stamp(call.created_at),
            "DateUpdated": stamp(now),
            "EventTime": stamp(now),
            "To": form.get("To", ""),
            "From": form["From"],
            "PhoneNumberSid": national(call.exophone),
            "StartTime": stamp(call.created_at),
            "Direction": "outbound-api",
        }
        await self._tell_of(form, {**about, **told})

    def _leg_told(self, call: SimCall, leg: SimLeg) -> dict[str, Any]:
        now = stamp(self._account.clock())
        return {
            "LegSid": leg.sid,
            "CallSid": call.sid,
            "AccountSid": self._account.sid,
            "DateCreated": stamp(leg.created_at),
            "DateUpdated": now,
            "StartTime": stamp(leg.created_at),
            "EndTime": now,
            "PhoneNumber": national(leg.number),
            "Status": "completed",
            "OnCallDuration": "1",
            "Origin": leg.origin,
            "LastAction": leg.last_action,
            "CustomField": leg.custom_field or "",
            "EventType": "terminal",
        }

    async def _tell_of(self, form: Mapping[str, str], told: Mapping[str, Any]) -> None:
        url = form.get("StatusCallback")
        if url is not None:
            await self._tell(url, told, form.get("StatusCallbackContentType", "multipart/form-data"))

    async def _tell(self, url: str, told: Mapping[str, Any], content_type: str = "multipart/form-data") -> None:
        assert self._session is not None, "the stand-in does not run"
        if not self._account.sends_callbacks:
            return
        how: dict[str, Any]
        if content_type == "application/json":
            how = {"json": told}
        elif content_type == "multipart/form-data":
            with aiohttp.MultipartWriter("form-data") as parts:
                for name, value in _flat(told):
                    part = parts.append(value)
                    part.set_content_disposition("form-data", name=name)
            how = {"data": parts}
        else:
            how = {"data": dict(_flat(told))}
        status = 0
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            async with self._session.post(url, **how) as answer:
                status = answer.status
        sent = {"url": url, "content_type": content_type, "fields": dict(told), "status": status}
        self._account.callbacks.append(sent)


def _events(form: Mapping[str, str]) -> set[str]:
    return {value for name, value in form.items() if name.startswith("StatusCallbackEvents[")}


def _flat(told: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Fields as a form has them: legs as bracketed keys (docs/reference/exotel.md §2.5)."""
    flat: list[tuple[str, str]] = []
    for name, value in told.items():
        if isinstance(value, list):
            flat += [(f"{name}[{i}][{key}]", str(v)) for i, row in enumerate(value) for key, v in row.items()]
        else:
            flat.append((name, str(value)))
    return flat
