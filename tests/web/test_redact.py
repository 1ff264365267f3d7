"""Secrets in any spelling are found, ordinary text is left alone."""

import json
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.observe.redact import mask_numbers, redact, redact_all, redact_for_log

URL = "https://demo_key:demo:token@hooks.example.com/h/hook-token_1/answered?CallSid=1&key=s3cret&event=pop"


def spellings(url: str) -> list[str]:
    escaped = json.dumps(url).replace("/", r"\/")
    return [url, json.dumps(url), escaped, quote(url, safe=""), quote(url), quote(escaped, safe=""), quote(quote(url))]


@pytest.mark.parametrize("text", spellings(URL))
def test_every_spelling_of_an_echoed_url(text: str) -> None:
    for shown in (redact(text), redact(f"before {text} after"), redact(f"passthru={text}&x=1")):
        for secret in ("demo_key", "demo:token", "token@", "hook-token_1", "s3cret"):
            assert quote(secret, safe="") not in shown
            assert secret not in shown
        assert "hooks.example.com" in shown
        assert "answered" in shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Authorization: Basic ZGVtb19rZXk6ZGVtbw==", "Authorization: Basic [hidden]"),
        ("authorization: bearer ctk_abcdefgh0123", "authorization: bearer [hidden]"),
        ("?api_key=1&a=2", "?api_key=[hidden]&a=2"),
        ("?X-Amz-Signature=abc&a=2", "?X-Amz-Signature=[hidden]&a=2"),
        ("{'api_token': 'abc', 'sid': 'exotel535'}", "{'api_token': '[hidden]', 'sid': 'exotel535'}"),
        ('{"refresh_token":"1000.abc"}', '{"refresh_token":"[hidden]"}'),
        ("http://u:p@127.0.0.1:9100/x", "http://[hidden]@127.0.0.1:9100/x"),
        (f"see https://calls.example/r/{'0a' * 16}.{'S-_' * 14}x.", "see https://calls.example/r/[hidden]."),
    ],
)
def test_secrets(text: str, expected: str) -> None:
    assert redact(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "https://acme.freshdesk.com/a/tickets/1004?x=a@b.example",
        "send the key and token as Basic credentials, or a bearer token",
        "route=/h/{hook_token}/{event} status=401",
        "route=/r/{token} https://forum.example/r/india",
        "monkey=1 keyboard=2 CallSid=0025b4a2c1ed43a7b1cf162a",
        "mail a@acme.example about http://acme.example/",
        "",
    ],
)
def test_ordinary_text(text: str) -> None:
    assert redact(text) == text


def test_structures() -> None:
    shown = redact_all({"key": "s3cret", "a": [{"api_token": ["x"]}, URL], "n": 1, "CallSid": "1", "none": None})
    assert shown == {
        "key": "[hidden]",
        "a": [{"api_token": "[hidden]"}, redact(URL)],
        "n": 1,
        "CallSid": "1",
        "none": None,
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("contact +918884643606 exists", "contact …3606 exists"),
        ("08884643606", "…3606"),
        ("phone=%2B918884643606&x=1", "phone=…3606&x=1"),
        ("call 0025b4a2c1ed43a7b1cf162a9711581199", "call 0025b4a2c1ed43a7b1cf162a9711581199"),
        ("ticket 1004 in 250 ms", "ticket 1004 in 250 ms"),
        ("at 2026-01-31T09:30:00.123456Z", "at 2026-01-31T09:30:00.123456Z"),
    ],
)
def test_numbers(text: str, expected: str) -> None:
    assert mask_numbers(text) == expected


@pytest.mark.parametrize(
    "link",
    [
        "https://recordings.exotel.com/exotelrecordings/exotel535/a.mp3",
        "https://recordings.mum1.exotel.com/exotelrecordings/exotel1m/a.mp3?x=1",
        "https://s3-ap-southeast-1.amazonaws.com/exotelrecordings/exotel535/a.mp3",
        r"https:\/\/recordings.exotel.com\/exotelrecordings\/a.mp3",
    ],
)
def test_recording_links_stay_out_of_logs(link: str) -> None:
    assert redact_for_log(f"could not read {link} twice") == "could not read [recording] twice"


@given(st.text())
def test_takes_any_text(text: str) -> None:
    redact_for_log(text)


@pytest.mark.parametrize(
    "piece", ["://", "a-", "/h/", "http://", "%25", "key=", "Basic ", "%3A%2F%2F", "a@", "0", "\\/"]
)
def test_takes_long_text_in_time(piece: str) -> None:
    text = piece * (65536 // len(piece))
    began = time.perf_counter()
    redact_for_log(text)
    assert time.perf_counter() - began < 2
