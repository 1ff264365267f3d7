"""A stand-in for Zoho Desk and its token endpoint: one organisation, in memory, as strict as the real API."""

from standins.zoho_desk.app import standin
from standins.zoho_desk.state import Account

__all__ = ["SETTINGS", "Account", "standin"]

#: What a connection to the stand-in takes, besides `base_url`.
SETTINGS = {
    "data_center": "in",
    "org_id": "60001280952",
    "department_id": "4000000010772",
    "client_id": "1000.DEMOCLIENT",
    "client_secret": "demo-client-secret",
    "refresh_token": "1000.demo-refresh-token",
}
