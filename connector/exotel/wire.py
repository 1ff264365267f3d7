"""Exotel's bytes to plain values: bodies, bracketed keys, blanks, times, counts. Their meaning is `parse.py`'s.

Nothing here raises, whatever comes: a body that cannot be read is ignored, a value that cannot be read is None
(docs/reference/exotel.md §2.2, §2.3, §2.5).
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from email.parser import BytesParser
from email.utils import collapse_rfc2231_value
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

#: All of Exotel's times are Indian, none says so (docs/reference/exotel.md §1).
IST = timezone(timedelta(hours=5, minutes=30), "IST")

#: Deepest that Exotel nests is `Legs[0][Insights][Status]`.
_DEEPEST = 16
#: What the store and CRMs hold as an integer.
_LARGEST = 2**31 - 1
_NOTHING = frozenset({"", "null", "none", "undefined"})
# `{CallSid}` in a configured URL is never replaced (docs/reference/exotel.md §3).
_PLACEHOLDER = re.compile(r"\{[^{}\"]*\}|\{\{[^{}\"]*\}\}")
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_COUNT = re.compile(r"[0-9]{1,10}(?:\.[0-9]{1,20})?")
_BRACKETED = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\]){1,4})")
_RFC_TIME = re.compile(
    r"(?:[A-Za-z]{3,9},?\s+)?([0-9]{1,2})[\s-]([A-Za-z]{3})[a-z]*[\s-]([0-9]{4}),?\s+"
    r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?(?:\s*([+-]?)([0-9]{2}):?([0-9]{2})|\s+(GMT|UTC|IST))?"
)
_MONTHS = {
    name: number
    for number, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), start=1)  # noqa: SIM905
}

Pairs = Iterable[tuple[str, Any]]


def merge(query: Sequence[tuple[str, str]], content_type: str | None, body: bytes) -> dict[str, Any]:
    """Every parameter of a request as it came, the query's first.

    Of a repeated key the last value that tells something stays: Exotel appends its own parameters to the configured
    URL's (docs/reference/exotel.md §3), and posts them in the body.
    """
    merged: dict[str, Any] = {}
    for key, value in query:
        key, value = _legal(key), _legal(value)
        if key not in merged or _tells(value):
            merged[key] = value
    if body:
        for key, value in _read_body(content_type or "", body):
            if key not in merged or _tells(value):
                merged[key] = value
    return merged


@lru_cache(maxsize=4096)
def fold_key(key: str) -> str:
    """A parameter's name without case, blanks and underscores: `Current Time` is sent as `CurrentTime`."""
    return key.lower().replace(" ", "").replace("_", "")


