"""A call's recording: links, the file, orders to record."""
