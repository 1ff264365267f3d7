"""Zoho Desk: calls become tickets, private comments and call activities."""

from connector_zoho_desk.adapter import ZohoDesk
from connector_zoho_desk.settings import ZohoDeskOptions, ZohoDeskSettings

__all__ = ["ZohoDesk", "ZohoDeskOptions", "ZohoDeskSettings"]
