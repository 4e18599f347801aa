"""GRPO: policy gradients from groups of episodes of one task, without a critic (arXiv 2402.03300).

::

    deepspeed trainers/grpo.py --config wordle_grpo.yaml actor.divisor=tokens
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from pydantic import model_validator

from agentrl.algorithms.groups import equal_groups, group_advantages
from agentrl.algorithms.policy_gradient import Divisor, clipped
from agentrl.config import ClippedConfig, TrainingConfig
from agentrl.learners.policy import mean_over_ranks, policy_objective
from agentrl.training.algorithm import Metrics, OnlineAlgorithm
from agentrl.training.command import command
from agentrl.training.loop import train

if TYPE_CHECKING:
    from agentrl.training.experiment import Experiment
    from agentrl.training.rollouts import Played


class GRPOActorConfig(ClippedConfig):
    """The policy's update."""

    scale: bool = True
    """Divide by the deviation of its group's returns. Set to false where a world has chance."""
    divisor: Divisor = "tokens"
    """What the loss is a mean of (the paper: sequences; DAPO: tokens)."""


class GRPOConfig(TrainingConfig):
    """A run of GRPO."""

    algorithm: Literal["grpo"] = "grpo"
    actor: GRPOActorConfig = GRPOActorConfig()
    """Policy update."""

    @model_validator(mode="after")
    def _groups_have_several(self) -> GRPOConfig:
        self.require_groups()
        return self


class GRPO(OnlineAlgorithm):
    """One run, on this rank."""

    def __init__(self, experiment: Experiment, config: GRPOConfig) -> None:
        self.generator, self.config = experiment.generator, config.actor
        self.policy = experiment.policy_learner(config.actor)
        self.parts = {"actor": self.policy}

    def learn(self, played: Played, iteration: int) -> Metrics:
        """One clipped update on the advantages within each group (equation 3 of the paper)."""
        actor, returns, groups = self.config, played.table.returns, played.groups
        advantages = group_advantages(returns, groups, scale=actor.scale)
        metrics = self.policy.improve(
            played.segments,
            played.table.of_steps(advantages),
            policy_objective(clipped(actor.clip), actor, actor.divisor),
            epochs=actor.epochs,
            generator=self.generator("actor", iteration),
        )
        equal = mean_over_ranks(equal_groups(returns, groups))
        return {**metrics, "actor/equal_groups_fraction": equal}


app = command(GRPOConfig, partial(train, GRPO), __doc__)

if __name__ == "__main__":
    app()
