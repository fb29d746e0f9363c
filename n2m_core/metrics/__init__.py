"""Scores of a map against a truth: counts first, then pure functions of the counts."""
