"""An index that follows what is written, later."""

from collections import defaultdict
from collections.abc import Hashable
from typing import Generic, TypeVar

Id = TypeVar("Id", int, str)


class Index(Generic[Id]):
    """Ids by what was written in a record; entries stay, so what is found is compared with the record again."""

    def __init__(self) -> None:
        self._entries: defaultdict[Hashable, list[tuple[float, Id]]] = defaultdict(list)

    def add(self, key: Hashable, id_: Id, visible_at: float) -> None:
        """Has `key` lead to the record from `visible_at` on."""
        self._entries[key].append((visible_at, id_))

    def ids(self, key: Hashable, now: float | None = None) -> list[Id]:
        """Each id once, oldest entry first. Without `now` also those that a search does not see yet."""
        return list(dict.fromkeys(id_ for at, id_ in self._entries.get(key, ()) if now is None or at <= now))
