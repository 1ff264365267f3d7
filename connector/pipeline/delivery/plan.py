"""Plan: everything known about a call -> what each record should say. No I/O, no clock of its own.

`plan` alone decides; what differs from the journal is done. It only ever asks for more as more is known of a call
(a missed call stays one that was missed, whatever comes later), so that the order of arrival does not matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from connector.adapter import Adapter, Agent, Chat, Desk, Files, Kind, Ref, Sales, Tasks
from connector.adapter.options import DeskOptions, RecordOptions, TaskOptions
from connector.exotel import recordings
from connector.exotel.model import Call, Outcome
from connector.pipeline.calls.times import ASKED_S, FILE_AFTER_S, LAST_INPUT_S, LONGEST_CALL_S, QUIET_S
from connector.pipeline.recordings.links import FILE, Links, file_name
from connector.tenants.model import Connection, Tenant


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


@dataclass(frozen=True, slots=True)
class Heard:
    """How a CRM shows a call's recording: by our link, or by words in its place. All empty: there is none to show."""

    link: str = ""
    words: str = ""
    #: What a person should know, where something is wrong with it.
    warning: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """What one slot should say. `needs` are slots without whose record it cannot be written."""

    slot: str
    kind: Kind
    #: Template part (`ticket`, `note`) and variant (`missed`, `voicemail`, ...) that make the words.
    part: str
    variant: str
    needs: tuple[str, ...] = ()
    agent: Agent | None = None
    #: A person's choice of record: nothing is created, the slot adopts it.
    adopt: Ref | None = None
    #: Another record that the words name.
    names: Ref | None = None
    #: Only words of a record that is there already are brought up to date.
    only_update: bool = False
    #: The caller's open record is taken instead of a new one, if there is one.
    prefer_open: bool = False
    #: Written only where the named slot adopted a record that was open already.
    only_on_open: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in order, when to look again if no event comes before (Unix time), and how the call stands."""

    steps: tuple[Step, ...]
    look_again_at: float | None
    outcome: Outcome
    #: Why nothing is written, where policy says so.
    not_due: str | None = None


def plan(call: Call, target: Target, now: float) -> Plan:
    """What the call should leave in this connection's CRM, as far as it is known at `now`."""
    quiet_at = call.last_event_at + (LONGEST_CALL_S if call.agent_open else QUIET_S)
    if target.asks and not call.agent_open:
        quiet_at += ASKED_S
    quiet = call.closed or now >= quiet_at
    outcome = outcome_of(call, quiet=quiet)
    look_again_at = None if call.over or quiet else quiet_at
    not_due = _not_due(call, target)
    if not_due:
        return Plan((), None, outcome, not_due)
    if _took_input(call) and call.terminal_at is not None and not quiet:
        settled_at = call.terminal_at + LAST_INPUT_S
        if now < settled_at:
            return Plan((), settled_at, outcome)
    steps: tuple[Step, ...] = ()
    if uses(target, "desk"):
        steps += _desk(call, target, outcome, quiet=quiet)
    if uses(target, "sales") and (call.over or quiet):
        steps += _sales(call, target, outcome)
    if issubclass(target.adapter, Chat) and (call.over or quiet):
        steps += _chat(call, target, outcome)
    steps += _file(call, target, steps)
    return Plan(steps, look_again_at, outcome)


def uses(target: Target, records: str) -> bool:
    """Whether calls become tickets (`desk`) or call logs (`sales`) here: by the adapter's families and `records`."""
    if not issubclass(target.adapter, {"desk": Desk, "sales": Sales}[records]):
        return False
    options = target.connection.options
    return not isinstance(options, RecordOptions) or records in options.records


