"""Takes secrets out of text: the last line of defence for logs, errors and echoed requests.

Exotel's dynamic-URL requests repeat a former hook's whole URL in a parameter, JSON-quoted with escaped slashes
(docs/reference/exotel.md §3), and a stored query has it percent-encoded: all three spellings are known here.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

HIDDEN: Final = "[hidden]"

# `%25` is a percent sign that was encoded once more.
_SLASH = r"(?:\\?/|(?:%(?:25)*5C)?%(?:25)*2F)"
_COLON = r"(?::|%(?:25)*3A)"
_AT = r"(?:@|%(?:25)*40)"
_IS = r"(?:=|%(?:25)*3D|[\"']\s*:\s*[\"'])"
#: What ends a part of a URL, in any of the spellings, and a run of what does not.
_STOP = r"(?:[/?#&\s\"'\\<>,;)\]}]|%(?:25)*(?:2F|3F|23|26|22|5C|20|27))"
_PART = rf"(?:(?!{_STOP}).)+"
_BEFORE_AT = rf"(?:(?!{_SLASH}|[\s\"'<>?#]).)*"
#: A name begins behind what is no letter or digit, or behind an encoded `&`, `?` or quote.
_START = r"(?:(?<![a-z0-9])|(?<=%26)|(?<=%2526)|(?<=%3F)|(?<=%253F)|(?<=%22)|(?<=%2522))"
_NAME = (
    r"(?:[a-z0-9]{1,20}[_.-]){0,3}(?:api|access|auth|client|hook|refresh)?"
    r"(?:key|token|secret|password|passwd|pwd|signature|sig|credentials?|authorization|auth)"
)

_USERINFO = re.compile(rf"({_COLON}{_SLASH}{_SLASH}){_BEFORE_AT}{_AT}", re.IGNORECASE)
# `{hook_token}` is the route's own word for it.
_HOOK = re.compile(rf"({_SLASH}h{_SLASH})(?!\{{){_PART}", re.IGNORECASE)
#: A link of ours to a recording: its token opens it.
_LINK = re.compile(rf"({_SLASH}r{_SLASH})[0-9a-f]{{32}}\.[A-Za-z0-9_-]+", re.IGNORECASE)
_QUERY_SECRET = re.compile(rf"({_START}{_NAME}{_IS}){_PART}", re.IGNORECASE)
_SECRET_NAME = re.compile(_NAME, re.IGNORECASE)
# "Basic credentials" is prose; a word of small letters is a credential only where it is long.
_HEADER = re.compile(
    r"\b((?i:basic|bearer|zoho-oauthtoken))(?:\s+|%20|\+)(?:(?=\S*[A-Z0-9=_+/])|(?=\S{16}))[A-Za-z0-9+/=_.~-]{8,}"
)
_RECORDING = re.compile(
    r"https?:\\?/\\?/[^\s\"'<>]{0,512}?(?:exotelrecordings|recordings?(?:\.mum1)?\.exotel\.com)[^\s\"'<>]*",
    re.IGNORECASE,
)
# Longer runs of digits are ids, shorter ones counts; a run within a word is part of an id.
_NUMBER = re.compile(r"(?<![\w.-])(?:\+|%2B)?\d{6,11}(\d{4})(?![\w-]|\.\d)")


def redact(text: str) -> str:
    """`text` without credentials in URLs, tokens of hooks and recordings, secrets in queries, Authorization values."""
    text = _USERINFO.sub(rf"\1{HIDDEN}@", text)
    text = _HOOK.sub(rf"\1{HIDDEN}", text)
    text = _LINK.sub(rf"\1{HIDDEN}", text)
    text = _QUERY_SECRET.sub(rf"\1{HIDDEN}", text)
    return _HEADER.sub(rf"\1 {HIDDEN}", text)


def redact_all(value: Any) -> Any:
    """A JSON structure with each of its texts redacted; what is a secret by its name loses its value."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {key: HIDDEN if _SECRET_NAME.fullmatch(str(key)) else redact_all(below) for key, below in value.items()}
    if isinstance(value, (list, tuple)):
        return [redact_all(below) for below in value]
    return value


def redact_for_log(text: str) -> str:
    """What a log may hold of `text`: no secret, no link to a recording, four digits of a number."""
    return mask_numbers(_RECORDING.sub("[recording]", redact(text)))


def mask_numbers(text: str) -> str:
    """`text` with phone numbers shown by their last four digits: `…4606`."""
    return _NUMBER.sub(r"…\1", text)
