"""Plays call flows as Exotel would send them, against any running connector."""
