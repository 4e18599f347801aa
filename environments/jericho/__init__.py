"""Interactive fiction for the Z-machine, played by Jericho: Detective, Zork, any other."""

from environments.jericho.environment import Jericho

__all__ = ["Jericho"]
