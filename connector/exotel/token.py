"""The short token that goes out as a placed call's CustomField, and comes back in its callbacks."""

import base64
import re
import secrets
from typing import Final

_TOKEN: Final = re.compile(r"c2c-[a-z2-7]{16}")


def new_token() -> str:
    """80 random bits in 20 characters; Exotel takes 128 (docs/reference/exotel.md §6.1)."""
    return "c2c-" + base64.b32encode(secrets.token_bytes(10)).decode().lower()


def is_token(text: str | None) -> bool:
    """Whether a CustomField is one of ours, and no user's."""
    return text is not None and _TOKEN.fullmatch(text) is not None
