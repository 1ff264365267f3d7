"""The adapters that are installed."""

from aiohttp import web

from connector.acts import connections as acts
from connector.acts.asker import Asker
from connector.web.api.shapes import Asked, Shown
from connector.web.keys import OFFICE


class AdaptersAsked(Asked):
    """All of them."""


class AdapterOut(Shown):
    """An adapter: the families of its CRM, and the names of its settings."""

    name: str
    title: str
    families: list[str]
    settings: list[str]


class Adapters(Shown):
    """Adapters, by name."""

    adapters: list[AdapterOut]


async def list_adapters(request: web.Request, asker: Asker, _asked: AdaptersAsked) -> Adapters:
    """The adapters that are installed."""
    found = await acts.list_adapters(request.app[OFFICE], asker, None)
    return Adapters(adapters=[AdapterOut.model_validate(one) for one in found])
