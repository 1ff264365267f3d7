"""The log: constant messages and fields, as text for people or JSON for machines, secrets taken out on the way.

Code logs no secret in the first place; the formatters redact every text again, tracebacks included. URLs are never
logged: aiohttp's access log is off, and our own line names the route.
"""

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

from aiohttp.http_exceptions import HttpProcessingError

from connector.observe.redact import redact, redact_for_log

#: Fields that say which piece of work a line is about, in this order; they are ids, whose digits stay.
_IDS: Final = (
    "tenant",
    "connection",
    "call_sid",
    "delivery",
    "step",
    "attempt",
    "status",
    "elapsed_ms",
    "route",
    "code",
)
_OF_A_RECORD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def set_up(format_: Literal["text", "json"] = "text", level: int = logging.INFO, stream: TextIO | None = None) -> None:
    """Sends everything of this process to `stream` (stderr) in one format, in place of what was set up before."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if format_ == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("aiohttp.access").disabled = True
    # Its own lines say little of ours, and at DEBUG every tick of the loop.
    logging.getLogger("asyncio").setLevel(max(level, logging.INFO))
    logging.captureWarnings(True)


class TextFormatter(logging.Formatter):
    """`2026-01-31T09:30:00.123Z INFO connector.web.hooks.ingress: hook refused tenant=exotel535 status=401`."""

    def format(self, record: logging.LogRecord) -> str:
        words = [f"{_time(record)} {record.levelname} {record.name}: {_one_line(_message(record))}"]
        words += [f"{name}={_quoted(value)}" for name, value in _fields(record).items()]
        trace = _trace(record)
        return " ".join(words) + (f"\n{trace}" if trace else "")


class JsonFormatter(logging.Formatter):
    """One JSON object per line: `at`, `level`, `logger`, `message`, the fields, and `trace` where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
            **_fields(record),
        }
        if trace := _trace(record):
            line["trace"] = trace
        return json.dumps(line, ensure_ascii=False, default=str)


class ServerLog(logging.Filter):
    """For the logger of aiohttp's server: what a stranger sent, a hook token perhaps, stands in its parser's errors."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            record.msg, record.args, record.exc_info, record.exc_text = "request not readable as HTTP", (), None, None
            record.levelno, record.levelname = logging.INFO, logging.getLevelName(logging.INFO)
            record.reason = type(error).__name__
        return True


def server_logger() -> logging.Logger:
    """The logger that aiohttp's server is given."""
    logger = logging.getLogger("connector.web.server")
    if not any(isinstance(known, ServerLog) for known in logger.filters):
        logger.addFilter(ServerLog())
    return logger


def _message(record: logging.LogRecord) -> str:
    try:
        return redact_for_log(record.getMessage())
    except Exception:
        # A line whose arguments do not fit its text is a mistake of ours, and no reason to lose the line.
        return redact_for_log(str(record.msg))


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    given = record.__dict__
    fields = {name: _id(given[name]) for name in _IDS if given.get(name) is not None}
    for name, value in given.items():
        if name not in _OF_A_RECORD and name not in fields and value is not None:
            fields[name] = value if isinstance(value, (bool, int, float)) else redact_for_log(str(value))
    return fields


def _id(value: Any) -> Any:
    return value if isinstance(value, (int, float)) else redact(str(value))


def _trace(record: logging.LogRecord) -> str:
    trace = logging.Formatter().formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""
    if record.stack_info:
        trace += ("\n" if trace else "") + record.stack_info
    return redact_for_log(trace)


def _time(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def _one_line(text: str) -> str:
    """No control character comes through: a line that a stranger's text breaks in two would be a forged one."""
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def _quoted(value: Any) -> str:
    text = str(value)
    if text.isprintable() and text and " " not in text and '"' not in text and "=" not in text:
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())
