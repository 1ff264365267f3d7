"""A stand-in for Freshchat, for the demo and the tests: one account, in memory, as strict as the real API."""

from standins.freshchat.app import standin
from standins.freshchat.state import Account

__all__ = ["SETTINGS", "Account", "standin"]

#: What a connection to the stand-in takes, besides `base_url`.
SETTINGS = {"domain": "acme-810075555-1a2b3c4d.freshchat.com/v2", "api_key": "demo-token"}
