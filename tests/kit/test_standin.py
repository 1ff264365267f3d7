"""What stand-ins share: pages that escape, checks in order, windows, tokens, an index that lags."""

from collections.abc import Mapping
from typing import Any

import pytest
from aiohttp import web

from connector.kit.standin import Refused, StandinAccount, added, changed, json_object, standin_app
from connector.kit.standin.checks import all_of, among, boolean, like, list_of, must, optional, problems, text, whole
from connector.kit.standin.index import Index
from connector.kit.standin.limits import Rolling, Windows
from connector.kit.standin.markup import link, stored, without_hidden
from connector.kit.standin.pages import Entry, Page, Table, latest, page_routes
from connector.kit.standin.tokens import Tokens

HOSTILE = '"><script>alert(1)</script>'


class Account(StandinAccount):
    def counts(self) -> dict[str, int]:
        return {}

    def dump(self) -> dict[str, Any]:
        return {}


def admit(_account: Account, request: web.Request, _route: str) -> Mapping[str, str]:
    if "X-Key" not in request.headers:
        raise Refused(401, {"code": "who"}, {"X-Why": "key"})
    return {"X-Left": "9"}


async def test_a_page_escapes_what_a_caller_controls(aiohttp_client: Any) -> None:
    def page(id: str) -> Page | None:
        if id != "1":
            return None
        return Page(
            HOSTILE,
            {HOSTILE: HOSTILE, "Link": link(HOSTILE, HOSTILE), "Empty": None},
            [Entry(HOSTILE, [HOSTILE, stored("<b>clean</b>"), ""])],
            [Table([(HOSTILE, link("a", "/b"), None)], ["#", HOSTILE, ""], HOSTILE), Table([], empty=HOSTILE)],
        )

    routes = page_routes("Toy", lambda: HOSTILE, "/r/1", {r"/r/{id:\d+}": page})
    client = await aiohttp_client(standin_app(Account(), None, (), root="/api", admit=admit, open_routes=routes))
    words = await (await client.get("/")).text()
    assert "<script>" not in words
    assert words.count("&lt;script&gt;") == 14
    assert "<b>clean</b>" in words
    assert '<a href="/b" rel="noreferrer">a</a>' in words
    assert "Empty <b>none</b>" in words
    assert (await client.get("/r/2")).status == 404


async def test_the_application_admits(aiohttp_client: Any) -> None:
    async def body(request: web.Request) -> web.Response:
        return web.json_response(await json_object(request, Refused(400, {"code": "json"})))

    rows: dict[str, dict[str, Any]] = {"1": {"a": 1}}
    people = [added("/_standin/rows", lambda row: row), changed("/_standin/rows/{id}", rows.get, dict.update)]
    account = Account()
    routes = [("POST", "/x", body)]
    client = await aiohttp_client(standin_app(account, None, routes, root="/api", admit=admit, open_routes=people))
    answer = await client.post("/api/x", json={})
    assert (answer.status, await answer.json(), answer.headers["X-Why"]) == (401, {"code": "who"}, "key")
    for data, status in ((b"{}", 200), (b"[]", 400), (b"{", 400)):
        answer = await client.post("/api/x", data=data, headers={"X-Key": "k"})
        assert (answer.status, answer.headers["X-Left"]) == (status, "9")
    assert account.answers == {401: 1, 200: 1, 400: 2}
    assert (await client.post("/_standin/rows", json={"b": 2})).status == 201
    assert await (await client.put("/_standin/rows/1", json={"b": 2})).json() == {"a": 1, "b": 2}
    assert (await client.put("/_standin/rows/2", json={})).status == 404


@pytest.mark.parametrize(
    ("fits", "good", "bad"),
    [
        (text(), ("", "a"), (None, 1, ["a"])),
        (text(2, blank=False), ("ab",), ("abc", " ", "", None)),
        (whole(1), (1,), (0, True, 1.0, "1")),
        (boolean, (True, False), (0, None, "true")),
        (among("a", "b"), ("a",), ("c", None, ["a"])),
        (like(r"\d+", 3), ("123",), ("1234", "12a", "", 12)),
        (list_of(text(1), 2), ([], ["a", "b"]), (["ab"], ["a"] * 3, "a", None)),
    ],
)
def test_checks(fits: Any, good: tuple[object, ...], bad: tuple[object, ...]) -> None:
    check = must(fits, "wrong")
    assert [check(value) for value in good] == [None] * len(good)
    assert [check(value) for value in bad] == ["wrong"] * len(bad)


def test_problems_come_in_the_order_of_the_body() -> None:
    shape = {"a": all_of(must(text(), "no text"), must(text(2), "long")), "b": optional(must(whole(), "no number"))}
    body = {"x": 1, "b": None, "a": "abc"}
    found = problems(body, shape, ("a", "c"), unknown="unknown", missing="missing")
    assert list(found) == [("x", "unknown"), ("a", "long"), ("c", "missing")]


def test_windows_begin_with_the_minute_and_others_roll() -> None:
    windows, rolling = Windows(), Rolling()
    assert [windows.count(now, 60) for now in (59.0, 59.9, 60.0)] == [1, 2, 1]
    assert windows.count(60.0, 60, "other") == 1
    rolling.add(59.0)
    assert [rolling.has_room(now, 10, 1) for now in (60.0, 68.9, 69.0)] == [False, False, True]
    assert rolling.has_room(69.0, 10, None)


def test_tokens_run_out() -> None:
    now = 0.0
    tokens = Tokens(lambda: now)
    token = tokens.give("t1", 60)
    assert (tokens.is_good(token), tokens.is_good("t2"), "t2" in tokens) == (True, False, False)
    now = 60.0
    assert (tokens.is_good(token), token in tokens, len(tokens)) == (False, True, 1)
    tokens.give("t2", 60)
    tokens.end()
    assert not tokens.is_good("t2")


def test_an_index_lags() -> None:
    account = Account(clock=lambda: 100.0, search_lag_s=5)
    index: Index[int] = Index()
    index.add("k", 1, account.visible_at(indexed=True))
    index.add("k", 2, account.visible_at())
    index.add("k", 1, account.visible_at())
    assert [index.ids("k", 100.0), index.ids("k", 105.0), index.ids("k"), index.ids("other")] == [
        [1],
        [1, 2],
        [1, 2],
        [],
    ]


def test_the_latest_come_first() -> None:
    assert latest(range(201))[:2] == [200, 199]
    assert len(latest(range(201))) == 200


def test_hidden_spans_are_eaten() -> None:
    assert (
        without_hidden("a<span hidden>b</span><SPAN style='display: none'>c</SPAN><span>d</span>") == "a<span>d</span>"
    )
