"""Zoho CRM, by its REST API v8."""

from adapters.zoho_crm.adapter import ZohoCrm
from adapters.zoho_crm.settings import ZohoCrmOptions, ZohoCrmSettings

__all__ = ["ZohoCrm", "ZohoCrmOptions", "ZohoCrmSettings"]
