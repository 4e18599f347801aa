"""Runs: what every trainer needs, the loops around an algorithm, checkpoints, command lines."""
