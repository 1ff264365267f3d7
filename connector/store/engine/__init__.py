"""Databases, and how statements reach them."""
