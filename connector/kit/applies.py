"""Which checks a suite collects: those that its adapter's families, stand-in and recordings allow, and no others.

A check that does not apply is not there, so that a report without skips says that everything was checked.
"""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

Check = TypeVar("Check", bound=Callable[..., Any])
_APPLIES = "_connector_kit_applies"


def where(applies: Callable[[Any], bool]) -> Callable[[Check], Check]:
    """Marks a check that is collected only where `applies(suite class)` holds."""

    def mark(check: Check) -> Check:
        setattr(check, _APPLIES, applies)
        return check

    return mark


def for_family(family: type) -> Callable[[Check], Check]:
    """Marks a check of adapters that offer this family."""
    return where(lambda suite: issubclass(suite.adapter, family))


def drop_what_does_not_apply(suite: Any, of: Any, *, has_standin: bool) -> None:
    """Takes those checks of the class `of` out of a suite that its adapter, or the lack of a stand-in, makes void.

    What a class above the suite had taken out, and applies here, comes back.
    """
    for name, check in inspect.getmembers(of, inspect.isfunction):
        if not name.startswith("test_"):
            continue
        applies: Callable[[Any], bool] = getattr(check, _APPLIES, lambda _suite: True)
        needs_standin = "bench" in inspect.signature(check).parameters
        if not applies(suite) or (needs_standin and not has_standin):
            setattr(suite, name, None)
        elif getattr(suite, name) is None:
            setattr(suite, name, check)
