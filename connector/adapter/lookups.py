"""Where a key is looked for: in the rows of a list below a known parent."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from connector.adapter.http import CrmHttp
from connector.adapter.keys import stamped
from connector.adapter.pages import Pages
from connector.adapter.records import Kind, Ref
from connector.errors import CannotTell


def below(kind: Kind, parent: Ref | None) -> Ref:
    """The parent that a `kind` is looked for below. Raises `CannotTell` where it is not known."""
    if parent is None:
        raise CannotTell(f"A {kind} is looked for below the record it hangs on, which is not known.")
    return parent


@dataclass(frozen=True)
class Listing:
    """Where the records of one kind are listed, and where each holds its key."""

    pages: Pages
    #: `tickets/{parent.id}/notes`
    path: str
    #: The field that holds the key.
    holds: str
    query: Callable[[Ref], Mapping[str, str]] | Mapping[str, str] | None = None
    bucket: str = "all"
    #: Whether a text of that field carries a key: `stamped`, or `is_marked` for names of files.
    carries: Callable[[str, str], bool] = stamped
    #: The field that names the parent, where the list is not the parent's own.
    of: str = ""
    #: Path at which a record is read whose field the list leaves out; empty where no list does.
    whole: str = ""

    async def row_with(
        self, http: CrmHttp, key: str, parent: Ref, also: Mapping[str, str] | None = None
    ) -> dict[str, Any] | None:
        """The row that carries the key, None where there is none; `also` follows the query.

        Raises `CannotTell` where the list is too long.
        """
        query = {**((self.query(parent) if callable(self.query) else self.query) or {}), **(also or {})}
        async for row in self.pages.rows(http, self.path.format(parent=parent), query, bucket=self.bucket):
            if (not self.of or str(row.get(self.of)) == parent.id) and await self.is_in(http, key, row):
                return row
        return None

    async def is_in(self, http: CrmHttp, key: str, row: Mapping[str, Any]) -> bool:
        """Whether a row carries the key, or the record itself where the row does not tell."""
        if self.whole and self.holds not in row:
            row = (await http.read(f"{self.whole}/{row['id']}", accept=(404,))).body or {}
        return self.carries(key, row.get(self.holds) or "")
