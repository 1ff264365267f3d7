"""What is its people's once a ticket is made, in every help desk."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connector.adapter.values import subject_of
from connector.errors import NotFound


@dataclass(frozen=True)
class TicketRule:
    """Where a ticket stands is its people's business; so are its owner and its subject, once they set them."""

    #: The field that names whom the ticket belongs to.
    owner: str
    #: Fields that say where the ticket stands.
    state: tuple[str, ...] = ("status",)
    #: Fields that are true of a ticket in the trash.
    gone: tuple[str, ...] = ()
    #: Characters of the longest subject; None: there is no limit.
    longest: int | None = 255

    def change(self, now: Mapping[str, Any], was: str, words: Mapping[str, Any]) -> dict[str, Any] | None:
        """What of `words` may be written to a ticket that is `now` so; None where its subject is not `was` any more.

        Raises `NotFound` where it was deleted.
        """
        if any(now.get(name) for name in self.gone):
            raise NotFound("The ticket was deleted.", status=404)
        if subject_of(now.get("subject") or "", self.longest) != subject_of(was, self.longest):
            return None
        kept = {*self.state, *([self.owner] if now.get(self.owner) else [])}
        return {name: value for name, value in words.items() if name not in kept}
