"""What a tenant answers Exotel's applets with while a caller waits: whom to ring, what to ask for, what to say.

Names and limits are those of the answers themselves (docs/reference/exotel.md §3.4,
docs/reference/exotel-flows.md §5.5, §5.6, §5.8, §5.15); how templates and numbers are checked beyond that, `apply`
knows.
"""

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

#: The version of Exotel's parameters that the answers are made for (header `Exotel-Version`).
VERSION = "1.0"


def _audio(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"[\s\x00-\x1f]", value):
        raise ValueError("not an address such as https://example.com/hello.wav")
    if not parts.path.lower().endswith((".wav", ".mp3")):
        raise ValueError("Exotel plays .wav and .mp3 only (8 kHz, mono, 16 bit)")
    return value


#: E.164 or `sip:…`; `apply` writes numbers of the tenant's country as E.164.
Number = Annotated[str, StringConstraints(min_length=1, max_length=255)]
AudioUrl = Annotated[str, StringConstraints(max_length=2048), AfterValidator(_audio)]
#: A template of words that are read out.
Words = Annotated[str, StringConstraints(min_length=1, max_length=8192)]
#: What `?name=` says.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, hide_input_in_errors=True)


class Sound(_Part):
    """Words or a file: exactly one of them."""

    text: Words | None = None
    audio_url: AudioUrl | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "Sound":
        if (self.text is None) == (self.audio_url is None):
            raise ValueError("give either text or audio_url")
        return self


class _Playback(_Part):
    """`value` is a template for `text`, an address for `audio_url`."""

    type: Literal["text", "audio_url"]
    value: Words

    @model_validator(mode="after")
    def _leads_to_a_file(self) -> "_Playback":
        if self.type == "audio_url":
            _audio(self.value)
        return self


class StartPlayback(_Playback):
    """Heard before the two are put through."""

    playback_to: Literal["both", "callee"] = "callee"


class InCallPlayback(_Playback):
    """Heard in between, `start_delay` seconds after the answer, again every `repeat_frequency` seconds."""

    start_delay: Annotated[int, Field(ge=0)] = 0
    repeat_frequency: Annotated[int, Field(ge=0)] = 0
    play_to_callee: bool = True
    play_to_caller: bool = False


class EndPlayback(_Playback):
    """Heard at the end."""


class MusicOnHold(_Part):
    """What a caller hears while somebody is rung."""

    type: Literal["default_tone", "operator_tone", "custom_tone"]
    value: AudioUrl | None = None

    @model_validator(mode="after")
    def _has_its_file(self) -> "MusicOnHold":
        if (self.type == "custom_tone") != (self.value is not None):
            raise ValueError("value is the audio file of type custom_tone, and of no other")
        return self


class ParallelRinging(_Part):
    """All at once; Exotel charges for it."""

    activate: bool = True
    max_parallel_attempts: Annotated[int, Field(ge=1, le=10)] = 5


class Connect(_Part):
    """Whom to ring: the contact's owner, who talked to the caller last, the group, and at last the fallback."""

    #: Whether the CRM is asked whose contact the caller is.
    owner: bool = True
    #: For so many days who last talked to a caller is rung again; 0: never.
    sticky_days: Annotated[int, Field(ge=0, le=365)] = 30
    #: Who is rung otherwise, in this order.
    group: tuple[Number, ...] = ()
    #: Who is rung where nobody else can be, or nobody else answered; whether these are free is not asked.
    fallback: Annotated[tuple[Number, ...], Field(min_length=1)]
    #: Exotel asks again after each attempt that failed, so that whoever is rung next is free then.
    fetch_after_attempt: bool = True
    #: Whether our popups hear of each attempt (`dial_passthru_event_url`).
    popups: bool = True
    outgoing_phone_number: Number | None = None
    record: bool = False
    recording_channels: Literal["single", "dual"] = "single"
    max_ringing_duration: Annotated[int, Field(ge=1, le=60)] = 30
    max_conversation_duration: Annotated[int, Field(ge=1, le=4500)] = 900
    music_on_hold: MusicOnHold | None = None
    parallel_ringing: ParallelRinging | None = None
    start_call_playback: StartPlayback | None = None

    @property
    def is_parallel(self) -> bool:
        """Whether several are rung at once."""
        return self.parallel_ringing is not None and self.parallel_ringing.activate


class Gather(_Part):
    """What a caller is asked to key."""

    gather_prompt: Sound
    # The documents disagree on the default (255, 127): it is always sent (docs/reference/exotel.md §11.12).
    max_input_digits: Annotated[int, Field(ge=1, le=255)] = 255
    #: The key that ends the input; empty: none does.
    finish_on_key: Annotated[str, StringConstraints(pattern=r"^[0-9*#]?$", strip_whitespace=False)] = "#"
    input_timeout: Annotated[int, Field(ge=1)] = 5
    repeat_menu: Annotated[int, Field(ge=0)] = 0
    repeat_gather_prompt: Sound | None = None


class Greeting(_Part):
    """What a caller hears: words, or files one after the other."""

    text: Words | None = None
    audio_urls: tuple[AudioUrl, ...] = ()

    @model_validator(mode="after")
    def _is_one(self) -> "Greeting":
        if (self.text is None) == (not self.audio_urls):
            raise ValueError("give either text or audio_urls")
        return self


class Playback(_Part):
    """What is played into a call that a Connect applet puts through."""

    start_call_playback: StartPlayback | None = None
    in_call_playback: InCallPlayback | None = None
    end_call_playback: EndPlayback | None = None

    @model_validator(mode="after")
    def _plays_something(self) -> "Playback":
        if not self.model_dump(exclude_none=True):
            raise ValueError("give start_call_playback, in_call_playback or end_call_playback")
        return self


class Applets(_Part):
    """A tenant's answers by applet and name; several flows may ask for several."""

    connect: dict[Name, Connect] = Field(default_factory=dict)
    gather: dict[Name, Gather] = Field(default_factory=dict)
    greeting: dict[Name, Greeting] = Field(default_factory=dict)
    playback: dict[Name, Playback] = Field(default_factory=dict)

    def named(self, applet: str, name: str | None) -> tuple[str, Any] | None:
        """(name, settings) of the applet's answer; without a name the one called `default`, or the only one."""
        known: dict[str, Any] = getattr(self, applet)
        if name is None:
            name = "default" if "default" in known or len(known) != 1 else next(iter(known))
        return (name, known[name]) if name in known else None
