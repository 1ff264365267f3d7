"""How an attempt ends, beside what it wrote."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Ended:
    """What a person should know of an attempt, and why the delivery is dead, if it is."""

    warnings: list[str] = field(default_factory=list)
    #: (`rejected` or `unsure`, words for the tenant)
    dead: tuple[str, str] | None = None
    #: When something that was not there yet is looked for again (Unix time).
    again_at: float | None = None

    def warn(self, words: str) -> None:
        """Adds what a person should know, once."""
        if words not in self.warnings:
            self.warnings.append(words)

    def look_again(self, at: float) -> None:
        """The delivery goes on at this time, or sooner if something else is."""
        self.again_at = at if self.again_at is None else min(at, self.again_at)


class Waiting(Exception):
    """Raised inside an attempt: `until` is Unix time, `reason` is shown, `state` is the reason for `pending`.

    `failed`: a write just left without a verdict, which counts as a failure of the CRM and as an attempt; the waiting
    that follows does not.
    """

    def __init__(self, reason: str, *, until: float, state: str = "waiting", failed: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.until = until
        self.state = state
        self.failed = failed
