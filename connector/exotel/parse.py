"""One request of Exotel's -> `CallEvent`: which event it is, who is who, how it ended.

The URL names the event, since values persist along a flow: a passthru behind a gather still carries the connect's
outcome (docs/reference/exotel.md §1). Fields refine it by the tables of §3.2.1 and §3.2.2. Only `CallSid` is sure to
come.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

from connector.errors import IngressError
from connector.exotel.legs import number_of, read_legs, side_of
from connector.exotel.model import CALLBACKS, ORDERS, CallEvent, Direction, EventKind, EventType, Leg, Status, Tag
from connector.exotel.wire import branch, count_of, fold_keys, merge, text_of, time_of, unbracket, word_of
from connector.phone import is_number, is_sip

#: The words of every dialect's URLs (docs/design.md §3).
_KINDS: Final[Mapping[str, EventKind]] = {
    "pop": "popup",
    "popup": "popup",
    "createpopup": "popup",
    "answered": "answered",
    "incomingcallhungup": "answered",
    "automated_answered": "automated_answered",
    "missed": "missed",
    "callmissed": "missed",
    "ivr": "ivr",
    "gather": "gather",
    "end": "end",
    "voicemail": "voicemail",
    "status": "status",
    "record_start": "record_start",
    "record_stop": "record_stop",
    "callback/leg": "leg",
    "callback/recording": "recording",
}
_EVENT_TYPES: Final[Mapping[str, EventType]] = {
    "dial": "dial",
    "ringing": "ringing",
    "answered": "answered",
    "terminal": "terminal",
}
_STATUSES: Final[Mapping[str, Status]] = {
    "queued": "ringing",
    "ringing": "ringing",
    "in-progress": "in-progress",
    "completed": "completed",
    "no-answer": "no-answer",
    "busy": "busy",
    "failed": "failed",
    "canceled": "canceled",
    "cancelled": "canceled",
}
_UNANSWERED: Final = frozenset({"no-answer", "busy", "failed", "canceled"})
_TAG = re.compile(r"\s*(ivr|gather)_tag_([0-9]{1,6})\s*", re.IGNORECASE)
_LONGEST_SID = 128

_Verdict = tuple[Status, bool | None]


def parse_request(
    *,
    event: str,
    method: str,
    query: Sequence[tuple[str, str]],
    content_type: str | None = None,
    body: bytes = b"",
    country: str = "IN",
) -> CallEvent:
    """Reads one request. `event` is a kind or a dialect's word (`pop`, `callmissed`, ...), case and blanks aside.

    A body counts whatever `method` says. `country` is the ISO code that numbers without one belong to. Raises
    `IngressError` with code `no_call_sid` or `unknown_event`, nothing else: other bad values become None and stay in
    `raw`, an unreadable body is as good as none.
    """
    kind = kind_of(event)
    raw = merge(query, content_type, body)
    call_sid = call_sid_of(raw)
    if kind in CALLBACKS:
        # of one leg, or of one file: nothing in it is a fact of the call (docs/reference/exotel.md §4.3)
        return CallEvent(kind=kind, call_sid=call_sid, raw=raw)
    return _Reader(kind, call_sid, raw, country).event()


def kind_of(event: str) -> EventKind:
    """The kind that a URL's word stands for. Raises `IngressError` (`unknown_event`)."""
    kind = _KINDS.get(event.strip().lower())
    if kind is None:
        raise IngressError("unknown_event", "The URL does not name an event of a call.", "event")
    return kind


def call_sid_of(raw: Mapping[str, Any]) -> str:
    """The call that merged parameters belong to. Raises `IngressError` (`no_call_sid`).

    Nothing is asked of its letters (docs/reference/exotel.md §2.8) but that a store can hold and an index can find
    them.
    """
    value = raw.get("CallSid")
    if value is None:
        value = fold_keys(raw).get("callsid")
    text = text_of(value)
    if text is None or len(text) > _LONGEST_SID or not text.isprintable() or text != str(value).strip():
        raise IngressError("no_call_sid", "The request does not say which call it belongs to.", "CallSid")
    return text


