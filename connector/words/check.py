"""A tenant's templates, tried on a made-up call before they are kept."""

from collections.abc import Mapping
from typing import Any, Final

from connector.adapter.options import Options
from connector.errors import ConfigError, Rejected
from connector.words.defaults import TITLES
from connector.words.sandbox import compiled, rendered

#: Template parts that people may write, and whether they are HTML.
PARTS: Final = {
    "subject": False,
    "body": True,
    "note": True,
    "call": True,
    "link": True,
    "log_subject": False,
    "log": True,
    "task_subject": False,
    "task": True,
    "message": False,
    "details": False,
}


def check_templates(options: Options) -> None:
    """Compiles and tries every template of the options. Raises `ConfigError` naming the one that is wrong."""
    for name, source in options.fields.items():
        _try(f"options.fields.{name}", source, html=False)
    for part, chosen in options.templates.items():
        if part not in PARTS:
            raise ConfigError(
                f"is not a template; known are {', '.join(sorted(PARTS))}", field=f"options.templates.{part}"
            )
        for variant, source in {"": chosen}.items() if isinstance(chosen, str) else chosen.items():
            if variant and variant not in TITLES:
                known = ", ".join(sorted(TITLES))
                raise ConfigError(
                    f"is not a kind of ticket; known are {known}", field=f"options.templates.{part}.{variant}"
                )
            _try(f"options.templates.{part}" + (f".{variant}" if variant else ""), source, html=PARTS[part])


def _try(where: str, source: str, *, html: bool) -> None:
    try:
        compiled(source, html=html)
        rendered(source, _SAMPLE, html=html)
    except ConfigError as error:
        raise ConfigError(error.message, field=where) from error
    except Rejected as error:
        raise ConfigError(error.message, field=where) from error


_SAMPLE: Final[Mapping[str, Any]] = {
    "title": "Missed call",
    "number": "08884643606",
    "number_label": "From",
    "direction": "inbound",
    "exophone": "Support line (08047494574)",
    "when": "Wed, 27 Dec 2023 12:17:05 IST",
    "agent": "Avnish (09711581199)",
    "outcome": "Missed",
    "ended_by": "Caller",
    "call_sid": "0123456789abcdef0123456789abcdef",
    "custom_field": "",
    "digits": [{"label": "ivr_tag_1", "digits": "2"}],
    "recording": "https://calls.example.com/r/0123456789abcdef",
    "recording_left_out": "",
    "recording_warning": "",
    "voicemail": False,
    "duration": "00:00:04",
    "duration_s": 4,
    "tenant": "example",
    "linked": {"id": "1", "url": "https://example.com/1"},
}
