"""Headers that tell an account's quota."""

from collections.abc import Mapping
from dataclasses import dataclass

from connector.adapter.records import Quota
from connector.adapter.values import count


@dataclass(frozen=True)
class QuotaHeaders:
    """Names of the headers that tell how many requests there are, how many are left, and per how long."""

    total: str = "X-RateLimit-Total"
    remaining: str = "X-RateLimit-Remaining"
    #: Seconds that the total is for; where a header tells milliseconds, its name.
    per: float | str = 60.0

    def quota(self, headers: Mapping[str, str]) -> Mapping[str, Quota]:
        """The bucket `all`, as far as it is told; a total that is no number makes the rest mean nothing."""
        total, remaining = count(headers.get(self.total)), count(headers.get(self.remaining))
        if total is None:
            return {} if remaining is None or headers.get(self.total) else {"all": Quota(remaining=remaining)}
        if isinstance(self.per, str):
            told_ms = count(headers.get(self.per))
            return {"all": Quota(remaining, total, told_ms / 1000 if told_ms else None)}
        return {"all": Quota(remaining, total, self.per)}
