"""`python -m standins.freshdesk --port 9000`: the stand-in as its own process, on 127.0.0.1 only."""

import click
from standins.freshdesk.app import standin
from standins.freshdesk.door import Limits, Rights
from standins.freshdesk.state import Account

from connector.kit.faults import Faults
from connector.kit.standin import run, serve


@click.command()
@click.option("--port", default=0, show_default=True, help="0 takes a free one.")
@click.option("--domain", default="acme.freshdesk.com", show_default=True)
@click.option("--key", "keys", multiple=True, metavar="KEY[:RIGHTS]", help="Accepted API keys; none: any key.")
@click.option("--latency-ms", default=0.0, show_default=True)
@click.option("--search-lag-s", default=0.0, show_default=True, help="How long search does not see a change.")
@click.option("--rate-limits/--no-rate-limits", default=False, help="The limits of the plan Growth.")
def main(
    port: int, domain: str, keys: tuple[str, ...], latency_ms: float, search_lag_s: float, rate_limits: bool
) -> None:
    """Runs a stand-in of Freshdesk and prints its URL. RIGHTS: admin (default), restricted, none."""
    account = Account(
        domain=domain,
        keys=dict(map(_key, keys)) or None,
        search_lag_s=search_lag_s,
        limits=Limits() if rate_limits else None,
    )
    run(serve(standin(account, Faults(latency_s=latency_ms / 1000)), port))


def _key(text: str) -> tuple[str, Rights]:
    key, _, rights = text.partition(":")
    names: dict[str, Rights] = {"": "admin", "admin": "admin", "restricted": "restricted", "none": "none"}
    if rights not in names:
        raise click.BadParameter(f"{rights} is no right; there are admin, restricted and none.")
    return key, names[rights]


if __name__ == "__main__":
    main()
