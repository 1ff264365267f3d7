"""`python -m standins.freshchat --port 9000`: the stand-in as its own process, on 127.0.0.1 only."""

from standins.freshchat.app import standin
from standins.freshchat.state import Account

from connector.kit.standin import main

if __name__ == "__main__":
    main(lambda search_lag_s, faults: standin(Account(search_lag_s=search_lag_s), faults), "Freshchat")
