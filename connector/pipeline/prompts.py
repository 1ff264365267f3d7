"""Prompts: what templates of applets may name, and the words that are read out to a caller.

What a request brings is a stranger's: it is put into words as one line without an address in it, so that Exotel never
takes it for an audio file to fetch.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from connector.applets import Applets, Gather, Greeting, Playback, Sound, StartPlayback
from connector.errors import ConfigError, Rejected
from connector.exotel.model import CallEvent
from connector.masking import shown
from connector.phone import display
from connector.pipeline.sandbox import rendered
from connector.tenants import Tenant

_SAMPLE: Final[Mapping[str, Any]] = {
    "number": "08884643606",
    "exophone": "Support line",
    "digits": "15246",
    "custom_field": "order 17",
    "call_sid": "0123456789abcdef0123456789abcdef",
    "tenant": "example",
    "hour": 9,
    "weekday": "Monday",
    "date": "2023-12-27",
}
#: What a first request of a withheld number tells.
_BARE: Final[Mapping[str, Any]] = {**_SAMPLE, **dict.fromkeys(("exophone", "digits", "custom_field"), "")}
_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]*:/+", re.IGNORECASE)


def facts_of(event: CallEvent | None, tenant: Tenant, now: float) -> dict[str, Any]:
    """What templates may name: plain strings and `hour` (0 to 23, the tenant's zone). Empty where nothing is told."""
    at = datetime.fromtimestamp(now, UTC).astimezone(_zone(tenant.time_zone))
    exophone = event.exophone if event is not None else None
    number = shown(event.customer_number if event is not None else None, tenant.country, tenant.mask)
    told = {
        "number": number,
        "exophone": "" if exophone is None else tenant.exophones.get(exophone) or display(exophone, tenant.country),
        "digits": (event.digits if event is not None else None) or "",
        "custom_field": (event.custom_field if event is not None else None) or "",
        "call_sid": event.call_sid if event is not None else "",
    }
    spoken = {name: _one_line(value) for name, value in told.items()}
    days = {"weekday": at.strftime("%A"), "date": at.date().isoformat()}
    return {**spoken, "tenant": tenant.sid, "hour": at.hour, **days}


def said(source: str, facts: Mapping[str, Any]) -> str:
    """Words to be read out, on one line. Raises `Rejected` where the template cannot be filled in."""
    return " ".join(rendered(source, facts, html=False).split())


def sound(part: Sound, facts: Mapping[str, Any]) -> dict[str, str]:
    """`{"text": …}` or `{"audio_url": …}`. Raises as `said`."""
    if part.text is not None:
        return {"text": said(part.text, facts)}
    return {"audio_url": part.audio_url or ""}


def gather(part: Gather, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a Gather applet (seed 004 §5.8). Raises as `said`."""
    answer: dict[str, Any] = {
        "gather_prompt": sound(part.gather_prompt, facts),
        "max_input_digits": part.max_input_digits,
        "finish_on_key": part.finish_on_key,
        "input_timeout": part.input_timeout,
        "repeat_menu": part.repeat_menu,
    }
    if part.repeat_gather_prompt is not None:
        answer["repeat_gather_prompt"] = sound(part.repeat_gather_prompt, facts)
    return answer


def greeting(part: Greeting, facts: Mapping[str, Any]) -> str:
    """The answer to a Greeting or Menu applet: words, or addresses line by line (seed 004 §5.15). Raises as `said`."""
    return said(part.text, facts) if part.text is not None else "\n".join(part.audio_urls)


def played(part: Any, facts: Mapping[str, Any]) -> dict[str, Any]:
    """One playback of a Connect applet, its words filled in (seed 004 §5.5). Raises as `said`."""
    value = said(part.value, facts) if part.type == "text" else part.value
    return {**part.model_dump(), "value": value}


def playback(part: Playback, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a Connect applet that asks what to play. Raises as `said`."""
    parts = ((name, getattr(part, name)) for name in type(part).model_fields)
    return {name: played(one, facts) for name, one in parts if one is not None}


def wrong_templates(applets: Applets) -> Iterator[tuple[str, str]]:
    """(path, what is wrong) of each template that cannot be filled in."""
    for path, source in _templates(applets):
        for facts in (_SAMPLE, _BARE):
            try:
                words = said(source, facts)
            except (ConfigError, Rejected) as error:
                yield path, error.message
                break
            if not words and facts is _SAMPLE:
                yield path, "says nothing"
            if _ADDRESS.match(words):
                yield path, "is an address: an audio file is given as one"
                break


def _templates(applets: Applets) -> Iterator[tuple[str, str]]:
    """(path, source)"""
    for name, asked in applets.gather.items():
        for part in ("gather_prompt", "repeat_gather_prompt"):
            heard: Sound | None = getattr(asked, part)
            if heard is not None and heard.text is not None:
                yield f"gather.{name}.{part}.text", heard.text
    for name, greeted in applets.greeting.items():
        if greeted.text is not None:
            yield f"greeting.{name}.text", greeted.text
    for name, playing in applets.playback.items():
        for part in type(playing).model_fields:
            one = getattr(playing, part)
            if one is not None and one.type == "text":
                yield f"playback.{name}.{part}.value", one.value
    for name, connect in applets.connect.items():
        start: StartPlayback | None = connect.start_call_playback
        if start is not None and start.type == "text":
            yield f"connect.{name}.start_call_playback.value", start.value


def _one_line(value: str) -> str:
    printable = "".join(char if char.isprintable() else " " for char in value)
    return " ".join(_ADDRESS.sub(" ", printable).split())


@lru_cache(maxsize=512)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
