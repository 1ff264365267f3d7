"""The connector's own help desk, as an adapter."""

from connector_local.adapter import LocalDesk

__all__ = ["LocalDesk"]
