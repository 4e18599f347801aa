"""A scripted player: the game's own walkthrough, or a plan from wherever it has strayed to."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Protocol

from environments.textworld.story import Story

_RECIPE = "examine cookbook"
_READING = "examining the cookbook"


class CurrentEpisode(Protocol):
    """What the player sees of the episode being played.

    Attributes:
        story: the game, in its present state.
        commands: those that the game was given so far.
    """

    story: Story
    commands: list[str]


class ScriptedPlayer:
    """Plays the current episode.

    It knows the game's rules and where everything is, not only what the observations say; but a
    recipe it reads before it cooks by it, so that its play can be learned.

    Args:
        episode: the one being played.
        strength: probability of the expert's command; otherwise any admissible one.
        seed: of its draws.
    """

    def __init__(self, episode: CurrentEpisode, strength: float, seed: int) -> None:
        self.episode = episode
        self.strength = strength
        self.generator = random.Random(seed)

    def act(self, observation: str, info: Mapping[str, Any]) -> str:
        """The next command."""
        del observation, info
        expert = self._expert() if self.generator.random() < self.strength else None
        return expert or self.generator.choice(self.episode.story.admissible_commands())

    def _expert(self) -> str | None:
        """The walkthrough while the episode has followed it, then the first command of a plan."""
        story, sent = self.episode.story, self.episode.commands
        if len(sent) < len(story.walkthrough) and sent == story.walkthrough[: len(sent)]:
            return story.walkthrough[len(sent)]
        if _RECIPE in story.walkthrough and not story.has_done(_READING):
            way = story.way_to(_RECIPE)
            if way is not None:
                return way[0] if way else _RECIPE
        plan = story.policy()
        return plan[0] if plan else None
