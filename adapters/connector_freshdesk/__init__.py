"""Freshdesk: calls become tickets and private notes."""

from connector_freshdesk.adapter import Freshdesk, FreshdeskSettings

__all__ = ["Freshdesk", "FreshdeskSettings"]
