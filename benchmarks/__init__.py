"""Measured speeds: `python -m benchmarks` runs them all."""
