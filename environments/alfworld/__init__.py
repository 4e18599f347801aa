"""ALFWorld's household tasks in text: its games in TextWorld's engine."""

from environments.alfworld.environment import ALFWorld
from environments.alfworld.games import TASK_TYPES

__all__ = ["TASK_TYPES", "ALFWorld"]
