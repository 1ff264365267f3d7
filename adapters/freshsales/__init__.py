"""Freshsales (Freshworks CRM): calls become call logs on contacts, missed ones follow-up tasks where asked for."""

from adapters.freshsales.adapter import Freshsales
from adapters.freshsales.settings import FreshsalesOptions, FreshsalesSettings

__all__ = ["Freshsales", "FreshsalesOptions", "FreshsalesSettings"]
