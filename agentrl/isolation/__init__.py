"""Environments in this process, in worker processes, or behind HTTP, played all alike."""

from agentrl.isolation.place import make_environment

__all__ = ["make_environment"]
