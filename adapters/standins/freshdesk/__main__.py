"""`python -m standins.freshdesk --port 9000`: the stand-in as its own process, on 127.0.0.1 only."""

from typing import get_args

import click
from standins.freshdesk import Account, Limits, standin
from standins.freshdesk.limits import Rights

from connector.kit.standin import main


def _key(text: str) -> tuple[str, str]:
    key, _, rights = text.partition(":")
    if rights and rights not in get_args(Rights):
        raise click.BadParameter(f"{rights} is no right; there are admin, restricted and none.")
    return key, rights or "admin"


_OPTIONS = (
    click.Option(["--domain"], default="acme.freshdesk.com", show_default=True),
    click.Option(
        ["--key", "keys"],
        type=_key,
        multiple=True,
        metavar="KEY[:RIGHTS]",
        help="Accepted API keys; none: any key. RIGHTS: admin (default), restricted, none.",
        callback=lambda _context, _option, keys: dict(keys) or None,
    ),
    click.Option(
        ["--rate-limits/--no-rate-limits", "limits"],
        default=False,
        help="The limits of the plan Growth.",
        callback=lambda _context, _option, given: Limits() if given else None,
    ),
)

if __name__ == "__main__":
    main("Freshdesk", standin, Account, *_OPTIONS)
