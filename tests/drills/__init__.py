"""Drills: what an operator must be able to rely on, tried with real processes. `python -m tests.drills.restore`."""
