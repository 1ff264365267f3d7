"""`python -m standins.hubspot --port 9000`: the stand-in as its own process, on 127.0.0.1 only."""

from standins.hubspot import Account, standin

from connector.kit.standin import main

if __name__ == "__main__":
    main("HubSpot", standin, Account)
