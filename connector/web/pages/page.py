"""What the pages for people have in common: their templates, and headers under which nothing foreign runs in them."""

import secrets

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

_environment = Environment(
    loader=PackageLoader("connector.web"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(name: str) -> Template:
    """A page's template, HTML escaped; it gets a `nonce` for its own style."""
    return _environment.get_template(name)


def new_nonce() -> str:
    """What one answer's style is allowed by."""
    return secrets.token_urlsafe(16)


def page_headers(nonce: str) -> dict[str, str]:
    """A page may use its own style, and nothing else; nobody keeps it, frames it or lists it."""
    return {
        "Content-Security-Policy": f"default-src 'none'; style-src 'nonce-{nonce}'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
        "X-Robots-Tag": "noindex",
    }
