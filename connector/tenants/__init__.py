"""The tenant file, what it says, and the configuration that follows from it."""