class _Reader:
    """The parameters of one request, under names without case, blanks and underscores."""

    def __init__(self, kind: EventKind, call_sid: str, raw: dict[str, Any], country: str) -> None:
        self.raw = raw
        self.call_sid = call_sid
        self.country = country
        self.params = fold_keys(raw)
        self.tree = unbracket(raw)
        self.missed_as_voicemail = (self.word("missedcalltype") or "").startswith("voi")
        # The Freshworks dialect has one URL for both (docs/reference/exotel-flows.md §4.2.3); its value is only known
        # by how it begins.
        self.kind: EventKind = "voicemail" if kind == "missed" and self.missed_as_voicemail else kind
        self.legs = read_legs(branch(self.params, self.tree, "legs"), country, keep_places=self.kind == "status")

    def event(self) -> CallEvent:
        kind = self.kind
        status, answered = self.verdict()
        talked = max(self.legs, key=lambda leg: leg.on_call_duration_s or 0, default=None)
        if talked is not None and not talked.on_call_duration_s:
            talked = None
        direction = self.direction()
        customer, agent, exophone, others = self.parties(direction, talked)
        started_at, ended_at = self.time("starttime"), self.time("endtime")
        if started_at is not None and ended_at is not None and ended_at < started_at:
            ended_at = None
        return CallEvent(
            kind=kind,
            call_sid=self.call_sid,
            direction=direction,
            customer_number=customer,
            agent_number=agent,
            exophone=exophone,
            other_numbers=others,
            agent_email=self.text("agentemail"),
            event_type=self.event_type,
            agent_state=self.agent_state,
            status=status,
            answered=answered,
            digits=self.digits(),
            tags=self.tags(),
            duration_s=self.talk_time(status, answered),
            dial_duration_s=count_of(self.params.get("dialcallduration")),
            recording_url=self.recording_url(),
            recording_available_by=self.time("recordingavailableby"),
            legs=self.legs,
            occurred_at=self.time("currenttime") or (self.time("eventtime") if kind == "status" else None),
            created_at=self.time("created") or self.time("datecreated"),
            started_at=started_at,
            ended_at=ended_at,
            custom_field=self.text("customfield"),
            disconnected_by=side_of(self.params.get("disconnectedby")) or (talked.disconnected_by if talked else None),
            raw=self.raw,
        )

    def text(self, name: str) -> str | None:
        return text_of(self.params.get(name))

    def word(self, name: str) -> str | None:
        return word_of(self.params.get(name))

    def time(self, name: str) -> datetime | None:
        return time_of(self.params.get(name))

    def number(self, *names: str) -> str | None:
        """The first of these parameters that tells a number, a `sip:` address or other text."""
        for name in names:
            number = number_of(self.params.get(name), self.country)
            if number is not None:
                return number
        return None

    @property
    def event_type(self) -> EventType | None:
        return _EVENT_TYPES.get(self.word("eventtype") or "")

    @property
    def agent_state(self) -> Literal["busy", "free"] | None:
        """A popup's Status: the agent's line, never the call's outcome (docs/reference/exotel.md §3.1)."""
        state = self.word("status") if self.kind == "popup" else None
        return "busy" if state == "busy" else "free" if state == "free" else None

    def direction(self) -> Direction | None:
        word = self.word("direction") or ""
        if word in ("incoming", "inbound"):
            return "inbound"
        # An article claims outbound-dial of popups for incoming calls (docs/reference/exotel.md §11.1): not believed
        # there.
        if word.startswith(("outbound", "outgoing")) and self.kind != "popup":
            return "outbound"
        return None

    def parties(
        self, direction: Direction | None, talked: Leg | None
    ) -> tuple[str | None, str | None, str | None, tuple[str, ...]]:
        """Customer, agent, ExoPhone and whoever else is named, as far as one request can tell.

        See docs/reference/exotel.md §3.2.1.
        """
        if self.kind == "status":
            exophone = self.number("phonenumbersid")
            # Newer numbers are told by a UUID.
            usable = is_number(exophone) or is_sip(exophone)
            return self.number("to"), self.number("from"), exophone if usable else None, ()
        agent = self.number("dialwhomnumber")
        if self.kind == "popup":
            return self.number("from", "callfrom"), agent, self.number("callto", "to"), ()
        customer = self.number("callfrom", "from")
        agent = agent or (talked.number if talked else None)
        if direction != "outbound":
            return customer, agent, self.number("callto", "to"), ()
        exophone = self.number("outgoingphonenumber", "callto", "to")
        # Documents and samples disagree who is who here; the tenant's own numbers tell
        # (docs/reference/exotel.md §3.2.1).
        named = (self.number(name) for name in ("callfrom", "from", "callto", "to"))
        others = dict.fromkeys(n for n in named if n is not None and n not in (customer, agent, exophone))
        return customer, agent, exophone, tuple(others)

    def verdict(self) -> _Verdict:
        """Status and whether it was answered: the table of docs/reference/exotel.md §3.2.2, first row that fits."""
        if self.kind == "popup":
            return self.popup_verdict(), None
        if self.kind in ("ivr", "gather", "end"):
            return "ivr", None
        if self.kind in ORDERS:
            return "unknown", None
        if self.kind == "status":
            return self.callback_verdict()
        return self.passthru_verdict()

    def popup_verdict(self) -> Status:
        if self.event_type in ("dial", "ringing") or (self.event_type is None and self.agent_state == "busy"):
            return "ringing"
        if self.event_type == "answered":
            return "in-progress"
        if self.event_type == "terminal" or self.agent_state == "free":
            return "agent-free"
        return "unknown"

    def passthru_verdict(self) -> _Verdict:
        call_type = self.word("calltype")
        dialled = self.dial_status()
        if self.kind == "voicemail" or call_type == "voicemail" or self.missed_as_voicemail:
            return "voicemail", False
        if dialled == "completed" or any(leg.on_call_duration_s for leg in self.legs):
            return "completed", True
        if call_type == "client-hangup" or dialled == "canceled":
            return "canceled", False
        if dialled in _UNANSWERED:
            return dialled, False
        nobody_dialled = not self.legs and dialled == "unknown" and self.number("dialwhomnumber") is None
        if self.kind == "missed" and nobody_dialled and call_type != "completed":
            return "no-answer", False
        return "unknown", None

    def dial_status(self) -> Status:
        """What became of the connect, by the parameter or by Call Insights."""
        insights = branch(self.params, self.tree, "insights")
        value = self.word("dialcallstatus") or (
            word_of(insights.get("dialcallstatus")) if isinstance(insights, dict) else None
        )
        return _STATUSES.get(value or "", "unknown")

    def callback_verdict(self) -> _Verdict:
        status = _STATUSES.get(self.word("status") or "", "unknown")
        customers = self.legs[1] if len(self.legs) > 1 else None
        customer_status = customers.status if customers else None
        if self.event_type == "answered":
            return "in-progress", True if customer_status in ("in-progress", "answered", "completed") else None
        if self.event_type == "terminal":
            talk = self.conversation()
            if talk:
                return "completed", True
            if customer_status == "canceled":
                return "canceled", False
            if status in _UNANSWERED:
                return status, False
            if status == "completed":
                return "completed", None if talk is None else False
            return "unknown", None
        return status, None

    def conversation(self) -> int | None:
        """Talk time of a callback: of both together, else of the customer's leg; None where it is not told."""
        told = count_of(self.params.get("conversationduration"))
        customers = self.legs[1].on_call_duration_s if len(self.legs) > 1 else None
        return told or customers or (0 if 0 in (told, customers) else None)

    def talk_time(self, status: Status, answered: bool | None) -> int | None:
        """Seconds that customer and agent talked; 0 only where the request says so, None where it does not tell.

        Never DialCallDuration, which counts ringing (docs/reference/exotel.md §2.7). What a voicemail, IVR, gather or
        record request carries of it is left over from an earlier connect.
        """
        if self.kind == "status":
            return self.conversation()
        if status in ("voicemail", "ivr") or self.kind == "popup" or self.kind in ORDERS:
            return None
        told = [leg.on_call_duration_s for leg in self.legs if leg.on_call_duration_s is not None]
        talk = max(told, default=None)
        return talk or (count_of(self.params.get("conversationduration")) if answered else None) or talk

    def digits(self) -> str | None:
        """What the caller keyed, without the quotes around it; leading zeros, `*` and `#` stay.

        See docs/reference/exotel.md §2.4.
        """
        text = self.text("digits")
        return text_of(text.strip("\"'\\ ")) if text is not None else None

    def tags(self) -> list[Tag]:
        found: list[Tag] = []
        for key, value in self.raw.items():
            match = _TAG.fullmatch(key) if "tag" in key.lower() else None
            # `none` is a word that a tenant may have chosen; only an empty label tells nothing.
            if match is not None and isinstance(value, str) and (label := value.strip()):
                found.append(("ivr" if match[1].lower() == "ivr" else "gather", int(match[2]), label))
        return found

    def recording_url(self) -> str | None:
        stream = branch(self.params, self.tree, "stream")
        values = (
            self.params.get("recordingurl"),
            stream.get("recordingurl") if isinstance(stream, dict) else None,
            self.params.get("callrecordings"),
        )
        for value in values:
            url = text_of(value)
            if url is not None and url.lower().startswith(("https://", "http://")):
                return url
        return None
