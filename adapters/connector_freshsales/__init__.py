"""Freshsales (Freshworks CRM): calls become call logs on contacts, missed ones follow-up tasks where asked for."""

from connector_freshsales.adapter import Freshsales
from connector_freshsales.settings import FreshsalesOptions, FreshsalesSettings

__all__ = ["Freshsales", "FreshsalesOptions", "FreshsalesSettings"]
