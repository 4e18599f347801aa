"""Agents that the environment itself brings: its expert, and chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from agentrl.agents.player import Performance, Player
from agentrl.rollout.episode import EpisodeSpec
from agentrl.rollout.scripted import play_scripted


class Scripted(Player):
    """The environment's own expert at its best."""

    name = "scripted"
    script: ClassVar[Literal["scripted", "random"]] = "scripted"

    def play(self, specs: Sequence[EpisodeSpec]) -> Performance:
        """See `Player.play`."""
        config = self.resources.config
        retries, pool = config.rollout.retries, self.resources.pool
        trajectories = play_scripted(
            config.environment, specs, self.script, retries=retries, pool=pool
        )
        return Performance(trajectories)


class Random(Scripted):
    """Uniform over the admissible actions."""

    name = "random"
    script = "random"
