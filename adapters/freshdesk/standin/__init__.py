"""A stand-in for Freshdesk, for the demo and the tests: one account, in memory, as strict as the real API."""

from adapters.freshdesk.standin.app import standin
from adapters.freshdesk.standin.door import Limits
from adapters.freshdesk.standin.state import Account

__all__ = ["SETTINGS", "Account", "Limits", "standin"]

#: What a connection to the stand-in takes, besides `base_url`.
SETTINGS = {"domain": "acme.freshdesk.com", "api_key": "demo-key"}
