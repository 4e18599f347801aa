"""ALFWorld's household tasks in text, with the package `alfworld`'s games and TextWorld's engine."""

from environments.alfworld.environment import ALFWorld
from environments.alfworld.games import TASK_TYPES

__all__ = ["TASK_TYPES", "ALFWorld"]
