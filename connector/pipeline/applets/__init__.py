"""Answers while a caller waits."""
