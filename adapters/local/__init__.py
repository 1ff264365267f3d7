"""The connector's own help desk, as an adapter."""

from adapters.local.adapter import LocalDesk

__all__ = ["LocalDesk"]
