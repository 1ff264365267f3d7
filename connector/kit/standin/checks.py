"""Checks of what a body may hold. What is asked stands here, what is answered is each CRM's own (`P`: words, a code).

`{"priority": must(among("low", "high"), "is none of low, high")}` is a shape; `problems` holds a body against it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

P = TypeVar("P")
Fits = Callable[[Any], object]
#: What is wrong with a value, None where nothing is.
Check = Callable[[Any], P | None]
Shape = Mapping[str, Check[P]]


def must(fits: Fits, problem: P) -> Check[P]:
    """A check that `fits` is true of a value."""
    return lambda value: None if fits(value) else problem


def optional(check: Check[P]) -> Check[P]:
    """A check of what may be null."""
    return lambda value: None if value is None else check(value)


def all_of(*checks: Check[P]) -> Check[P]:
    """The first problem that one of these finds."""
    return lambda value: next((problem for check in checks if (problem := check(value)) is not None), None)


def text(most: int | None = None, *, blank: bool = True) -> Fits:
    """A text of at most so many characters."""
    return lambda value: type(value) is str and (most is None or len(value) <= most) and (blank or value.strip())


def whole(least: int | None = None) -> Fits:
    """A whole number; `true` is none."""
    return lambda value: type(value) is int and (least is None or value >= least)


def boolean(value: Any) -> bool:
    """`true` or `false`."""
    return type(value) is bool


def mapping(value: Any) -> bool:
    """An object; what is in it is checked elsewhere."""
    return type(value) is dict


def among(*values: object) -> Fits:
    """One of these."""
    return lambda value: value in values


def like(pattern: str | re.Pattern[str], most: int | None = None) -> Fits:
    """A text of this form."""
    form, fits = re.compile(pattern), text(most)
    return lambda value: fits(value) and form.fullmatch(value)


def list_of(fits: Fits, most: int | None = None) -> Fits:
    """A list of such."""
    return lambda value: type(value) is list and (most is None or len(value) <= most) and all(map(fits, value))


def problems(
    body: Mapping[str, Any], shape: Shape[P], required: Iterable[str] = (), *, unknown: P, missing: P
) -> Iterator[tuple[str, P]]:
    """Field and problem, for all that is wrong: unknown fields and values in the body's order, then what is missing."""
    for name, value in body.items():
        check = shape.get(name)
        problem = unknown if check is None else check(value)
        if problem is not None:
            yield name, problem
    yield from ((name, missing) for name in required if name not in body)