def settled(call: Call, target: Target, outcome: Outcome) -> Call:
    """The call as adapters are shown it: with its final outcome, and only what may be shown."""
    shown: dict[str, Any] = {
        "outcome": outcome,
        "recording_url": heard(call, target).link or None,
        "duration_s": talk_time(call, outcome),
    }
    if target.tenant.mask is not None:
        # A record's own fields for numbers are read by the same people as its words.
        own = {agent.phone for agent in target.connection.agents} | set(target.tenant.exophones)
        legs = tuple(leg if leg.number in own else leg.model_copy(update={"number": None}) for leg in call.legs)
        shown |= {"customer_number": None, "legs": legs}
    return call.model_copy(update=shown)


def talk_time(call: Call, outcome: Outcome) -> int | None:
    """Seconds that somebody talked; None where nobody did, or nobody told."""
    return call.duration_s or None if outcome in ("answered", "voicemail") else None


def recording_of(call: Call, target: Target) -> str | None:
    """Exotel's link to the recording, where the tenant wants it and it leads to Exotel."""
    url = call.recording_url if target.connection.options.recording != "none" else None
    if url is None or not recordings.allowed(url, target.tenant.sid, target.tenant.api_url):
        return None
    return url


def available_by(call: Call) -> float:
    """Unix time by which the recording's file is there: as Exotel promised, where that can be believed."""
    promise, over_at = call.recording_available_by, call.terminal_at or call.last_event_at
    if promise is None or promise.timestamp() > over_at + LONGEST_CALL_S:
        return over_at + FILE_AFTER_S
    return promise.timestamp()


def heard(call: Call, target: Target) -> Heard:
    """What the CRM is told of the recording: never Exotel's own link, which asks for the account's credentials."""
    if call.recording_url is None or target.connection.options.recording == "none":
        return Heard()
    url = recording_of(call, target)
    if url is None:
        warning = "The recording was left out: its link does not lead to Exotel."
        return Heard(words="left out, the link does not lead to Exotel", warning=warning)
    is_file = target.connection.options.recording == "attach" and issubclass(target.adapter, Files)
    if is_file and not (target.links and target.links.no_file):
        return Heard(words=f"attached as {file_name(call.call_sid or '', url)}, once Exotel has it ready")
    link = target.links.link(url) if target.links is not None else None
    if link is None:
        warning = "The recording has no link: CONNECTOR_PUBLIC_URL does not say where browsers reach the connector."
        return Heard(
            words="kept at Exotel; there is no link, since the connector has no public address", warning=warning
        )
    return Heard(link=link)


def worded(target: Target, planned: Plan) -> Target:
    """The target as words are written for it: where no file is planned, the link is shown."""
    if target.links is None or any(step.kind == "file" for step in planned.steps):
        return target
    return replace(target, links=replace(target.links, no_file=True))


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


def _left_voicemail(call: Call, outcome: Outcome) -> bool:
    return call.voicemail or outcome == "voicemail"


def _took_input(call: Call) -> bool:
    return bool(call.kinds & {"ivr", "gather"})


def _not_due(call: Call, target: Target) -> str | None:
    options = target.connection.options
    if call.customer_number is not None and call.customer_number in options.ignore:
        return "the caller is on the list of numbers that are never recorded"
    if options.exophones and call.exophone not in options.exophones:
        return "the call was not on one of this connection's ExoPhones"
    return None


def _desk(call: Call, target: Target, outcome: Outcome, *, quiet: bool) -> tuple[Step, ...]:
    options = target.connection.options
    assert isinstance(options, DeskOptions)
    who = answered_by(call, target.connection.agents)
    assignee = who if options.assign == "agent" else None
    about = _ticket(call, options, outcome, quiet=quiet)
    link = next((link for link in call.links if link.connection == target.connection.id), None)
    steps: list[Step] = []
    if link is not None:
        linked = Ref("ticket", link.id, link.url)
        steps.append(Step("ticket", "ticket", "ticket", about or "answered", adopt=linked))
        steps.append(Step("note:link", "note", "link", "link", needs=("ticket",), names=linked))
    elif about is not None:
        steps.append(
            Step(
                "ticket",
                "ticket",
                "ticket",
                about,
                agent=assignee,
                prefer_open=about == "missed" and options.missed == "open_ticket",
            )
        )
        steps.append(Step("note:call", "note", "call", about, needs=("ticket",), only_on_open="ticket"))
    elif outcome == "answered":
        steps.append(Step("ticket", "ticket", "ticket", "answered", agent=assignee, only_update=True))
    if not steps:
        return ()
    recording = call.recording_url if options.recording != "none" else None
    if recording or talk_time(call, outcome):
        steps.append(
            Step(
                "note:recording",
                "note",
                "note",
                "voicemail" if _left_voicemail(call, outcome) else "recording",
                needs=("ticket",),
            )
        )
    return tuple(steps)


