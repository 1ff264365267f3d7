"""`python -m standins.zoho_crm --port 9000`: the stand-in as its own process, on 127.0.0.1 only."""

from standins.zoho_crm.app import standin
from standins.zoho_crm.state import Account

from connector.kit.standin import main

if __name__ == "__main__":
    main(lambda search_lag_s, faults: standin(Account(search_lag_s=search_lag_s), faults), "Zoho CRM")
