"""The service as a process: sockets, workers, a clean end."""