def _ticket(call: Call, options: DeskOptions, outcome: Outcome, *, quiet: bool) -> str | None:
    """Which ticket: the first that holds (design, section 6)."""
    inbound = call.direction == "inbound"
    if _left_voicemail(call, outcome):
        return "voicemail"
    if inbound and (call.missed or outcome == "missed"):
        return "missed"
    if inbound and ("automated_answered" in call.kinds or (options.answered == "ticket" and outcome == "answered")):
        return "answered"
    if not inbound and (call.over or quiet):
        return "outbound"
    if _took_input(call) and ("end" in call.kinds or call.over or quiet):
        return "ivr"
    return None


def _file(call: Call, target: Target, steps: Sequence[Step]) -> tuple[Step, ...]:
    """The recording as a file on the call's main record: last, so that nothing waits for it."""
    if target.connection.options.recording != "attach" or recording_of(call, target) is None:
        return ()
    if not issubclass(target.adapter, Files):
        return ()
    main = [step for step in steps if step.kind in target.adapter.files_on]
    # A ticket that is only brought up to date may not be there; the call log is.
    main.sort(key=lambda step: step.only_update)
    if not main or (main[0].only_update and any(step.kind == "call_log" for step in steps)):
        return ()
    return (Step(FILE, "file", FILE, "", needs=(main[0].slot,)),)


def _variant(call: Call, outcome: Outcome) -> str:
    """Which words a finished call gets in a call log or a chat."""
    if call.direction == "outbound":
        return "outbound"
    return outcome if outcome in ("answered", "missed", "voicemail") else "ivr"


def _sales(call: Call, target: Target, outcome: Outcome) -> tuple[Step, ...]:
    """Every finished call is a call log; what was missed is a follow-up too, where asked for."""
    who = answered_by(call, target.connection.agents)
    options = target.connection.options
    steps = [Step("log", "call_log", "log", _variant(call, outcome), agent=who)]
    follows = isinstance(options, TaskOptions) and options.follow_up != "none" and issubclass(target.adapter, Tasks)
    unreached = call.missed or call.voicemail or outcome in ("missed", "voicemail")
    if follows and unreached and call.direction == "inbound":
        steps.append(
            Step("task", "task", "task", "voicemail" if _left_voicemail(call, outcome) else "missed", agent=who)
        )
    return tuple(steps)


def _chat(call: Call, target: Target, outcome: Outcome) -> tuple[Step, ...]:
    """A message in the conversation of customer and agent; what is heard and keyed follows as a second one."""
    who = answered_by(call, target.connection.agents)
    variant = _variant(call, outcome)
    steps = [
        Step("conversation", "conversation", "message", variant, agent=who, prefer_open=True),
        Step(
            "message:1", "message", "message", variant, needs=("conversation",), agent=who, only_on_open="conversation"
        ),
    ]
    if call.recording_url or talk_time(call, outcome) or call.digits:
        steps.append(Step("message:2", "message", "details", variant, needs=("conversation",), agent=who))
    return tuple(steps)


def answered_by(call: Call, agents: Sequence[Agent]) -> Agent | None:
    """The agent of the map who answered, by number, else by e-mail."""
    if call.agent_number is not None:
        for agent in agents:
            if agent.phone == call.agent_number:
                return agent
    if call.agent_email is not None:
        for agent in agents:
            if agent.email is not None and agent.email.casefold() == call.agent_email.casefold():
                return agent
    return None
