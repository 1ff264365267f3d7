"""Where a key is looked for."""

from typing import Any

import pytest

from connector.adapter import Answer, Listing, Pages, Ref, below, is_marked, marked, stamp
from connector.errors import CannotTell
from tests.adapter.served import Served

KEY = "c1:e69d:note"
TICKET = Ref("ticket", "7")
PAGES = Pages({"page": "1"}, lambda page: None)


def test_below() -> None:
    assert below("note", TICKET) is TICKET
    with pytest.raises(CannotTell, match="A note is looked for below the record it hangs on"):
        below("note", None)


@pytest.mark.parametrize(
    ("listing", "rows", "found"),
    [
        (Listing(PAGES, "x", "body"), [], None),
        (Listing(PAGES, "x", "body"), [{"id": 1, "body": "a" + stamp(KEY)}], 1),
        (Listing(PAGES, "x", "body"), [{"id": 1, "body": None}, {"id": 2, "body": stamp(KEY)}], 2),
        (Listing(PAGES, "x", "body"), [{"id": 1, "body": stamp(KEY + ":2")}], None),
        (Listing(PAGES, "x", "name", carries=is_marked), [{"id": 1, "name": marked(KEY, "a.mp3")}], 1),
        (Listing(PAGES, "x", "body", of="on"), [{"id": n, "on": n, "body": stamp(KEY)} for n in (6, 7)], 7),
    ],
)
async def test_row_with(listing: Listing, rows: list[dict[str, Any]], found: int | None) -> None:
    row = await listing.row_with(Served(rows).http, KEY, TICKET)
    assert (row and row["id"]) == found


async def test_path_and_query_name_the_parent() -> None:
    crm = Served([])
    listing = Listing(PAGES, "tickets/{parent.id}/notes", "body", lambda parent: {"of": parent.kind})
    assert await listing.row_with(crm.http, KEY, TICKET) is None
    assert crm.asked == [("tickets/7/notes", {"of": "ticket", "page": "1"})]


async def test_the_record_is_read_where_the_list_leaves_the_words_out() -> None:
    rows = [{"id": 1}, {"id": 2}, {"id": 3, "body": "other"}, {"id": 4}]
    crm = Served(rows, Answer(404, {}, None), {"body": "none"}, {"body": stamp(KEY)})
    row = await Listing(PAGES, "list", "body", whole="notes").row_with(crm.http, KEY, TICKET)
    assert row == {"id": 4}
    assert [path for path, _ in crm.asked] == ["list", "notes/1", "notes/2", "notes/4"]
