"""A stand-in for Freshsales, for the demo and the tests: one account, in memory, as strict as the real API."""

from standins.freshsales.app import standin
from standins.freshsales.state import Account

__all__ = ["SETTINGS", "Account", "standin"]

#: What a connection to the stand-in takes, besides `base_url`.
SETTINGS = {"domain": "acme.myfreshworks.com", "api_key": "demo-key"}
