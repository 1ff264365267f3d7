"""Templates: what people read of a call."""
