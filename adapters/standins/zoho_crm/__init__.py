"""A stand-in for Zoho CRM, for the demo and the tests: one organisation, in memory, as strict as the real API."""

from standins.zoho_crm.app import standin
from standins.zoho_crm.state import Account

__all__ = ["SETTINGS", "Account", "standin"]

#: What a connection to the stand-in takes, besides `base_url`.
SETTINGS = {
    "data_center": "in",
    "client_id": "1000.DEMOCLIENT",
    "client_secret": "demo-client-secret",
    "refresh_token": "1000.demo-refresh-token",
}
