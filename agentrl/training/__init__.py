"""Engines, target networks, checkpoints, metrics."""
