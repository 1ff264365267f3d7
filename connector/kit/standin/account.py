"""An account of a CRM in memory, and how it refuses."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar


class Refused(Exception):
    """A request that is not done; the answer says why. `body` None: an answer without a body."""

    def __init__(self, status: int, body: Any = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


@dataclass
class StandinAccount:
    """One account of a CRM. Whatever is public may be changed while it runs."""

    #: Unix seconds; passed in by tests.
    clock: Callable[[], float] = time.time
    #: How long a search does not see a change.
    search_lag_s: float = 0.0
    #: `POST /tickets` -> how often it came; status -> how often it was answered.
    requests: Counter[str] = field(default_factory=Counter)
    answers: Counter[int] = field(default_factory=Counter)

    #: Fields that `PUT /_standin/account` may set.
    changeable: ClassVar[frozenset[str]] = frozenset({"search_lag_s"})

    def change(self, values: Mapping[str, Any]) -> None:
        """Sets fields by name. Raises `ValueError` for one that cannot be set."""
        unknown = values.keys() - self.changeable
        if unknown:
            raise ValueError(f"cannot be changed: {', '.join(sorted(unknown))}")
        for name, value in values.items():
            setattr(self, name, value)

    def now(self) -> str:
        """The time as the API writes it: `2025-03-02T04:41:12.000Z`, where a stand-in does not say otherwise."""
        return datetime.fromtimestamp(self.clock(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def visible_at(self, *, indexed: bool = False) -> float:
        """When search sees what is written now; `indexed`: at once, as what has been there for long."""
        return 0.0 if indexed else self.clock() + self.search_lag_s

    def not_found(self) -> Refused:
        """How an unknown path or record is answered."""
        return Refused(404)

    def counts(self) -> dict[str, int]:
        """Records by kind: `{"tickets": 3}`."""
        raise NotImplementedError("a stand-in counts its records")

    def dump(self) -> dict[str, Any]:
        """Every record, as JSON."""
        raise NotImplementedError("a stand-in shows its records")
