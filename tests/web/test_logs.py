"""Nothing secret in any line, at any level, in any format; one line per record, whatever it holds."""

import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Literal

import pytest

from connector.observe import logs
from tests.web.stubs import (
    HOOK,
    KEY,
    SID,
    TOKEN,
    Client,
    StubDirectories,
    StubPipeline,
    basic,
    raw_request,
    tenant,
)

RECORDING = "https://recordings.exotel.com/exotelrecordings/exotel535/secret-file.mp3"
CUSTOMER = "09711581199"


@pytest.fixture(params=["text", "json"])
def written(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    root, aiohttp_access, asyncio_log = (
        logging.getLogger(),
        logging.getLogger("aiohttp.access"),
        logging.getLogger("asyncio"),
    )
    before = (root.handlers[:], root.level, aiohttp_access.disabled, asyncio_log.level)
    stream = io.StringIO()
    format_: Literal["text", "json"] = request.param
    logs.set_up(format_, logging.DEBUG, stream)
    yield stream
    logging.captureWarnings(False)
    root.handlers[:], root.level, aiohttp_access.disabled, asyncio_log.level = before


async def test_nothing_secret_at_debug(
    written: io.StringIO, client: Client, pipeline: StubPipeline, directories: StubDirectories
) -> None:
    query = f"?CallSid={SID}&CallFrom={CUSTOMER}&RecordingUrl={RECORDING}&key={TOKEN}"
    body = {"CallSid": SID, "From": CUSTOMER, "RecordingUrl": RECORDING}
    for headers in ({}, basic(), basic("a", TOKEN), {"Authorization": f"Bearer {HOOK}"}):
        for path in ("/pop/exotel535", f"/pop/{KEY}:{TOKEN}", f"/h/{HOOK}/missed", f"/h/{HOOK}/dance", f"/x/{HOOK}"):
            await client.get(path + query, headers=headers)
            await client.post(path + query, data=body, headers=headers)
            await client.post(path, data=b"x" * 70_000, headers=headers)
    pipeline.busy = True
    await client.get(f"/h/{HOOK}/missed{query}")
    pipeline.broken = True
    await client.get(f"/h/{HOOK}/missed{query}")
    directories.apply(tenant(hook="another"))
    await client.get(f"/h/{HOOK}x/missed{query}")
    await raw_request(
        client, f"GET /h/{HOOK}/pop?key={TOKEN}&é HTTP/1.1\r\nAuthorization: Bearer {HOOK}\r\n\r\n".encode()
    )
    text = written.getvalue()
    assert "hook accepted" in text
    assert "hook refused" in text
    assert "hook not stored" in text
    assert "request failed" in text
    assert "request not readable as HTTP" in text
    for secret in (HOOK, TOKEN, basic()["Authorization"].split()[1], "secret-file", CUSTOMER[1:], KEY):
        assert secret not in text


@pytest.mark.parametrize(
    ("message", "extra", "expected"),
    [
        ("a line", {}, r'\S+Z INFO t: a line|{"at": "\S+Z", "level": "INFO", "logger": "t", "message": "a line"}'),
        (
            "x",
            {"delivery": 7, "tenant": "e"},
            r'.*: x tenant=e delivery=7|.*"message": "x", "tenant": "e", "delivery": 7}',
        ),
        ("x", {"error": "+919711581199 is taken"}, r'.*error="…1199 is taken"|.*"error": "…1199 is taken"}'),
        ("x", {"call_sid": "97115811990000"}, r'.* call_sid=97115811990000|.*"call_sid": "97115811990000"}'),
        ("x", {"reason": "a\nFORGED b"}, r'.* reason="a\\nFORGED b"|.*"reason": "a\\nFORGED b"}'),
        ("two\nlines", {}, r".*: two\\nlines|.*two\\nlines.*"),
        ("x", {"url": f"https://k:t@h/h/{HOOK}/pop"}, r".*https://\[hidden\]@h/h/\[hidden\]/pop.*"),
    ],
)
def test_lines(written: io.StringIO, message: str, extra: dict[str, object], expected: str) -> None:
    logging.getLogger("t").info(message, extra=extra)
    assert re.fullmatch(f"(?:{expected})\n", written.getvalue())


def test_tracebacks_are_redacted(written: io.StringIO) -> None:
    try:
        raise RuntimeError(f"GET https://{KEY}:tok@h/h/{HOOK}/pop of +919711581199 and {RECORDING}")
    except RuntimeError:
        logging.getLogger("t").exception("request failed", extra={"tenant": "exotel535"}, stack_info=True)
    text = written.getvalue()
    assert "Traceback" in text
    for secret in (HOOK, KEY, "9711581199", "secret-file"):
        assert f"{secret}/pop" not in text.replace(f"{{{secret}}}", "")
    assert f"https://{KEY}" not in text


@pytest.mark.parametrize("formatter", [logs.TextFormatter(), logs.JsonFormatter()])
def test_a_mistake_in_a_log_call_costs_no_line(formatter: logging.Formatter) -> None:
    record = logging.makeLogRecord({"msg": "%d of %d", "args": ("one",)})
    assert "%d of %d" in formatter.format(record)


def test_json_is_one_object_per_line() -> None:
    record = logging.makeLogRecord({"name": "t", "msg": "é %s", "args": ("\x1b",), "levelname": "INFO", "step": {1}})
    assert json.loads(logs.JsonFormatter().format(record))["step"] == "{1}"


def test_the_server_keeps_other_errors() -> None:
    record = logging.makeLogRecord({"msg": "Unhandled exception", "exc_info": (ValueError, ValueError("x"), None)})
    assert logs.ServerLog().filter(record)
    assert record.msg == "Unhandled exception"
    assert logs.server_logger() is logs.server_logger()
    assert len(logs.server_logger().filters) == 1
