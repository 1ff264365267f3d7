"""What happened in a call."""