def fold_keys(values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` under folded names; where names meet, the last that tells something stays."""
    folded: dict[str, Any] = {}
    for key, value in values.items():
        name = fold_key(key)
        if name not in folded or _tells(value):
            folded[name] = value
    return folded


def branch(params: Mapping[str, Any], tree: Mapping[str, Any], name: str) -> Any:
    """A nested value in any of its encodings, names folded: a list, an object, JSON text of one, or bracketed keys."""
    found = structure_of(params.get(name))
    return (fold_keys(found) if isinstance(found, dict) else found) or tree.get(name)


def unbracket(raw: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Bracketed keys as a tree of folded names: `Legs[0][Number]=1` -> `{"legs": {"0": {"number": "1"}}}`."""
    tree: dict[str, dict[str, Any]] = {}
    for key, value in raw.items():
        if "[" not in key:
            continue
        match = _BRACKETED.fullmatch(key)
        if match is None:
            continue
        *branches, leaf = match[2][1:-1].split("][")
        at: dict[str, Any] = tree.setdefault(fold_key(match[1]), {})
        for branch in branches:
            below = at.setdefault(fold_key(branch), {})
            if not isinstance(below, dict):
                break
            at = below
        else:
            at[fold_key(leaf)] = value
    return tree


def structure_of(value: Any) -> Any:
    """A list or an object, as JSON text or already read; None where it is neither."""
    if isinstance(value, str):
        text = value.strip()
        value = read_json(text) if text[:1] in ("[", "{") else None
    return value if isinstance(value, (list, dict)) else None


def text_of(value: Any) -> str | None:
    """Text without the blanks around it; None for what tells nothing: empty, `null`, `none`, `undefined`, `{CallSid}`.

    Characters that no text has (NUL and other controls) are left out, since neither stores nor CRMs take them.
    """
    if not isinstance(value, str):
        if value is None or isinstance(value, (list, dict, bool)):
            return None
        value = str(value)
    text: str = value.strip()
    if not text.isprintable():
        text = _CONTROLS.sub("", text).strip()
    if not text or (len(text) < 10 and text.lower() in _NOTHING):
        return None
    if text[0] == "{" and _PLACEHOLDER.fullmatch(text):
        return None
    return text


def word_of(value: Any) -> str | None:
    """A word of Exotel's vocabulary, for comparing: lower case, `in_progress` and `in progress` as `in-progress`."""
    text = text_of(value)
    if text is None:
        return None
    return text.lower().replace("_", "-").replace(" ", "-")


def count_of(value: Any) -> int | None:
    """Seconds or a code, as a number or as text, rounded; None where it is no count that fits 31 bits."""
    if isinstance(value, int):
        count = int(value) if not isinstance(value, bool) else -1
    else:
        text = text_of(value)
        if text is None or not _COUNT.fullmatch(text):
            return None
        count = int(text) if text.isdecimal() else round(float(text))
    return count if 0 <= count <= _LARGEST else None


def time_of(value: Any) -> datetime | None:
    """A time in any of Exotel's spellings, +05:30; None for its ways to say "unset" (docs/reference/exotel.md §2.2)."""
    text = text_of(value)
    if text is None:
        return None
    try:
        moment = _iso_time(text) if text[:4].isdecimal() else _rfc_time(text)
        # Unset is written 1970-01-01, 0001-01-01 or 0000-00-00 (that one is no date at all).
        if moment is None or not 2000 <= moment.year < 2200:
            return None
        return moment.replace(tzinfo=IST) if moment.tzinfo is None else moment.astimezone(IST)
    except (ValueError, OverflowError):
        return None


def _tells(value: Any) -> bool:
    return bool(value) if isinstance(value, (list, dict, bool)) else text_of(value) is not None


def _iso_time(text: str) -> datetime | None:
    if len(text) < 16:
        return None
    if len(text) != 19:
        text = text.replace(", ", " ", 1)  # as the gather page has it
        if text[-1] in "zZ":
            # Exotel's own documents write Z behind Indian time: Integration Core, outbound notifications.
            text = text[:-1]
        elif text[19:20] == " ":
            text = f"{text[:19]}+{text[20:]}"  # an unencoded + of a query string
    return datetime.fromisoformat(text)


def _rfc_time(text: str) -> datetime | None:
    match = _RFC_TIME.fullmatch(text)
    if match is None or (month := _MONTHS.get(match[2].lower())) is None:
        return None
    zone: timezone = UTC if match[10] in ("GMT", "UTC") else IST
    if match[8] is not None:
        offset = timedelta(hours=int(match[8]), minutes=int(match[9]))
        zone = timezone(-offset if match[7] == "-" else offset)
    day, year, hour, minute, second = (int(match[i] or 0) for i in (1, 3, 4, 5, 6))
    return datetime(year, month, day, hour, minute, second, tzinfo=zone)


def _read_body(content_type: str, body: bytes) -> Pairs:
    """The body's parameters, by content type and by look; nothing where it cannot be read."""
    kind = content_type.lower()
    start = body.lstrip(b"\xef\xbb\xbf \t\r\n")[:2]
    if "multipart/" in kind or start == b"--":
        return _read_multipart(content_type, body)
    # Senders forget to say that it is JSON; a form never begins with a brace.
    if "json" in kind or start[:1] == b"{":
        read = read_json(body.decode("utf-8", "replace"))
        return read.items() if isinstance(read, dict) else ()
    form = body.decode("utf-8-sig", "replace").strip()
    return parse_qsl(form, keep_blank_values=True) if "=" in form else ()


def read_json(text: str) -> Any:
    """JSON that the store can hold; None where it is no JSON, or nests deeper than anybody reads."""
    try:
        return _clean(_JSON.decode(text.strip("\ufeff \t\r\n")), 0)
    except (ValueError, RecursionError):
        return None


def _int(text: str) -> int | str:
    return int(text) if len(text) < 20 else text


def _float(text: str) -> float | str:
    number = float(text)
    return number if abs(number) < 1e18 else text


# Numbers that no integer or float holds stay text, as does NaN.
_JSON = json.JSONDecoder(parse_int=_int, parse_float=_float, parse_constant=str)


def _read_multipart(content_type: str, body: bytes) -> Pairs:
    """Fields of a `multipart/form-data` body; the boundary is read off the body where the header has none."""
    if "boundary=" not in content_type.lower():
        line = body.lstrip().split(b"\n", 1)[0].strip()[2:]
        content_type = f'multipart/form-data; boundary="{line.decode("latin-1")}"'
    header = " ".join(content_type.split()).encode("ascii", "replace")
    fields: list[tuple[str, str]] = []
    try:
        message = BytesParser().parsebytes(b"Content-Type: " + header + b"\r\n\r\n" + body)
        for part in message.get_payload() if message.is_multipart() else ():
            name = part.get_param("name", header="content-disposition")  # type: ignore[union-attr]
            value = part.get_payload(decode=True)  # type: ignore[union-attr]
            if name is not None and isinstance(value, bytes):
                fields.append((_legal(collapse_rfc2231_value(name)), value.decode("utf-8", "replace")))
    except Exception:
        # The mail parser promises no set of errors for what is no mail; a body is either read whole or ignored.
        return ()
    return fields


def _clean(value: Any, depth: int) -> Any:
    """JSON that the store can hold: no lone surrogates. Raises ValueError where it nests deeper than anybody reads."""
    if isinstance(value, str):
        return _legal(value)
    if depth > _DEEPEST:
        raise ValueError("nested too deep")
    if isinstance(value, dict):
        return {_legal(key): _clean(below, depth + 1) for key, below in value.items()}
    if isinstance(value, list):
        return [_clean(below, depth + 1) for below in value]
    return value


def _legal(text: str) -> str:
    """`text` with lone surrogates replaced: half a character cannot be written as UTF-8."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
