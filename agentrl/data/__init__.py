"""Trajectories and labels on disk, in memory, and as tensors."""
