"""Agents that the policy's model speaks for: a checkpoint, what it began with, and their base."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

from agentrl.agents.player import Performance, Player
from agentrl.models.adapter import check_adapter
from agentrl.rollout.episode import EpisodeSpec
from agentrl.rollout.runner import Runner
from agentrl.rollout.sampler import Sampler
from agentrl.trajectory import Trajectory


class SampledPlayer(Player):
    """An agent whose words are sampled from the policy: a checkpoint's, without one its start's."""

    @property
    def adapter(self) -> Path | None:
        """See `Player.adapter`."""
        resources = self.resources
        if resources.checkpoint is not None:
            return resources.checkpoint_adapter()
        return resources.start_adapter()

    def check(self) -> None:
        """See `Player.check`."""
        super().check()
        if (adapter := self.adapter) is not None:
            check_adapter(adapter, self.resources.config.policy)

    def play(self, specs: Sequence[EpisodeSpec]) -> Performance:
        """See `Player.play`."""
        config, adapter = self.resources.config, self.adapter
        played = self.play_with(self.resources.sampler_with(adapter), specs)
        settings = {
            "model": config.policy.model,
            "adapter": str(adapter) if adapter else None,
            "temperature": config.evaluation.temperature,
        }
        return Performance(played.trajectories, {**settings, **played.settings}, played.cost)

    @abstractmethod
    def play_with(self, sampler: Sampler, specs: Sequence[EpisodeSpec]) -> Performance:
        """Play an episode for each spec.

        Args:
            sampler: runs the policy.
            specs: tasks, seeds and samples.

        Returns:
            The episodes; of the settings those that this agent adds to model and temperature.
        """

    def play_through(self, runner: Runner, specs: Sequence[EpisodeSpec]) -> list[Trajectory]:
        """Play with a runner, at the evaluation's temperature."""
        temperature = self.resources.config.evaluation.temperature
        return runner.play(specs, temperature=temperature, progress=self.title)


class Policy(SampledPlayer):
    """The checkpoint."""

    name = "policy"
    needs_checkpoint = True

    def play_with(self, sampler: Sampler, specs: Sequence[EpisodeSpec]) -> Performance:
        """See `SampledPlayer.play_with`."""
        with self.resources.runner(sampler) as runner:
            return Performance(self.play_through(runner, specs))


class Start(Policy):
    """What the checkpoint's run began with, or the configured model."""

    name = "start"
    needs_checkpoint = False

    @property
    def adapter(self) -> Path | None:
        """See `Player.adapter`."""
        return self.resources.start_adapter()
