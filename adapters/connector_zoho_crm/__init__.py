"""Zoho CRM, by its REST API v8."""

from connector_zoho_crm.adapter import ZohoCrm
from connector_zoho_crm.settings import ZohoCrmOptions, ZohoCrmSettings

__all__ = ["ZohoCrm", "ZohoCrmOptions", "ZohoCrmSettings"]
