"""The applets of a tenant file: numbers as E.164, templates tried, before a caller waits for them."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from connector.errors import ConfigError, Rejected
from connector.phone import is_sip
from connector.tenants.applets import Applets, Sound, StartPlayback
from connector.tenants.change import Run
from connector.words.spoken import ADDRESS, said


def checked(run: Run, applets: Applets, path: str, country: str) -> dict[str, Any]:
    """The applets as they are stored; mistakes are noted by their places."""
    for place, words in wrong_templates(applets):
        run.wrong(f"{path}.{place}", words)
    stored = applets.model_dump(mode="json", exclude_unset=True)
    for name, connect in stored.get("connect", {}).items():
        at = f"{path}.connect.{name}"
        for part in ("group", "fallback"):
            numbers = connect.get(part, [])
            connect[part] = [_dialled(run, f"{at}.{part}[{i}]", number, country) for i, number in enumerate(numbers)]
        outgoing = connect.get("outgoing_phone_number")
        if outgoing is not None:
            connect["outgoing_phone_number"] = run.number(f"{at}.outgoing_phone_number", outgoing, country)
    return stored


def _dialled(run: Run, path: str, number: str, country: str) -> str:
    return number if is_sip(number) else run.number(path, number, country)


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
            if ADDRESS.match(words):
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
