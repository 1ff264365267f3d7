"""`python -m standins.zoho_desk --port 9000`: the stand-in as its own process, on 127.0.0.1 only."""

from aiohttp import web
from standins.zoho_desk.app import standin
from standins.zoho_desk.state import Account

from connector.kit.faults import Faults
from connector.kit.standin import main


def _make(search_lag_s: float, faults: Faults) -> web.Application:
    return standin(Account(search_lag_s=search_lag_s), faults)


if __name__ == "__main__":
    main(_make, "Zoho Desk")
