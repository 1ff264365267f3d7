"""Lists, page by page: by number, by offset, by cursor or by link; declared by an adapter."""

from collections.abc import AsyncIterator, Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any

from connector.adapter.http import Answer, CrmHttp
from connector.errors import CannotTell

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, counted from 1."""

    answer: Answer
    rows: Rows
    number: int


#: A page -> what the next one is asked for with: members of the query, or another path; None where it is the last.
Following = Callable[[Page], Mapping[str, str] | str | None]


def by_number(more: Callable[[Page], bool]) -> Following:
    """Pages are numbered, and `more` says whether there is another one."""
    return lambda page: {"page": str(page.number + 1)} if more(page) else None


def by_offset(size: int, name: str) -> Following:
    """Pages begin at an offset called `name`; one that is not full is the last."""
    return lambda page: {name: str(page.number * size)} if len(page.rows) >= size else None


def by_cursor(cursor: Callable[[Any], str | None], name: str = "after") -> Following:
    """Each body names where the next page begins."""

    def following(page: Page) -> Mapping[str, str] | None:
        told = cursor(page.answer.body)
        return None if told is None else {name: told}

    return following


def rows_of(body: Any, name: str = "data") -> Rows:
    """The rows of a list's answer; nothing found may be an answer without a body."""
    rows: Rows = (body[name] if name else body) if body else []
    return rows


@dataclass(frozen=True)
class Pages:
    """How a CRM gives its lists."""

    #: What every first page is asked for with.
    first: Mapping[str, str]
    following: Following
    #: The member that holds the rows; empty where the body is the list, None where they have no one place.
    name: str | None = ""
    #: So many pages are read; None: all of them.
    most: int | None = 10
    #: What `CannotTell` says of a list that is longer: `{seen}` rows were read, `{list}` is the end of its path.
    longer: str = "The list is longer than {seen} records."
    #: What `CannotTell` says of a list that is not shown (404); empty where that is an error.
    hidden: str = ""

    async def pages(
        self,
        http: CrmHttp,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        name: str = "",
        most: int | None = None,
        bucket: str = "all",
        accept: Container[int] = (),
    ) -> AsyncIterator[Page]:
        """The pages of a list; a refusal that `accept` lets pass is an empty one. Raises `CannotTell`."""
        ask, number, seen, end = {**(query or {}), **self.first}, 0, 0, path.rpartition("/")[2]
        most = most or self.most
        while most is None or number < most:
            number += 1
            answer = await http.read(path, ask, bucket=bucket, accept=(404,) if self.hidden else accept)
            if self.hidden and answer.status == 404:
                raise CannotTell(self.hidden.format(list=end), status=404)
            is_list = answer.status < 400
            held = name or self.name
            page = Page(answer, rows_of(answer.body, held) if is_list and held is not None else [], number)
            yield page
            following = self.following(page) if is_list else None
            if following is None:
                return
            path, ask = (following, {}) if isinstance(following, str) else (path, {**ask, **following})
            seen += len(page.rows)
        raise CannotTell(self.longer.format(seen=seen, list=end))

    async def rows(
        self, http: CrmHttp, path: str, query: Mapping[str, str] | None = None, **how: Any
    ) -> AsyncIterator[dict[str, Any]]:
        """The rows of a list, each once, though one may move to the next page meanwhile; `how` as in `pages`."""
        seen: set[object] = set()
        async for page in self.pages(http, path, query, **how):
            for row in page.rows:
                id_ = row.get("id")
                if id_ is None or id_ not in seen:
                    seen.add(id_)
                    yield row
