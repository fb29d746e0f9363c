"""Labelled datasets: plain folders and published layouts."""
