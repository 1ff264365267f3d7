"""A step's key as a stamp in a text, or as a mark in a file's name."""

import hashlib
import html as html_
import re


def marked(key: str, name: str) -> str:
    """`name` with a mark that is the key's alone before its ending: `recording-c1-0123456789abcdef.mp3`."""
    stem, dot, ending = name.rpartition(".")
    return f"{stem or ending}-{_mark(key)}{dot}{ending if stem else ''}"


def is_marked(key: str, name: str) -> bool:
    """Whether `name` was made by `marked` with this key; a CRM may have added to it, as to one that is there twice."""
    return _mark(key) in name.lower()


def _mark(key: str) -> str:
    return hashlib.blake2b(key.encode(), digest_size=8).hexdigest()


_STAMP = re.compile(r"\[ref ([^\]\s]+)\]")


def stamp(key: str) -> str:
    """The key as small visible text, for records without a field for it: comments and hidden spans get cleaned away."""
    return f"<p><small>[ref {html_.escape(key)}]</small></p>"


def signed(text: str, key: str) -> str:
    """Plain text with the key as its last line, for records that take no HTML."""
    return f"{text}\n[ref {key}]".lstrip()


def stamped(key: str, text: str) -> bool:
    """Whether `text` (HTML or plain, as the CRM gives it back) carries `stamp(key)`, and not that of a longer key."""
    return any(found == key for found in _STAMP.findall(html_.unescape(text)))
