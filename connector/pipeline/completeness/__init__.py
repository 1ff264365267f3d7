"""No call is missing."""
