"""A scripted walker: the shortest way with probability `strength`, any move otherwise."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from environments.maze.layouts import MOVES

if TYPE_CHECKING:
    from environments.maze.environment import Maze


class ScriptedWalker:
    """Walks in the environment's current episode.

    It knows the layout and where it stands, also where the observation does not say.

    Args:
        environment: the maze being walked.
        strength: probability of a move on a shortest way to the goal; otherwise any of the four.
        seed: of its draws, ties between shortest ways included.
    """

    def __init__(self, environment: Maze, strength: float, seed: int) -> None:
        self.environment = environment
        self.strength = strength
        self.generator = random.Random(seed)

    def act(self, observation: str, info: Mapping[str, Any]) -> str:
        """The next move."""
        del observation, info
        moves = list(MOVES)
        if self.generator.random() < self.strength:
            layout, cell = self.environment.layout, self.environment.cell
            nearer = layout.distances[cell] - 1
            moves = [m for m in moves if layout.distances[layout.next_cell(cell, m)] == nearer]
        return self.generator.choice(moves)
