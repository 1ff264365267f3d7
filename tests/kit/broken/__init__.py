"""Adapters broken on purpose, one fault each, and the check that has to catch it.

The modules are named like those of the kit. They are not collected with the rest: `test_kit.py` runs them and looks at
what failed.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from connector.adapter import Adapter
from tests.kit.toy import ToySuite


@dataclass(frozen=True, slots=True)
class Fault:
    """The check of the suite at `node` (as pytest names it) fails, and says `words`."""

    node: str
    check: str
    words: str


#: Suite -> what is wrong with its adapter; filled as the modules are imported.
FAULTS: dict[str, Fault] = {}

A = TypeVar("A", bound=type[Adapter[Any]])


def caught_by(check: str, words: str, **suite: Any) -> Callable[[A], A]:
    """Makes a suite for the adapter, and says which of its checks must fail, with which words."""

    def kept(adapter: A) -> A:
        name, module = f"Test{adapter.__name__}", adapter.__module__
        FAULTS[name] = Fault(f"{module.replace('.', '/')}.py::{name}::{check}", check, words)
        made = type(name, (ToySuite,), {"adapter": adapter, "__module__": module, **suite})
        setattr(sys.modules[module], name, made)
        return adapter

    return kept
