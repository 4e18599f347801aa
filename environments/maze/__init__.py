"""Mazes of LMRL-Gym: walk to the goal by text."""

from environments.maze.environment import Maze
from environments.maze.layouts import LAYOUTS, Cell, Layout

__all__ = ["LAYOUTS", "Cell", "Layout", "Maze"]
