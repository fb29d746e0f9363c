"""Noise processes, schedules and sampling loops; no network is known here."""
