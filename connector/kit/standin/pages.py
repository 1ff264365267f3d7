"""Pages for people, so that the links which an adapter makes open: a title, facts, what was said, tables.

Whatever a caller controls is escaped by the template. HTML is shown as it is where `markup.stored` says so.
"""

from collections.abc import Callable, Iterable, Mapping, Reversible, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import islice
from typing import TypeVar

from aiohttp import web
from jinja2 import Environment

from connector.kit.standin.app import Route

_TEMPLATE = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
    files(__package__).joinpath("page.html").read_text(encoding="utf-8")
)
_MOST_ROWS = 200
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Entry:
    """Something said: by whom and when, and what, as text or as `stored` HTML; empty bodies are left out."""

    by: str
    bodies: Sequence[str]
    is_private: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells, below their columns' names where there are any."""

    rows: Iterable[Sequence[object]]
    columns: Sequence[str] = ()
    heading: str = ""
    empty: str = "None yet."


@dataclass(frozen=True, slots=True)
class Page:
    """One page. A fact is a name and a value."""

    title: str
    facts: Mapping[str, object] = field(default_factory=dict)
    entries: Sequence[Entry] = ()
    tables: Sequence[Table] = ()


def latest(rows: Reversible[Row]) -> list[Row]:
    """As many as a page shows, newest first, of what is in the order of time."""
    return list(islice(reversed(rows), _MOST_ROWS))


def page_routes(
    product: str, account: Callable[[], object], home: str, pages: Mapping[str, Callable[..., Page | None]]
) -> list[Route]:
    """Path -> what makes its page of the path's parts, by their names; None: there is no such record.

    `account` names the account, as it is called now; `/` leads to `home`.
    """

    def route(path: str, make: Callable[..., Page | None]) -> Route:
        async def handler(request: web.Request) -> web.Response:
            page = make(**request.match_info)
            if page is None:
                raise web.HTTPNotFound(text="There is no such record.")
            words = _TEMPLATE.render(page=page, product=product, account=account(), home=home)
            return web.Response(text=words, content_type="text/html")

        return "GET", path, handler

    async def to_home(_request: web.Request) -> web.Response:
        raise web.HTTPFound(home)

    routes = [route(path, make) for path, make in pages.items()]
    return routes if home == "/" else [("GET", "/", to_home), *routes]
