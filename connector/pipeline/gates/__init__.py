"""May we ask, and as whom."""
