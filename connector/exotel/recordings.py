"""Which recording links may be followed or shown: Exotel's own hosts, and this account's own files.

A caller cannot choose a recording link, but whoever knows a hook's URL can; a link elsewhere is left out (design §8).
"""

import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

_HOSTS = frozenset({"recordings.exotel.com", "recordings.mum1.exotel.com"})
#: The bucket of old records (reference exotel.md §9); it takes no credentials of ours.
_OLD_BUCKET = "s3-ap-southeast-1.amazonaws.com"
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9._~/+@:-]*")


def allowed(url: str, sid: str, api_url: str | Mapping[str, str] | None = None) -> bool:
    """Whether `url` is a recording of the account `sid`, at Exotel or at the operator's own `api_url`."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    if parts.username is not None or parts.password is not None or parts.fragment:
        return False
    path = unquote(parts.path)
    if not _PLAIN_PATH.fullmatch(path) or "/.." in path or "//" in path:
        return False
    if not path.startswith(f"/exotelrecordings/{sid}/"):
        return False
    if parts.scheme == "https" and port in (None, 443) and parts.hostname in (*_HOSTS, _OLD_BUCKET):
        return True
    own = [api_url] if isinstance(api_url, str) else list((api_url or {}).values())
    return any((parts.scheme, parts.netloc) == urlsplit(base)[:2] for base in own)
