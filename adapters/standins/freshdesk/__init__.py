"""A stand-in for Freshdesk, for the demo and the tests: one account, in memory, as strict as the real API."""

from standins.freshdesk.app import standin
from standins.freshdesk.limits import Limits
from standins.freshdesk.state import Account

__all__ = ["SETTINGS", "Account", "Limits", "standin"]

#: What a connection to the stand-in takes, besides `base_url`.
SETTINGS = {"domain": "acme.freshdesk.com", "api_key": "demo-key"}
