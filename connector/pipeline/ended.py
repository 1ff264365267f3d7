"""How an attempt ended, beside what it wrote."""

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
