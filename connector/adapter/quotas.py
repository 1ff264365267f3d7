"""Headers that tell an account's quota."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from connector.adapter.records import Quota
from connector.adapter.values import count


@dataclass(frozen=True)
class QuotaHeaders:
    """Names of the headers that tell how many requests there are, how many are left, and per how long."""

    #: The first that is there counts.
    total: tuple[str, ...] = ("X-RateLimit-Total",)
    remaining: str = "X-RateLimit-Remaining"
    #: Seconds that the total is for; how they follow from it; or the name of a header that tells milliseconds.
    per: float | Callable[[int], float] | str = 60.0

    def quota(self, headers: Mapping[str, str]) -> Mapping[str, Quota]:
        """The bucket `all`, as far as it is told; a total that is no number makes the rest mean nothing."""
        told = next(filter(None, map(headers.get, self.total)), None)
        total, remaining = count(told), count(headers.get(self.remaining))
        if total is None:
            return {} if remaining is None or told else {"all": Quota(remaining=remaining)}
        return {"all": Quota(remaining, total, self._per_s(total, headers))}

    def _per_s(self, total: int, headers: Mapping[str, str]) -> float | None:
        if isinstance(self.per, str):
            told_ms = count(headers.get(self.per))
            return told_ms / 1000 if told_ms else None
        return self.per(total) if callable(self.per) else self.per
