"""`python -m standins.freshdesk --port 9000`: the stand-in as its own process, on 127.0.0.1 only."""

import click
from standins.freshdesk import Account, Limits, standin

from connector.kit.standin import main

_RIGHTS = ("admin", "restricted", "none")


def _keys(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> dict[str, str] | None:
    keys = {key: rights or "admin" for key, _, rights in (text.partition(":") for text in given)}
    for rights in keys.values():
        if rights not in _RIGHTS:
            raise click.BadParameter(f"{rights} is no right; there are admin, restricted and none.")
    return keys or None


def _limits(_context: click.Context, _option: click.Parameter, given: bool) -> Limits | None:
    return Limits() if given else None


if __name__ == "__main__":
    main(
        "Freshdesk",
        standin,
        Account,
        click.Option(["--domain"], default="acme.freshdesk.com", show_default=True),
        click.Option(
            ["--key", "keys"],
            multiple=True,
            metavar="KEY[:RIGHTS]",
            help="Accepted API keys; none: any key. Rights: admin (default), restricted, none.",
            callback=_keys,
        ),
        click.Option(
            ["--rate-limits/--no-rate-limits", "limits"],
            default=False,
            help="The limits of the plan Growth.",
            callback=_limits,
        ),
    )
