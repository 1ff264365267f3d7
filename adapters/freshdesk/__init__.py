"""Freshdesk: calls become tickets and private notes."""

from adapters.freshdesk.adapter import Freshdesk, FreshdeskSettings

__all__ = ["Freshdesk", "FreshdeskSettings"]
