"""Zoho Desk: calls become tickets, private comments and call activities."""

from adapters.zoho_desk.adapter import ZohoDesk
from adapters.zoho_desk.settings import ZohoDeskOptions, ZohoDeskSettings

__all__ = ["ZohoDesk", "ZohoDeskOptions", "ZohoDeskSettings"]
