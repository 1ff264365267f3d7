"""The console script `connector`."""

from connector.cli.main import main

__all__ = ["main"]
