"""Words that are read out to a caller.

What a request brings is a stranger's: it is put into words as one line without an address in it, so that Exotel never
takes it for an audio file to fetch.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from connector.words.sandbox import rendered

#: What Exotel would take for the address of an audio file.
ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]*:/+", re.IGNORECASE)


def said(source: str, facts: Mapping[str, Any]) -> str:
    """Words to be read out, on one line. Raises `Rejected` where the template cannot be filled in."""
    return " ".join(rendered(source, facts, html=False).split())


def one_line(value: str) -> str:
    """A stranger's text as one line in which no address stands."""
    printable = "".join(char if char.isprintable() else " " for char in value)
    return " ".join(ADDRESS.sub(" ", printable).split())
