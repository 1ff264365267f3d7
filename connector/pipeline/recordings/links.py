"""Links: what stands in a CRM in place of Exotel's private link to a recording (docs/design.md §6, §8).

A link is `<public url>/r/<name>.<signature>`. The name is a keyed hash of tenant, CallSid and Exotel's link: nobody
guesses it, and every attempt finds the same one. The signature is made with a key that HKDF derives from one of the
operator's; the row remembers which, so that a newer key in front changes no note, and a link works while its key is
listed. For whom and how long it works is the tenant's setting when it is opened and no part of the link: changing that
rewrites nothing.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from connector.adapter import Adapter
from connector.store.queries.deliveries import Work
from connector.store.queries.recordings import RecordingRow
from connector.store.secrets import SecretBox

_TOKEN: Final = re.compile(r"([0-9a-f]{32})\.([A-Za-z0-9_-]{43})")
#: The slot of a recording that is uploaded to the CRM.
FILE: Final = "file"


@dataclass(frozen=True, slots=True)
class Links:
    """Makes the links of one call. `base`: where browsers reach this service; None where nobody said."""

    box: SecretBox
    base: str | None
    tenant_id: int
    call_sid: str
    #: Exotel's link -> row, those that the store has.
    rows: Mapping[str, RecordingRow]
    #: The CRM will not get the file: the link stands in for it.
    no_file: bool = False

    def row(self, url: str, available_by: float | None = None) -> RecordingRow:
        """The row that a link to this recording names, as it should be in the store."""
        known = self.rows.get(url)
        key_id = known.key_id if known is not None and known.key_id in self.box.key_ids else self.box.key_ids[0]
        name = self.box.fingerprint(f"recording:{self.tenant_id}:{self.call_sid}:{url}")[:32]
        if available_by is None and known is not None:
            available_by = known.available_by
        return RecordingRow(url, name, key_id, available_by, known is not None and known.is_revoked)

    def link(self, url: str) -> str | None:
        """Our link to a recording; None where it could lead nowhere."""
        if self.base is None:
            return None
        row = self.row(url)
        return f"{self.base}/r/{row.name}.{self.box.token(_purpose(row.name), row.key_id)}"


@dataclass(frozen=True, slots=True)
class LinkMaker:
    """Makes `Links`. `base`: adapter -> where links in its CRM lead."""

    box: SecretBox
    base: Callable[[type[Adapter[Any]]], str | None]

    def of(self, work: Work, adapter: type[Adapter[Any]]) -> Links:
        """The links of a delivery's call, for the CRM of `adapter`."""
        file = work.steps.get(FILE)
        no_file = file is not None and file.state == "skipped"
        return Links(
            self.box, self.base(adapter), work.tenant_id, work.call_sid or "", work.recordings, no_file=no_file
        )


def name_in(token: str, box: SecretBox) -> str | None:
    """The recording that a link's token names; None where it was not signed with a listed key."""
    match = _TOKEN.fullmatch(token)
    if match is None:
        return None
    return match[1] if box.is_token(_purpose(match[1]), match[2]) else None


def file_name(call_sid: str, url: str) -> str:
    """`recording-<CallSid>.mp3`: a file name that every system takes, with the kind that Exotel's link ends in."""
    stem = re.sub(r"[^A-Za-z0-9-]+", "-", call_sid).strip("-")[:64]
    return f"recording-{stem}{extension_of(url)}"


def extension_of(url: str) -> str:
    """`.mp3` or `.wav`, as Exotel's link says; `.mp3`, its default, where it does not."""
    return ".wav" if url.lower().partition("?")[0].endswith(".wav") else ".mp3"


def _purpose(name: str) -> str:
    return f"recording:{name}"
