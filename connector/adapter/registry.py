"""Adapters by entry point `connector.adapters`: ours and those of other packages, found in one way."""

import inspect
import logging
import re
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any

from connector.adapter.contract import Adapter
from connector.adapter.families import Chat, Desk, EditableNotes, Files, Leads, Owners, Sales, Tasks
from connector.adapter.http import CrmHttp
from connector.adapter.options import Options
from connector.adapter.records import Home
from connector.adapter.settings import Settings
from connector.errors import ConfigError

log = logging.getLogger(__name__)

GROUP = "connector.adapters"

#: Families, and the small capabilities after them, in the order in which docs name them.
FAMILIES: tuple[type, ...] = (Desk, Sales, Chat, EditableNotes, Tasks, Leads, Owners, Files)

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


@cache
def adapters() -> MappingProxyType[str, type[Adapter[Any]]]:
    """Name -> adapter, sorted by name, read once per process.

    An entry point that cannot be loaded, or that is no adapter, is logged once and left out: somebody else's package
    must not take the other connections down.
    """
    found: dict[str, type[Adapter[Any]]] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        try:
            found.setdefault(point.name, _load(point))
        except Exception as error:  # a foreign module may raise anything while it is imported
            log.error(
                "adapter could not be loaded",
                extra={"adapter": point.name, "entry_point": point.value, "reason": f"{type(error).__name__}: {error}"},
            )
    return MappingProxyType(found)


def get(name: str) -> type[Adapter[Any]]:
    """The adapter of this name. Raises `ConfigError`, which lists the names that there are."""
    try:
        return adapters()[name]
    except KeyError:
        known = ", ".join(adapters()) or "none"
        raise ConfigError(f"there is no adapter {name!r}; known adapters: {known}") from None


def made_for(name: str, settings: Mapping[str, Any], options: Options, http: CrmHttp, home: Home) -> Adapter[Any]:
    """The adapter of this name, speaking through `http`. Raises `ConfigError` where it is not installed."""
    cls = get(name)
    adapter = cls(cls.settings_model.model_validate(dict(settings)), http, home, options)
    http.bind(adapter)
    return adapter


def families(adapter: type[Adapter[Any]]) -> tuple[str, ...]:
    """Names of the families and capabilities that an adapter offers: `("Desk", "EditableNotes")`."""
    return tuple(family.__name__ for family in FAMILIES if issubclass(adapter, family))


def problems(adapter: object) -> list[str]:
    """What keeps an object from being a usable adapter class, in words; empty where nothing does."""
    if not (inspect.isclass(adapter) and issubclass(adapter, Adapter)):
        return ["it is not a subclass of connector.adapter.Adapter"]
    found = [f"it lacks {name}" for name in sorted(getattr(adapter, "__abstractmethods__", ()))]
    name = getattr(adapter, "name", None)
    if not (isinstance(name, str) and _NAME.fullmatch(name)):
        found.append("its name is not a word of a-z, 0-9 and _")
    if not (isinstance(title := getattr(adapter, "title", None), str) and title.strip()):
        found.append("it has no title")
    if not _is_subclass(getattr(adapter, "settings_model", None), Settings):
        found.append("its settings_model is not a subclass of connector.adapter.Settings")
    if not _is_subclass(adapter.options_model, Options):
        found.append("its options_model is not a subclass of connector.adapter.options.Options")
    if not issubclass(adapter, (Desk, Sales, Chat)):
        found.append("it is none of Desk, Sales, Chat")
    return found


def _load(point: EntryPoint) -> type[Adapter[Any]]:
    adapter = point.load()
    wrong = problems(adapter)
    if not wrong and adapter.name != point.name:
        wrong = [f"it calls itself {adapter.name!r}"]
    if wrong:
        raise ConfigError("; ".join(wrong))
    known: type[Adapter[Any]] = adapter
    return known


def _is_subclass(value: object, base: type) -> bool:
    return inspect.isclass(value) and issubclass(value, base)
