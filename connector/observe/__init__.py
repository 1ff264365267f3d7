"""How we are watched: logs, metrics, and what is taken out of both."""
