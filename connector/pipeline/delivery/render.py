"""Render: a planned step and what is known of the call -> the words of one record (`Entry`)."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from markupsafe import Markup

from connector.adapter import Adapter, Agent, Entry, Ref, Sales
from connector.adapter.options import ChatOptions, Options
from connector.errors import Rejected
from connector.exotel.model import Call, Outcome, Unreached
from connector.phone import display
from connector.pipeline.delivery.plan import Step
from connector.pipeline.delivery.story import Story, Target
from connector.tenants.masking import shown
from connector.tenants.model import Tenant
from connector.words.check import PARTS
from connector.words.defaults import CHAT, DESK, SALES, TITLES, Words
from connector.words.sandbox import rendered

_OUTCOMES: Final[Mapping[Outcome, str]] = {
    "answered": "Answered",
    "missed": "Missed",
    "voicemail": "Voicemail",
    "ivr": "Input taken",
    "abandoned": "Caller left in the menu",
    "in-progress": "In progress",
}
_UNREACHED: Final = {"busy": "Busy", "no-answer": "No answer", "failed": "Failed", "canceled": "Cancelled"}

#: What a step's words are made of: part of the subject, part of the text.
_MADE_OF: Final[Mapping[str, tuple[str | None, str]]] = {
    "ticket": ("subject", "body"),
    "log": ("log_subject", "log"),
    "task": ("task_subject", "task"),
}
_READ_OF_A_CALL: Final = {
    *("direction", "outcome", "status", "customer_number", "exophone", "agent_number", "duration_s"),
    *("recording_url", "started_at", "ended_at", "disconnected_by", "voicemail", "machine"),
}
_LINE_ENDS: Final = re.compile(r"(?i)<br ?/?>|</p>|</div>")


def render(step: Step, known: Mapping[str, Any], target: Target) -> Entry:
    """A step's words, from the `facts` of its call. Raises `Rejected` where a template cannot be filled in."""
    linked = step.names or Ref("ticket", "")
    known = {
        **known,
        "title": TITLES.get(step.variant, "Call"),
        "linked": {"id": linked.id, "url": linked.url or ""},
    }
    words = (target.adapter.default_words, DESK, SALES, CHAT)
    options = target.connection.options
    subject, body = _MADE_OF.get(step.part, (None, step.part))
    said = rendered(_source(body, step.variant, options, words), known, html=PARTS[body])
    return Entry(
        subject=rendered(_source(subject, step.variant, options, words), known, html=False) if subject else "",
        text=_plain(said) if PARTS[body] else said,
        html=said if PARTS[body] else "",
        agent=step.agent,
        private=not (isinstance(options, ChatOptions) and options.customer_sees),
        fields={name: rendered(source, known, html=False) for name, source in options.fields.items()}
        if step.kind == _main_record(target)
        else {},
    )


def _main_record(target: Target) -> str:
    """The kind of record that the tenant's `fields` belong to."""
    if target.uses("desk"):
        return "ticket"
    return "call_log" if issubclass(target.adapter, Sales) else "conversation"


def _plain(html: str) -> str:
    """The words of HTML that we rendered, a line per line."""
    lines = _LINE_ENDS.sub("\n", html).splitlines()
    return "\n".join(Markup(line).striptags() for line in lines).strip()  # noqa: S704 - it leaves as plain text


def without(entry: Entry, parts: frozenset[str]) -> Entry:
    """The entry without optional parts that the CRM refused: `agent`, `fields.<name>`, `<name of a field>`."""
    return replace(
        entry,
        agent=None if "agent" in parts else entry.agent,
        fields={name: v for name, v in entry.fields.items() if not {name, f"fields.{name}"} & parts},
    )


def optional(entry: Entry, parts: tuple[str, ...]) -> frozenset[str]:
    """Those of the refused parts that the entry has and a record can do without; empty if one is indispensable."""
    found = {part for part in parts if without(entry, frozenset({part})) != entry}
    return frozenset(found) if len(found) == len(set(parts)) else frozenset()


