"""A world that breaks: episodes of some tasks raise in the middle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium

from agentrl.env import Agent, TextEnvironment


class Broken(TextEnvironment):
    """Two turns of nothing; tasks below `broken` of each ten raise at the second.

    Args:
        broken: how many tasks of each ten.
    """

    def __init__(self, broken: int = 0) -> None:
        super().__init__({"train": range(40), "dev": range(40, 50), "test": range(50, 60)})
        self.broken, self._task, self._turns = broken, 0, 0

    def _begin(self, task: int, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        self._task, self._turns = task, 0
        return "guess", {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Break, or go on for two turns."""
        self._turns += 1
        if self._turns == 2 and self._task % 10 < self.broken:
            raise OSError("the browser is gone")
        return "guess", float(len(action)), self._turns == 2, False, {"valid": action == "crane"}

    def scripted_agent(self, strength: float = 1.0, seed: int = 0) -> Agent:
        """Always says the same."""
        return Crane()


class Crane:
    """The only word it knows."""

    def act(self, observation: str, info: Mapping[str, Any]) -> str:
        """The word."""
        return "crane"


gymnasium.register("tests/Broken-v0", Broken)
