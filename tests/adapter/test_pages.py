"""Lists, page by page."""

from typing import Any

import pytest

from connector.adapter import Answer, Page, Pages, by_cursor, by_number, by_offset, rows_of
from connector.errors import CannotTell
from tests.adapter.served import Served

FIRST = {"size": "2", "page": "1"}
NUMBERED = Pages(FIRST, by_number(lambda page: len(page.rows) == 2))
CURSOR = Pages({"size": "2"}, by_cursor(lambda body: body.get("next")), "rows")


def rows(*ids: int) -> list[dict[str, Any]]:
    return [{"id": id_} for id_ in ids]


async def listed(pages: Pages, crm: Served, path: str = "things", **how: Any) -> list[Any]:
    return [row["id"] async for row in pages.rows(crm.http, path, **how)]


async def test_by_number() -> None:
    crm = Served(rows(1, 2), rows(3))
    assert await listed(NUMBERED, crm, query={"page": "1", "of": "x"}) == [1, 2, 3]
    # the query's members stay where they are
    assert [list(query.items()) for _, query in crm.asked] == [
        [("page", "1"), ("of", "x"), ("size", "2")],
        [("page", "2"), ("of", "x"), ("size", "2")],
    ]


async def test_by_offset() -> None:
    crm = Served(rows(1, 2), rows(3, 4), rows())
    assert await listed(Pages({"limit": "2"}, by_offset(2, "from")), crm) == [1, 2, 3, 4]
    assert [query.get("from") for _, query in crm.asked] == [None, "2", "4"]


async def test_by_cursor() -> None:
    crm = Served({"rows": rows(1), "next": "n1"}, {"rows": rows(2)})
    assert await listed(CURSOR, crm) == [1, 2]
    assert [query for _, query in crm.asked] == [{"size": "2"}, {"size": "2", "after": "n1"}]


async def test_by_link() -> None:
    crm = Served({"rows": rows(1), "next": "things?at=2"}, {"rows": rows(2)})
    pages = Pages({"size": "2"}, lambda page: page.answer.body.get("next"), "rows")
    assert await listed(pages, crm) == [1, 2]
    assert crm.asked == [("things", {"size": "2"}), ("things?at=2", {})]


async def test_a_row_that_moved_comes_once() -> None:
    assert await listed(NUMBERED, Served(rows(1, 2), rows(2, 3), rows())) == [1, 2, 3]


async def test_rows_without_an_id_all_come() -> None:
    found = [row async for row in NUMBERED.rows(Served([{"a": 1}, {"a": 1}], []).http, "things")]
    assert found == [{"a": 1}, {"a": 1}]


async def test_too_long() -> None:
    with pytest.raises(CannotTell) as told:
        await listed(NUMBERED, Served(rows(1, 2), rows(3, 4)), most=2)
    assert told.value.message == "The list is longer than 4 records."


async def test_all_of_it() -> None:
    crm = Served(*(rows(at, at + 1) for at in range(0, 40, 2)), rows())
    assert len(await listed(Pages(FIRST, NUMBERED.following, most=None), crm)) == 40


async def test_not_shown() -> None:
    pages = Pages(FIRST, NUMBERED.following, hidden="The list {list} is not shown.")
    with pytest.raises(CannotTell) as told:
        await listed(pages, Served(Answer(404, {}, {"rows": 1})), "a/1/things")
    assert told.value.message == "The list things is not shown."
    assert told.value.status == 404


async def test_an_accepted_refusal_is_an_empty_page() -> None:
    crm = Served(Answer(404, {}, "gone"))
    pages: list[Page] = [page async for page in NUMBERED.pages(crm.http, "things", accept=(404,))]
    assert [(page.rows, page.number, page.answer.status) for page in pages] == [([], 1, 404)]


@pytest.mark.parametrize(
    ("body", "name", "found"),
    [(None, "data", []), ([{"id": 1}], "", [{"id": 1}]), ({"data": [{"id": 1}]}, "data", [{"id": 1}])],
)
def test_rows_of(body: Any, name: str, found: list[Any]) -> None:
    assert rows_of(body, name) == found
