"""A scripted walker: the shortest way with probability `strength`, any move otherwise."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Protocol

from environments.maze.layouts import MOVES, Cell, Layout


class CurrentEpisode(Protocol):
    """What the walker sees of the episode being played.

    Attributes:
        cell: where the walker stands.
    """

    cell: Cell

    @property
    def layout(self) -> Layout:
        """Walls, goal and distances."""


class ScriptedWalker:
    """Walks through the maze of the current episode.

    It knows the layout and where it stands, also where the observation does not say.

    Args:
        episode: the one being played.
        strength: probability of a move on a shortest way to the goal; otherwise any of the four.
        seed: of its draws, ties between shortest ways included.
    """

    def __init__(self, episode: CurrentEpisode, strength: float, seed: int) -> None:
        self.episode = episode
        self.strength = strength
        self.generator = random.Random(seed)

    def act(self, observation: str, info: Mapping[str, Any]) -> str:
        """The next move."""
        del observation, info
        moves = list(MOVES)
        if self.generator.random() < self.strength:
            layout, cell = self.episode.layout, self.episode.cell
            nearer = layout.distances[cell] - 1
            moves = [m for m in moves if layout.distances[layout.next_cell(cell, m)] == nearer]
        return self.generator.choice(moves)
