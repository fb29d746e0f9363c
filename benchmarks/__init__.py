"""Measurements of speed and cost, one script a subject; `make bench` runs them all."""
