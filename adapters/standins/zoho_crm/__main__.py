"""`python -m standins.zoho_crm --port 9000`: the stand-in as its own process, on 127.0.0.1 only."""

from standins.zoho_crm import Account, standin

from connector.kit.standin import main

if __name__ == "__main__":
    main("Zoho CRM", standin, Account)
