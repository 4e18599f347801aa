"""The replay buffer: the latest transitions, drawn uniformly."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from agentrl.data.segment import learnable
from agentrl.trajectory import Trajectory


class Replay:
    """Episodes in memory, oldest out first once their transitions exceed `capacity`.

    The cost of a draw does not depend on how much is stored.

    Args:
        capacity: most transitions kept; the newest episode always stays.
        keep_sets: keep the sets that tokens were drawn from (`Turn.allowed_ids`). They may be
            larger than all else, and only an update of the policy asks for them.
    """

    def __init__(self, capacity: int, *, keep_sets: bool = False) -> None:
        self.capacity, self.keep_sets = capacity, keep_sets
        self.transitions = 0
        self._episodes: list[Trajectory] = []
        self._oldest = 0
        self._longest = 0

    def __len__(self) -> int:
        return len(self._episodes) - self._oldest

    def extend(self, trajectories: Iterable[Trajectory]) -> None:
        """Add episodes; failed ones are left out."""
        for trajectory in learnable(trajectories):
            self._episodes.append(trajectory if self.keep_sets else _without_sets(trajectory))
            self.transitions += len(trajectory.turns)
            self._longest = max(self._longest, len(trajectory.turns))
        while self.transitions > self.capacity and len(self) > 1:
            self.transitions -= len(self._episodes[self._oldest].turns)
            self._oldest += 1
        if self._oldest > len(self):
            del self._episodes[: self._oldest]
            self._oldest = 0

    def draw_episodes(self, transitions: int, generator: np.random.Generator) -> list[Trajectory]:
        """Whole episodes, uniformly with replacement, until they hold that many transitions.

        Every stored transition is equally likely to be among them.
        """
        drawn: list[Trajectory] = []
        held = 0
        while held < transitions:
            drawn.append(self._draw(generator))
            held += len(drawn[-1].turns)
        return drawn

    def draw_states(
        self, count: int, generator: np.random.Generator
    ) -> list[tuple[Trajectory, int]]:
        """Transitions, uniformly with replacement, as (episode, number of the turn)."""
        states: list[tuple[Trajectory, int]] = []
        while len(states) < count:
            trajectory = self._draw(generator)
            turn = int(generator.integers(self._longest))
            if turn < len(trajectory.turns):
                states.append((trajectory, turn))
        return states

    def _draw(self, generator: np.random.Generator) -> Trajectory:
        return self._episodes[self._oldest + int(generator.integers(len(self)))]


def _without_sets(trajectory: Trajectory) -> Trajectory:
    if not any(turn.allowed_ids for turn in trajectory.turns):
        return trajectory
    turns = tuple(replace(turn, allowed_ids=()) for turn in trajectory.turns)
    return replace(trajectory, turns=turns)
