"""Plan: everything known about a call -> what each record should say. No I/O, no clock of its own.

`plan` alone decides; what differs from the journal is done. It only ever asks for more as more is known of a call
(a missed call stays one that was missed, whatever comes later), so that the order of arrival does not matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from connector.adapter import Agent, Chat, Files, Kind, Ref, Tasks
from connector.adapter.options import DeskOptions, TaskOptions
from connector.pipeline.calls.times import LAST_INPUT_S
from connector.pipeline.delivery.story import Story
from connector.pipeline.recordings.links import FILE


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
    """Steps in order, the story as their words tell it, and when to look again if no event comes before (Unix time)."""

    story: Story
    steps: tuple[Step, ...] = ()
    look_again_at: float | None = None
    #: Why nothing is written, where policy says so.
    not_due: str | None = None


def plan(story: Story) -> Plan:
    """What the call should leave in this connection's CRM, as far as its story is told."""
    call, target = story.call, story.target
    not_due = _not_due(story)
    if not_due:
        return Plan(story, not_due=not_due)
    if story.took_input and call.terminal_at is not None and not story.is_quiet:
        settled_at = call.terminal_at + LAST_INPUT_S
        if story.told_at < settled_at:
            return Plan(story, look_again_at=settled_at)
    steps: tuple[Step, ...] = ()
    if target.uses("desk"):
        steps += _desk(story)
    if target.uses("sales") and story.is_over:
        steps += _sales(story)
    if issubclass(target.adapter, Chat) and story.is_over:
        steps += _chat(story)
    file = _file(story, steps)
    if file is not None:
        steps += (file,)
        if target.links is None or not target.links.no_file:
            story = story.with_file()
    return Plan(story, steps, None if story.is_over else story.quiet_at)


def _not_due(story: Story) -> str | None:
    call, options = story.call, story.target.connection.options
    if call.customer_number is not None and call.customer_number in options.ignore:
        return "the caller is on the list of numbers that are never recorded"
    if options.exophones and call.exophone not in options.exophones:
        return "the call was not on one of this connection's ExoPhones"
    return None


def _desk(story: Story) -> tuple[Step, ...]:
    options = story.target.connection.options
    assert isinstance(options, DeskOptions)
    assignee = story.agent if options.assign == "agent" else None
    about = _ticket(story, options)
    steps: list[Step] = []
    if story.link is not None:
        linked = Ref("ticket", story.link.id, story.link.url)
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
    elif story.outcome == "answered":
        steps.append(Step("ticket", "ticket", "ticket", "answered", agent=assignee, only_update=True))
    if not steps:
        return ()
    recording = story.call.recording_url if options.recording != "none" else None
    if recording or story.talk_s:
        variant = "voicemail" if story.left_voicemail else "recording"
        steps.append(Step("note:recording", "note", "note", variant, needs=("ticket",)))
    return tuple(steps)


def _ticket(story: Story, options: DeskOptions) -> str | None:
    """Which ticket: the first that holds (docs/design.md §6)."""
    call, outcome = story.call, story.outcome
    inbound = call.direction == "inbound"
    if story.left_voicemail:
        return "voicemail"
    if inbound and (call.missed or outcome == "missed"):
        return "missed"
    if inbound and ("automated_answered" in call.kinds or (options.answered == "ticket" and outcome == "answered")):
        return "answered"
    if not inbound and story.is_over:
        return "outbound"
    if story.took_input and ("end" in call.kinds or story.is_over):
        return "ivr"
    return None


def _file(story: Story, steps: Sequence[Step]) -> Step | None:
    """The recording as a file on the call's main record: last, so that nothing waits for it."""
    target = story.target
    if target.connection.options.recording != "attach" or story.recording is None:
        return None
    if not issubclass(target.adapter, Files):
        return None
    main = [step for step in steps if step.kind in target.adapter.files_on]
    # A ticket that is only brought up to date may not be there; the call log is.
    main.sort(key=lambda step: step.only_update)
    if not main or (main[0].only_update and any(step.kind == "call_log" for step in steps)):
        return None
    return Step(FILE, "file", FILE, "", needs=(main[0].slot,))


def _variant(story: Story) -> str:
    """Which words a finished call gets in a call log or a chat."""
    if story.call.direction == "outbound":
        return "outbound"
    return story.outcome if story.outcome in ("answered", "missed", "voicemail") else "ivr"


def _sales(story: Story) -> tuple[Step, ...]:
    """Every finished call is a call log; what was missed is a follow-up too, where asked for."""
    call, options = story.call, story.target.connection.options
    steps = [Step("log", "call_log", "log", _variant(story), agent=story.agent)]
    follows = isinstance(options, TaskOptions) and options.follow_up != "none"
    unreached = story.left_voicemail or call.missed or story.outcome == "missed"
    if follows and issubclass(story.target.adapter, Tasks) and unreached and call.direction == "inbound":
        variant = "voicemail" if story.left_voicemail else "missed"
        steps.append(Step("task", "task", "task", variant, agent=story.agent))
    return tuple(steps)


def _chat(story: Story) -> tuple[Step, ...]:
    """A message in the conversation of customer and agent; what is heard and keyed follows as a second one."""
    who, variant = story.agent, _variant(story)
    below = ("conversation",)
    steps = [
        Step("conversation", "conversation", "message", variant, agent=who, prefer_open=True),
        Step("message:1", "message", "message", variant, needs=below, agent=who, only_on_open="conversation"),
    ]
    if story.call.recording_url or story.talk_s or story.call.digits:
        steps.append(Step("message:2", "message", "details", variant, needs=below, agent=who))
    return tuple(steps)
