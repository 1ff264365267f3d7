"""A call for a connection: planned, written, kept."""
