"""A scripted user: follows the page's rule, or clicks around."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from environments.miniwob.rules import RULES

if TYPE_CHECKING:
    from environments.miniwob.environment import MiniWob


class ScriptedUser:
    """Uses the page of the environment's current episode; it sees what an agent sees.

    Args:
        environment: whose page is used.
        strength: probability of following the page's rule, if it has one; otherwise an element is
            clicked at random.
        seed: of its draws.
    """

    def __init__(self, environment: MiniWob, strength: float, seed: int) -> None:
        self.environment = environment
        self.strength = strength
        self.generator = random.Random(seed)
        self.memory: dict[str, Any] = {}

    def act(self, observation: str, info: Mapping[str, Any]) -> str:
        """The next action."""
        del observation, info
        view, rule = self.environment.view, RULES.get(self.environment.page)
        if rule is not None and self.generator.random() < self.strength:
            action = rule(view, self.memory)
            if action:
                return action
        if not view.items:
            return "wait 500"
        return f"click {self.generator.choice(view.items).ref}"
