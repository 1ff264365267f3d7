"""A stand-in for HubSpot, for the demo and the tests: one portal, in memory, as strict as the real API."""

from standins.hubspot.app import standin
from standins.hubspot.limits import SCOPES, Limits
from standins.hubspot.state import Account

__all__ = ["SCOPES", "SETTINGS", "Account", "Limits", "standin"]

#: What a connection to the stand-in takes, besides `base_url`.
SETTINGS = {"access_token": "pat-na1-demo"}
