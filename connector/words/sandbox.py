"""jinja2 for words that tenants write: bounded in what they may say, how long they may be, and how much they may print.

Tenants are not trusted with the machine: a template sees plain dicts, strings and lists, and what could multiply text
or loop for long is refused when it is compiled (docs/design.md §8).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

from jinja2 import StrictUndefined, Template, TemplateError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from connector.errors import ConfigError, Rejected

SOURCE_LIMIT: Final = 8 * 1024
OUTPUT_LIMIT: Final = 32 * 1024

_NODES: Final = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.If,
    nodes.For,
    nodes.CondExpr,
    nodes.Const,
    nodes.Name,
    nodes.Getattr,
    nodes.Getitem,
    nodes.Filter,
    nodes.Test,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Add,
    nodes.Sub,
    nodes.Concat,
    nodes.Neg,
    nodes.Keyword,
    nodes.List,
    nodes.Tuple,
)


def _url(value: object) -> str:
    """The value if it is an http(s) link, else nothing: a `javascript:` link never gets into a page."""
    text = str(value)
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    return text if parts.scheme in ("http", "https") and parts.netloc else ""


def _join(values: object, separator: str = "") -> str:
    # jinja2's own would join the letters of a string, which multiplies its length.
    if isinstance(values, str):
        return values
    return str(separator).join(str(value) for value in values) if isinstance(values, Sequence) else ""


_FILTERS: Final = (
    *("capitalize", "d", "default", "e", "escape", "first", "int", "last"),
    *("length", "lower", "title", "trim", "truncate", "upper"),
)
_TESTS: Final = ("defined", "undefined", "none", "string", "number", "sequence", "mapping", "equalto", "eq", "in")


def _environment(*, html: bool) -> ImmutableSandboxedEnvironment:
    env = ImmutableSandboxedEnvironment(autoescape=html, undefined=StrictUndefined, keep_trailing_newline=False)
    env.globals.clear()
    filters: dict[str, Callable[..., Any]] = {name: env.filters[name] for name in _FILTERS}
    env.filters.clear()
    env.filters.update(filters)
    env.filters["url"] = _url
    env.filters["join"] = _join
    tests = {name: env.tests[name] for name in _TESTS}
    env.tests.clear()
    env.tests.update(tests)
    return env


_ENVIRONMENTS: Final = {True: _environment(html=True), False: _environment(html=False)}


@lru_cache(maxsize=4096)
def compiled(source: str, *, html: bool) -> Template:
    """The template. Raises `ConfigError` in the words of whoever wrote it."""
    if len(source.encode()) > SOURCE_LIMIT:
        raise ConfigError(f"a template is longer than {SOURCE_LIMIT} bytes")
    env = _ENVIRONMENTS[html]
    try:
        tree = env.parse(source)
        _refuse(tree)
        return env.from_string(tree)
    except TemplateError as error:
        raise ConfigError(f"the template cannot be read: {error}") from error
    except RecursionError as error:
        raise ConfigError("the template is nested too deeply") from error


def _refuse(tree: nodes.Template) -> None:
    for node in tree.find_all(nodes.Node):
        if isinstance(node, nodes.For):
            if node.recursive or any(inner is not node for inner in node.find_all(nodes.For)):
                raise ConfigError("a template may not loop inside a loop")
        elif not isinstance(node, (*_NODES, nodes.EvalContextModifier)):
            raise ConfigError(f"a template may not use {type(node).__name__.lower()} (line {node.lineno})")


def rendered(source: str, facts: Mapping[str, Any], *, html: bool) -> str:
    """The template's words. Raises `Rejected` for an undefined name or an endless output: a person has to mend it."""
    template = compiled(source, html=html)
    try:
        parts: list[str] = []
        length = 0
        for part in template.generate(facts):
            length += len(part)
            if length > OUTPUT_LIMIT:
                raise Rejected(f"A template wrote more than {OUTPUT_LIMIT} characters.", parts=("template",))
            parts.append(part)
        return "".join(parts).strip()
    except TemplateError as error:
        raise Rejected(f"A template cannot be filled in: {error.message}.", parts=("template",)) from error
    except (TypeError, ValueError, ArithmeticError) as error:
        raise Rejected(f"A template cannot be filled in: {type(error).__name__}.", parts=("template",)) from error
