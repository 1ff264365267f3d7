"""The call connector between Exotel and a CRM: hook requests in, tickets, notes and call logs out."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("exotel-crm-connector")
except PackageNotFoundError:  # run from a checkout that was never installed
    __version__ = "0.0.0"
