"""Story: what one call is for one connection, told once. Plan, words, lacks, files and replays read the same.

No I/O, no clock of its own: what only time can tell (a call gone quiet, a menu that was left) is told as of a moment.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from connector.adapter import Adapter, Agent, Desk, Sales
from connector.adapter.options import RecordOptions
from connector.exotel import recordings
from connector.exotel.model import Call, Link, Outcome
from connector.pipeline.calls.times import ASKED_S, FILE_AFTER_S, LONGEST_CALL_S, QUIET_S
from connector.pipeline.recordings.links import Links, file_name
from connector.tenants.model import Connection, Tenant

#: What only the work itself goes by.
_UNSHOWN: Final = {"links", "agent_open", "closed", "terminal_at", "last_event_at", "first_event_at"}


@dataclass(frozen=True, slots=True)
class Target:
    """For whom is planned: the connection, with the options of the delivery's revision, and what its adapter offers."""

    tenant: Tenant
    connection: Connection
    adapter: type[Adapter[Any]]
    #: Makes the links that stand in for Exotel's; None where no words are written.
    links: Links | None = None
    #: Exotel is asked for what calls lack, and answers.
    asks: bool = False

    def uses(self, records: Literal["desk", "sales"]) -> bool:
        """Whether calls become tickets (`desk`) or call logs (`sales`): by the adapter's families and `records`."""
        if not issubclass(self.adapter, {"desk": Desk, "sales": Sales}[records]):
            return False
        options = self.connection.options
        return not isinstance(options, RecordOptions) or records in options.records


@dataclass(frozen=True, slots=True)
class Heard:
    """How a CRM shows a call's recording: by our link, or by words in its place. All empty: there is none to show."""

    link: str = ""
    words: str = ""
    #: What a person should know, where something is wrong with it.
    warning: str = ""


@dataclass(frozen=True, slots=True)
class Story:
    """A folded call for one target, as far as it is known at `told_at` (Unix time)."""

    call: Call
    target: Target
    told_at: float
    #: From when on nothing more is waited for (Unix time), whatever did not arrive.
    quiet_at: float
    is_quiet: bool
    #: The call ended, or nothing more is waited for.
    is_over: bool
    #: How the call ended; what no event told is concluded once it is quiet.
    outcome: Outcome
    #: A message was spoken.
    left_voicemail: bool
    #: The caller was asked to key something.
    took_input: bool
    #: Seconds that somebody talked; None where nobody did, or nobody told.
    talk_s: int | None
    #: The agent of the map who answered.
    agent: Agent | None
    #: The record of this connection's CRM that a person chose for the call.
    link: Link | None
    #: Exotel's link to the recording, where the tenant wants it and it leads to Exotel.
    recording: str | None
    #: Never Exotel's own link, which asks for the account's credentials.
    heard: Heard

    @property
    def available_by(self) -> float:
        """Unix time by which the recording's file is there: as Exotel promised, where that can be believed."""
        promise, over_at = self.call.recording_available_by, self.call.terminal_at or self.call.last_event_at
        if promise is None or promise.timestamp() > over_at + LONGEST_CALL_S:
            return over_at + FILE_AFTER_S
        return promise.timestamp()

    def with_file(self) -> "Story":
        """The same where the CRM gets the recording itself: its records name the file in place of a link."""
        assert self.recording is not None
        name = file_name(self.call.call_sid or "", self.recording)
        return replace(self, heard=Heard(words=f"attached as {name}, once Exotel has it ready"))

    def settled(self) -> Call:
        """The call as adapters are shown it: with its final outcome, and only what may be shown."""
        tenant = self.target.tenant
        shown: dict[str, Any] = {
            "outcome": self.outcome,
            "recording_url": self.heard.link or None,
            "duration_s": self.talk_s,
        }
        if tenant.mask is not None:
            # A record's own fields for numbers are read by the same people as its words.
            own = {agent.phone for agent in self.target.connection.agents} | set(tenant.exophones)
            legs = self.call.legs
            legs = tuple(leg if leg.number in own else leg.model_copy(update={"number": None}) for leg in legs)
            shown |= {"customer_number": None, "legs": legs}
        return self.call.model_copy(update=shown)

    def summary(self) -> str:
        """The fold as lists and the API show it: `Call` as JSON, with the outcome as told here."""
        shown = self.call.model_dump(mode="json", exclude=_UNSHOWN)
        shown["kinds"] = sorted(self.call.kinds)
        shown["outcome"] = self.outcome
        return json.dumps(shown, ensure_ascii=False, separators=(",", ":"))


def tell(call: Call, target: Target, now: float) -> Story:
    """The call's story for a connection, as far as it is known at `now`."""
    quiet_at = call.last_event_at + (LONGEST_CALL_S if call.agent_open else QUIET_S)
    if target.asks and not call.agent_open:
        quiet_at += ASKED_S
    quiet = call.closed or now >= quiet_at
    outcome = outcome_of(call, quiet=quiet)
    recording = _recording(call, target)
    return Story(
        call=call,
        target=target,
        told_at=now,
        quiet_at=quiet_at,
        is_quiet=quiet,
        is_over=call.over or quiet,
        outcome=outcome,
        left_voicemail=call.voicemail or outcome == "voicemail",
        took_input=_took_input(call),
        talk_s=call.duration_s or None if outcome in ("answered", "voicemail") else None,
        agent=_answered_by(call, target.connection.agents),
        link=next((link for link in call.links if link.connection == target.connection.id), None),
        recording=recording,
        heard=_heard(call, target, recording),
    )


def outcome_of(call: Call, *, quiet: bool) -> Outcome:
    """How the call ended; what no event told is concluded once the call is quiet."""
    if call.outcome != "in-progress" or not quiet:
        return call.outcome
    if any(agent.answered for agent in call.agents):
        return "answered"
    if call.recording_url and call.direction == "inbound":
        return "voicemail"  # nobody is known to have talked, yet there is something to hear: Call Details alone
    if call.agents:
        return "missed"
    if _took_input(call):
        return "ivr" if "end" in call.kinds else "abandoned"
    return "missed"


def _took_input(call: Call) -> bool:
    return bool(call.kinds & {"ivr", "gather"})


def _recording(call: Call, target: Target) -> str | None:
    url = call.recording_url if target.connection.options.recording != "none" else None
    if url is None or not recordings.allowed(url, target.tenant.sid, target.tenant.api_url):
        return None
    return url


def _heard(call: Call, target: Target, recording: str | None) -> Heard:
    if call.recording_url is None or target.connection.options.recording == "none":
        return Heard()
    if recording is None:
        warning = "The recording was left out: its link does not lead to Exotel."
        return Heard(words="left out, the link does not lead to Exotel", warning=warning)
    link = target.links.link(recording) if target.links is not None else None
    if link is None:
        warning = "The recording has no link: CONNECTOR_PUBLIC_URL does not say where browsers reach the connector."
        return Heard(
            words="kept at Exotel; there is no link, since the connector has no public address", warning=warning
        )
    return Heard(link=link)


def _answered_by(call: Call, agents: Sequence[Agent]) -> Agent | None:
    """By number, else by e-mail."""
    if call.agent_number is not None:
        for agent in agents:
            if agent.phone == call.agent_number:
                return agent
    if call.agent_email is not None:
        for agent in agents:
            if agent.email is not None and agent.email.casefold() == call.agent_email.casefold():
                return agent
    return None
