"""HubSpot: calls become call engagements of contacts, with tasks and tickets where asked for."""

from connector_hubspot.adapter import HubSpot
from connector_hubspot.settings import HubSpotOptions, HubSpotSettings

__all__ = ["HubSpot", "HubSpotOptions", "HubSpotSettings"]
