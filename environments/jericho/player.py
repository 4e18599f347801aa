"""A scripted player: follows a walkthrough with probability `strength`, wanders otherwise."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

WANDERING = (
    "north", "south", "east", "west", "northeast", "northwest", "southeast", "southwest", "up",
    "down", "in", "out", "look", "inventory", "take all", "wait",
)  # fmt: skip


class ScriptedPlayer:
    """Plays an episode from its beginning.

    It does not see where it is: after a step aside it goes on with the walkthrough's next action.

    Args:
        walkthrough: actions that solve the game.
        strength: probability of the walkthrough's next action; otherwise, and once the
            walkthrough is at its end, one of `WANDERING`.
        seed: of its draws.
    """

    def __init__(self, walkthrough: Sequence[str], strength: float, seed: int) -> None:
        self.remaining = list(walkthrough)
        self.strength = strength
        self.generator = random.Random(seed)

    def act(self, observation: str, info: Mapping[str, Any]) -> str:
        """The next action."""
        del observation, info
        if self.remaining and self.generator.random() < self.strength:
            return self.remaining.pop(0)
        return self.generator.choice(WANDERING)
