"""The applets of a tenant file: what is refused and where, what is stored, and the URLs to paste."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connector.errors import ConfigError
from connector.tenants import urls
from connector.tenants.applets import Applets
from connector.tenants.apply import apply_file
from tests.rig.shop import Shop

WAV = "https://cdn.acme.example/hello.wav"
CONNECT: dict[str, Any] = {"fallback": ["08047494574"]}
GATHER: dict[str, Any] = {"gather_prompt": {"text": "Please key your order."}}

#: Whole, with everything that the reference allows (docs/reference/exotel-flows.md §5.5, §5.6, §5.8, §5.15).
WHOLE: dict[str, Any] = {
    "connect": {
        "sales": {
            "owner": True,
            "sticky_days": 7,
            "group": ["09711581199", "sip:alice@acme.example"],
            "fallback": ["+918047494574", "08047494575"],
            "fetch_after_attempt": True,
            "outgoing_phone_number": "08047494574",
            "record": True,
            "recording_channels": "dual",
            "max_ringing_duration": 60,
            "max_conversation_duration": 4500,
            "music_on_hold": {"type": "custom_tone", "value": WAV},
            "parallel_ringing": {"activate": True, "max_parallel_attempts": 10},
            "start_call_playback": {"playback_to": "both", "type": "text", "value": "A call from {{ number }}"},
        }
    },
    "gather": {
        "order": {
            "gather_prompt": {"text": "{% if hour < 12 %}Good morning{% else %}Hello{% endif %}, key your order."},
            "max_input_digits": 255,
            "finish_on_key": "",
            "input_timeout": 6,
            "repeat_menu": 2,
            "repeat_gather_prompt": {"audio_url": WAV.replace("wav", "mp3")},
        }
    },
    "greeting": {"hello": {"text": "Welcome, caller from {{ number }}."}, "tune": {"audio_urls": [WAV, WAV]}},
    "playback": {
        "agents": {
            "start_call_playback": {"playback_to": "callee", "type": "audio_url", "value": WAV},
            "in_call_playback": {"start_delay": 5, "repeat_frequency": 10, "type": "text", "value": "Still there."},
            "end_call_playback": {"type": "text", "value": "Thank you."},
        }
    },
}


def test_everything_that_the_reference_allows(shop: Shop) -> None:
    shop.apply(applets=WHOLE)
    sales = shop.tenant.applets.connect["sales"]
    assert sales.group == ("+919711581199", "sip:alice@acme.example")
    assert sales.fallback == ("+918047494574", "+918047494575")
    assert sales.outgoing_phone_number == "+918047494574"
    assert shop.tenant.applets.gather["order"].finish_on_key == ""
    assert shop.apply(applets=WHOLE).changes == [], "the same file changes nothing"
    assert set(shop.tenant.applets.greeting) == {"hello", "tune"}
    shop.apply(applets=None)
    assert shop.tenant.applets == Applets()


@pytest.mark.parametrize(
    ("applets", "path", "words"),
    [
        ({"connect": {"a": {}}}, "connect.a.fallback", "is required"),
        ({"connect": {"a": {"fallback": []}}}, "connect.a.fallback", "at least 1"),
        ({"connect": {"a": {"fallback": ["12"]}}}, "connect.a.fallback[0]", "no phone number"),
        ({"connect": {"a": {**CONNECT, "group": ["0804749", "x"]}}}, "connect.a.group[1]", "no phone number"),
        ({"connect": {"a": {**CONNECT, "outgoing_phone_number": "sip:a"}}}, "connect.a.outgoing_phone_number", "no ph"),
        ({"connect": {"a": {**CONNECT, "max_ringing_duration": 61}}}, "connect.a.max_ringing_duration", "60"),
        ({"connect": {"a": {**CONNECT, "max_conversation_duration": 4501}}}, "connect.a.max_conversation_dur", "4500"),
        ({"connect": {"a": {**CONNECT, "recording_channels": "mono"}}}, "connect.a.recording_channels", "single"),
        ({"connect": {"a": {**CONNECT, "music_on_hold": {"type": "jazz"}}}}, "connect.a.music_on_hold.type", "tone"),
        ({"connect": {"a": {**CONNECT, "music_on_hold": {"type": "custom_tone"}}}}, "connect.a.music_on_hold", "value"),
        (
            {"connect": {"a": {**CONNECT, "parallel_ringing": {"max_parallel_attempts": 11}}}},
            "connect.a.parallel_ringing.max_parallel_attempts",
            "10",
        ),
        (
            {"connect": {"a": {**CONNECT, "start_call_playback": {"type": "audio_url", "value": "ftp://a/b.wav"}}}},
            "connect.a.start_call_playback",
            "not an address",
        ),
        (
            {"connect": {"a": {**CONNECT, "start_call_playback": {"type": "text", "value": "{{ nobody }}"}}}},
            "connect.a.start_call_playback.value",
            "nobody",
        ),
        ({"connect": {"a": {**CONNECT, "ring": 3}}}, "connect.a.ring", "unknown key"),
        ({"connect": {"a/b": CONNECT}}, "connect.a/b", "pattern"),
        ({"gather": {"a": {}}}, "gather.a.gather_prompt", "is required"),
        ({"gather": {"a": {"gather_prompt": {}}}}, "gather.a.gather_prompt", "either text or audio_url"),
        ({"gather": {"a": {**GATHER, "max_input_digits": 256}}}, "gather.a.max_input_digits", "255"),
        ({"gather": {"a": {**GATHER, "max_input_digits": 0}}}, "gather.a.max_input_digits", "1"),
        ({"gather": {"a": {**GATHER, "finish_on_key": "12"}}}, "gather.a.finish_on_key", "pattern"),
        ({"gather": {"a": {**GATHER, "input_timeout": 0}}}, "gather.a.input_timeout", "1"),
        ({"gather": {"a": {**GATHER, "repeat_menu": -1}}}, "gather.a.repeat_menu", "0"),
        ({"gather": {"a": {"gather_prompt": {"text": "{% for"}}}}, "gather.a.gather_prompt.text", "cannot be read"),
        ({"gather": {"a": {"gather_prompt": {"text": "{{ 2 ** 99 }}"}}}}, "gather.a.gather_prompt.text", "may not use"),
        ({"greeting": {"a": {"audio_urls": ["https://a/b.ogg"]}}}, "greeting.a.audio_urls[0]", ".wav and .mp3"),
        ({"greeting": {"a": {"audio_urls": ["file:///etc/passwd"]}}}, "greeting.a.audio_urls[0]", "not an address"),
        ({"greeting": {"a": {"text": "hi", "audio_urls": [WAV]}}}, "greeting.a", "either text or audio_urls"),
        ({"greeting": {"a": {"text": WAV}}}, "greeting.a.text", "is an address"),
        ({"greeting": {"a": {"text": "{% if digits == '' %}{% endif %}"}}}, "greeting.a.text", "says nothing"),
        ({"playback": {"a": {}}}, "playback.a", "give start_call_playback"),
        ({"ivr": {}}, "ivr", "unknown key"),
    ],
)
def test_what_is_refused_is_named_by_its_path(
    shop: Shop, tmp_path: Path, applets: dict[str, Any], path: str, words: str
) -> None:
    tenant = {"sid": "exotel535", "api_key": "demo_key", "api_token": "demo_token", "applets": applets}
    (tmp_path / "t.json").write_text(json.dumps({"tenants": [tenant]}))
    with pytest.raises(ConfigError) as refused:
        apply_file(tmp_path / "t.json", shop.db, shop.box, {})
    assert f"tenants[0].applets.{path}" in refused.value.message
    assert words in refused.value.message
    assert shop.tenant.applets == Applets(), "nothing at all was applied"


def test_a_name_is_needed_where_there_are_several() -> None:
    two = Applets.model_validate({"connect": {"sales": CONNECT, "support": {**CONNECT, "record": True}}})
    assert two.named("connect", "support") == ("support", two.connect["support"])
    assert two.named("connect", None) is None
    assert two.named("gather", None) is None
    one = Applets.model_validate({"connect": {"sales": CONNECT}})
    assert one.named("connect", None) == ("sales", one.connect["sales"])
    assert one.named("connect", "sails") is None
    default = Applets.model_validate({"connect": {"sales": CONNECT, "default": CONNECT}})
    assert default.named("connect", None) == ("default", default.connect["default"])


def test_the_urls_to_paste(shop: Shop) -> None:
    assert urls.applet_urls(shop.tenant, "https://c.example") == []
    shop.apply(applets={**WHOLE, "greeting": dict.fromkeys(("default", "night"), WHOLE["greeting"]["hello"])})
    found = [url for _, url in urls.applet_urls(shop.tenant, "https://c.example")]
    assert found == [
        "https://c.example/h/hook-token/connect",
        "https://c.example/h/hook-token/playback",
        "https://c.example/h/hook-token/gather",
        "https://c.example/h/hook-token/greeting",
        "https://c.example/h/hook-token/greeting?name=night",
    ]
    text = "\n".join(urls.describe(shop.tenant, replace(shop.config, public_url="https://c.example")))
    assert all(url in text for url in found)
