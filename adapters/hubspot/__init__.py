"""HubSpot: calls become call engagements of contacts, with tasks and tickets where asked for."""

from adapters.hubspot.adapter import HubSpot
from adapters.hubspot.settings import HubSpotOptions, HubSpotSettings

__all__ = ["HubSpot", "HubSpotOptions", "HubSpotSettings"]
