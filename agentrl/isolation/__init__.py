"""Environments in this process, in worker processes, or behind HTTP, played all alike."""

from agentrl.isolation.place import knows_argument, listing_actions, make_environment
from agentrl.isolation.remote import RemoteEnvironment

__all__ = ["RemoteEnvironment", "knows_argument", "listing_actions", "make_environment"]
