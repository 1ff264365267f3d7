"""Prompts: what templates of applets may name, and the words that are read out to a caller.

What a request brings is a stranger's: it is put into words as one line without an address in it, so that Exotel never
takes it for an audio file to fetch.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from connector.exotel.model import CallEvent
from connector.phone import display
from connector.tenants.applets import Gather, Greeting, Playback, Sound
from connector.tenants.masking import shown
from connector.tenants.model import Tenant
from connector.words.spoken import one_line, said


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
    spoken = {name: one_line(value) for name, value in told.items()}
    days = {"weekday": at.strftime("%A"), "date": at.date().isoformat()}
    return {**spoken, "tenant": tenant.sid, "hour": at.hour, **days}


def sound(part: Sound, facts: Mapping[str, Any]) -> dict[str, str]:
    """`{"text": …}` or `{"audio_url": …}`. Raises as `said`."""
    if part.text is not None:
        return {"text": said(part.text, facts)}
    return {"audio_url": part.audio_url or ""}


def gather(part: Gather, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a Gather applet (docs/reference/exotel-flows.md §5.8). Raises as `said`."""
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
    """The answer to a Greeting or Menu applet: words, or addresses line by line (docs/reference/exotel-flows.md §5.15).
    Raises as `said`.
    """
    return said(part.text, facts) if part.text is not None else "\n".join(part.audio_urls)


def played(part: Any, facts: Mapping[str, Any]) -> dict[str, Any]:
    """One playback of a Connect applet, its words filled in (docs/reference/exotel-flows.md §5.5). Raises as `said`."""
    value = said(part.value, facts) if part.type == "text" else part.value
    return {**part.model_dump(), "value": value}


def playback(part: Playback, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a Connect applet that asks what to play. Raises as `said`."""
    parts = ((name, getattr(part, name)) for name in type(part).model_fields)
    return {name: played(one, facts) for name, one in parts if one is not None}


@lru_cache(maxsize=512)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
