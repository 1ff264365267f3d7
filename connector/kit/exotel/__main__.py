"""`python -m connector.kit.exotel --port 9100`: the stand-in of Exotel as its own process, on 127.0.0.1 only."""

import click

from connector.kit.exotel.account import ExotelAccount
from connector.kit.exotel.app import exotel_app
from connector.kit.faults import Faults
from connector.kit.standin import run, serve


@click.command(help="Runs a stand-in of Exotel and prints its URL.")
@click.option("--port", default=0, show_default=True, help="0 takes a free one.")
@click.option("--sid", default="acme1", show_default=True)
@click.option("--api-key", default="demo_key", show_default=True)
@click.option("--api-token", default="demo_token", show_default=True)
@click.option("--exophone", multiple=True, help="E.164; may be said several times.")
@click.option("--latency-ms", default=0.0, show_default=True)
def main(port: int, sid: str, api_key: str, api_token: str, exophone: tuple[str, ...], latency_ms: float) -> None:
    account = ExotelAccount(sid=sid, api_key=api_key, api_token=api_token)
    if exophone:
        account.exophones = dict.fromkeys(exophone, "")
    run(serve(exotel_app(account, Faults(latency_s=latency_ms / 1000)), port))


main()
