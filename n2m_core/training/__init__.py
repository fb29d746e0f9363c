"""Training: configuration, data, loop."""
