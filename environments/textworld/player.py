"""A scripted player: the game's own walkthrough, or a plan from wherever it has strayed to."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from environments.textworld.environment import TextWorld


class ScriptedPlayer:
    """Plays the environment's current episode.

    It knows the game's rules and where everything is, not only what the observations say.

    Args:
        environment: the game being played.
        strength: probability of the expert's command; otherwise any admissible one.
        seed: of its draws.
    """

    def __init__(self, environment: TextWorld, strength: float, seed: int) -> None:
        self.environment = environment
        self.strength = strength
        self.generator = random.Random(seed)

    def act(self, observation: str, info: Mapping[str, Any]) -> str:
        """The next command."""
        del observation, info
        expert = self._expert() if self.generator.random() < self.strength else None
        return expert or self.generator.choice(self.environment.story.admissible_commands())

    def _expert(self) -> str | None:
        """The walkthrough while the episode has followed it, then the first command of a plan."""
        walkthrough, sent = self.environment.story.walkthrough, self.environment.commands
        if len(sent) < len(walkthrough) and sent == walkthrough[: len(sent)]:
            return walkthrough[len(sent)]
        plan = self.environment.story.policy()
        return plan[0] if plan else None
