"""Which calls bulk details shall find, as Exotel's query wants it (docs/reference/exotel.md §6.4)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from connector.exotel.wire import IST

_MOST_SIDS: Final = 100
_MOST_NUMBERS: Final = 5
_LONGEST_WINDOW: Final = timedelta(days=31)
_TIME: Final = "%Y-%m-%d %H:%M:%S"


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Empty: no matter which. Raises `ValueError` for more than Exotel takes."""

    #: 100 at most.
    sids: Sequence[str] = ()
    #: Aware, both inclusive, to the second, 31 days apart at most; without them Exotel takes the last 31 days.
    created_from: datetime | None = None
    created_until: datetime | None = None
    #: E.164, 5 at most each.
    to: Sequence[str] = field(default=(), repr=False)
    from_: Sequence[str] = field(default=(), repr=False)
    exophones: Sequence[str] = field(default=(), repr=False)
    #: completed, failed, busy, no-answer, canceled
    statuses: Sequence[str] = ()
    #: inbound, outbound-dial, outbound-api
    directions: Sequence[str] = ()
    #: Only calls that lasted so many seconds or longer, IVR and ringing included.
    longer_s: int | None = None
    oldest_first: bool = True

    def __post_init__(self) -> None:
        if len(self.sids) > _MOST_SIDS:
            raise ValueError(f"{_MOST_SIDS} CallSids at most can be asked for at once")
        if max(len(self.to), len(self.from_), len(self.exophones)) > _MOST_NUMBERS:
            raise ValueError(f"{_MOST_NUMBERS} numbers at most can be asked for at once")
        begin, end = self.created_from, self.created_until
        if any(moment is not None and moment.tzinfo is None for moment in (begin, end)):
            raise ValueError("times without a zone cannot be asked for")
        if begin is not None and end is not None and not timedelta(0) <= end - begin <= _LONGEST_WINDOW:
            raise ValueError("the end is before the beginning, or more than 31 days behind it")
        listed = (*self.sids, *self.to, *self.from_, *self.exophones, *self.statuses, *self.directions)
        if any("," in text or ";" in text or not text for text in listed):
            raise ValueError("an empty value, or one with a comma or semicolon, cannot be asked for")

    def query(self) -> Mapping[str, str]:
        """The filter's parameters; those that are not asked for are left out."""
        lists = {
            "Sid": self.sids,
            "To": self.to,
            "From": self.from_,
            "PhoneNumber": self.exophones,
            "Status": self.statuses,
            "Direction": self.directions,
        }
        begin, end = self.created_from, self.created_until
        bounds = [
            f"gte:{begin.astimezone(IST):{_TIME}}" if begin else "",
            f"lte:{end.astimezone(IST):{_TIME}}" if end else "",
        ]
        window = ";".join(filter(None, bounds))
        return {
            **{name: ",".join(values) for name, values in lists.items() if values},
            **({"DateCreated": window} if window else {}),
            **({"Duration": f"gte:{self.longer_s}s"} if self.longer_s is not None else {}),
            "SortBy": "DateCreated:asc" if self.oldest_first else "DateCreated:desc",
        }
