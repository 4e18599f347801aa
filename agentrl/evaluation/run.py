"""Plays the panel of a configuration with agents: a checkpoint, its start, scripts, and others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from agentrl.agents.guidance import Guidance
from agentrl.agents.player import Player
from agentrl.agents.resources import Resources
from agentrl.agents.table import make_player
from agentrl.closing import Closing
from agentrl.config import EvaluatingConfig, RunConfig
from agentrl.evaluation.panel import Panel, make_panel
from agentrl.evaluation.result import Evaluation
from agentrl.rollout.build import EnvironmentFacts


def evaluate(
    config: EvaluatingConfig,
    agents: Sequence[str],
    checkpoint: Path | None = None,
    guidance: Guidance | None = None,
) -> list[Evaluation]:
    """Let agents play the panel that ``config.evaluation`` describes.

    Args:
        config: environment, model, sampler and panel.
        agents: names of those who play, see `agentrl.agents.table`.
        checkpoint: a run, a checkpoint or an adapter; needed by ``policy``.
        guidance: how guided agents choose.

    Returns:
        One result an agent, in their order.

    Raises:
        CheckpointError: there is no checkpoint, or it was made for another model.
        ConfigError: the environment or model cannot be used, or there is no such agent.
    """
    with Evaluator(config, agents, checkpoint, guidance) as evaluator:
        return evaluator.play()


def evaluation_panel(config: RunConfig, facts: EnvironmentFacts) -> Panel:
    """The panel that ``config.evaluation`` describes.

    Args:
        config: of the run.
        facts: of its environment.

    Raises:
        ConfigError: the environment has no such split.
    """
    settings = config.evaluation
    tasks = facts.tasks_of(settings.split)
    return make_panel(
        config.environment,
        tasks,
        settings.split,
        settings.episodes,
        settings.seed,
        settings.samples,
    )


class Evaluator(Closing):
    """Agents that are ready to play one panel; mistakes are found before anybody has played.

    Args: as those of `evaluate`.

    Attributes:
        panel: what is played.

    Raises:
        CheckpointError, ConfigError: as `evaluate`.
    """

    def __init__(
        self,
        config: EvaluatingConfig,
        agents: Sequence[str],
        checkpoint: Path | None = None,
        guidance: Guidance | None = None,
    ) -> None:
        self._agents = list(agents)
        self._resources = Resources(config, checkpoint, guidance)
        try:
            self.panel = evaluation_panel(config, self._resources.facts)
            self._players = {name: make_player(name, self._resources) for name in agents}
            for player in self._players.values():
                player.check()
        except BaseException:
            self.close()
            raise

    @property
    def variants(self) -> list[str]:
        """What tells these results from those of the same agents with other settings, sorted."""
        return sorted({player.variant for player in self._players.values()} - {""})

    def play(self) -> list[Evaluation]:
        """Play the panel with every agent; the results come in the agents' order."""
        # A sampler cannot let go of an adapter: the base without one plays first.
        order = sorted(self._players.values(), key=lambda player: player.adapter is not None)
        results = {player.name: self._play(player) for player in order}
        return [results[name] for name in self._agents]

    def _play(self, player: Player) -> Evaluation:
        played = player.play(self.panel.specs)
        settings = dict(played.settings)
        if played.cost is not None:
            settings["cost"] = asdict(played.cost)
        return Evaluation.of(player.name, self.panel, played.trajectories, settings)

    def close(self) -> None:
        """Free the sampler and the environments."""
        self._resources.close()
