"""A scripted user: follows the page's rule, or clicks around."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Protocol

from environments.miniwob.rules import RULES
from environments.miniwob.view import View


class CurrentEpisode(Protocol):
    """What the user sees of the episode being played.

    Attributes:
        view: what is on the page now.
    """

    view: View

    @property
    def page(self) -> str:
        """Name of the page."""


class ScriptedUser:
    """Uses the page of the current episode; it sees what an agent sees.

    Args:
        episode: the one being played.
        strength: probability of following the page's rule, if it has one; otherwise an element is
            clicked at random.
        seed: of its draws.
    """

    def __init__(self, episode: CurrentEpisode, strength: float, seed: int) -> None:
        self.episode = episode
        self.strength = strength
        self.generator = random.Random(seed)
        self.memory: dict[str, Any] = {}

    def act(self, observation: str, info: Mapping[str, Any]) -> str:
        """The next action."""
        del observation, info
        view, rule = self.episode.view, RULES.get(self.episode.page)
        if rule is not None and self.generator.random() < self.strength:
            action = rule(view, self.memory)
            if action:
                return action
        if not view.items:
            return "wait 500"
        return f"click {self.generator.choice(view.items).ref}"
