"""HTML of a stand-in: what CRMs drop of it, and what their pages show."""

import re

from markupsafe import Markup

_HIDDEN = re.compile(r"<span[^>]*(?:\bhidden\b|display:\s*none)[^>]*>.*?</span>", re.IGNORECASE | re.DOTALL)


def without_hidden(html: str) -> str:
    """HTML without its hidden spans, which sanitisers of CRMs eat."""
    return _HIDDEN.sub("", html)


def stored(html: str | None) -> Markup:
    """HTML as it is, for a page: the stand-in cleaned it when it was stored."""
    return Markup(html or "")  # noqa: S704


def link(text: object, to: str) -> Markup:
    """A link; both are escaped."""
    return Markup('<a href="{}" rel="noreferrer">{}</a>').format(to, text)
