"""Freshchat: calls become conversations of customer and agent."""

from connector_freshchat.adapter import Freshchat, FreshchatOptions, FreshchatSettings

__all__ = ["Freshchat", "FreshchatOptions", "FreshchatSettings"]
