"""Sharpening: a control without any reward, beside which every gain belongs (arXiv 2412.01951).

::

    deepspeed trainers/sharpening.py --config wordle_sharpening.yaml
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from agentrl.algorithms.policy_gradient import clipped
from agentrl.config import ClippedConfig, TrainingConfig
from agentrl.learners.policy import normalized_over_ranks, policy_objective
from agentrl.training.algorithm import Metrics, OnlineAlgorithm
from agentrl.training.command import command
from agentrl.training.loop import train

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentrl.training.experiment import Experiment
    from agentrl.training.rollouts import Played


class SharpeningConfig(TrainingConfig):
    """A run of sharpening."""

    unread: ClassVar[Mapping[str, str]] = {"rewards": "an algorithm that reads no rewards"}
    algorithm: Literal["sharpening"] = "sharpening"
    actor: ClippedConfig = ClippedConfig()
    """Policy update."""


class Sharpening(OnlineAlgorithm):
    """One run, on this rank."""

    def __init__(self, experiment: Experiment, config: SharpeningConfig) -> None:
        self.generator, self.config = experiment.generator, config.actor
        self.policy = experiment.policy_learner(config.actor)
        self.parts = {"actor": self.policy}

    def learn(self, played: Played, iteration: int) -> Metrics:
        """One clipped update; the advantage of an utterance is its own log-probability."""
        steps = [step for segment in played.segments for step in segment.steps]
        likelihood = torch.tensor([sum(step.log_probabilities) for step in steps])
        return self.policy.improve(
            played.segments,
            normalized_over_ranks(likelihood),
            policy_objective(clipped(self.config.clip), self.config),
            epochs=self.config.epochs,
            generator=self.generator("actor", iteration),
        )


app = command(SharpeningConfig, partial(train, Sharpening), __doc__)

if __name__ == "__main__":
    app()