def digest(entry: Entry, call: Call | None = None) -> str:
    """Hash of what a record should say, by its words and, for records with fields of a call, by the settled call."""
    told = {**sent(entry), "call": _told(call)} if call is not None else sent(entry)
    return hashlib.sha256(json.dumps(told, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _told(call: Call) -> dict[str, Any]:
    """What adapters read of a call."""
    return call.model_dump(mode="json", include=_READ_OF_A_CALL)


def sent(entry: Entry) -> dict[str, Any]:
    """The entry as it is kept in the journal."""
    return {
        "subject": entry.subject,
        "text": entry.text,
        "html": entry.html,
        "agent": entry.agent.id if entry.agent else None,
        "private": entry.private,
        "fields": dict(entry.fields),
    }


def facts(story: Story) -> dict[str, Any]:
    """What templates may name of a call: plain strings, lists and dicts. Empty where nothing is known.

    `render` adds what a step knows: `title`, and `linked` with `id` and `url` of another record.
    """
    call, tenant = story.call, story.target.tenant
    return {
        "number": shown(call.customer_number, tenant.country, tenant.mask),
        "number_label": "To" if call.direction == "outbound" else "From",
        "direction": call.direction,
        "exophone": _exophone(call.exophone, tenant),
        "when": _when(call, tenant.time_zone),
        "agent": _agent(call, story.agent, tenant.country),
        "outcome": _outcome(call, story.outcome),
        "ended_by": call.disconnected_by or "",
        "call_sid": call.call_sid or "",
        "custom_field": call.custom_field or "",
        "digits": [{"label": d.label, "digits": d.digits} for d in call.digits],
        "recording": story.heard.link,
        "recording_left_out": story.heard.words,
        "recording_warning": story.heard.warning,
        "voicemail": call.voicemail,
        "duration": clock_time(story.talk_s) if story.talk_s else "",
        "duration_s": story.talk_s or 0,
        "tenant": tenant.sid,
    }


def clock_time(seconds: int) -> str:
    """`00:00:04`"""
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _outcome(call: Call, outcome: Outcome) -> str:
    if call.machine:
        return "Answered by a machine"
    if call.unreached is not None and outcome == "missed":
        return f"{_UNREACHED[call.unreached.status]} ({_who(call.unreached)})"
    if outcome == "missed" and call.status in _UNREACHED:
        return (
            f"{_OUTCOMES[outcome]} ({_UNREACHED[call.status]})"
            if call.direction == "inbound"
            else _UNREACHED[call.status]
        )
    return _OUTCOMES[outcome]


def _who(unreached: Unreached) -> str:
    """Who did not come to the phone, of a call that we placed."""
    if unreached.who == "customer" and unreached.status == "canceled":
        return "the agent hung up before the customer answered"
    what = {"busy": "was busy", "failed": "could not be reached", "canceled": "did not take the call"}
    return f"the {unreached.who} {what.get(unreached.status, 'did not answer')}"


def _exophone(exophone: str | None, tenant: Tenant) -> str:
    if exophone is None:
        return ""
    number = display(exophone, tenant.country)
    name = tenant.exophones.get(exophone)
    return f"{name} ({number})" if name else number


def _agent(call: Call, agent: Agent | None, country: str) -> str:
    number = display(call.agent_number, country) if call.agent_number else ""
    name = agent.name if agent is not None else (call.agent_email or "")
    if name and number:
        return f"{name} ({number})"
    return name or number


def _when(call: Call, zone: str) -> str:
    began = call.started_at or datetime.fromtimestamp(call.first_event_at, UTC)
    return began.astimezone(_zone(zone)).strftime("%a, %d %b %Y %H:%M:%S %Z")


@lru_cache(maxsize=512)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _source(part: str, variant: str, options: Options, words: tuple[Words, ...]) -> str:
    chosen = options.templates.get(part)
    if isinstance(chosen, str):
        return chosen
    for known in (chosen or {}, *(defaults.get(part, {}) for defaults in words)):
        if variant in known:
            return known[variant]
        if "" in known:
            return known[""]
    raise Rejected(f"There is no template for {part} of a call that was {variant}.", parts=("template",))


def default_words(adapter: type[Adapter[Any]], part: str, variant: str) -> str:
    """The template that applies where the tenant has none."""
    return _source(part, variant, Options(), (adapter.default_words, DESK, SALES, CHAT))
