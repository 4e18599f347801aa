"""RLOO: REINFORCE with a leave-one-out baseline, without a critic (arXiv 2402.14740).

::

    deepspeed trainers/rloo.py --config wordle_rloo.yaml
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from pydantic import model_validator

from agentrl.algorithms.groups import equal_groups
from agentrl.algorithms.leave_one_out import leave_one_out_advantages
from agentrl.algorithms.policy_gradient import reinforce
from agentrl.config import PolicyGradientConfig, TrainingConfig
from agentrl.learners.policy import mean_over_ranks, policy_objective
from agentrl.training.algorithm import Metrics, OnlineAlgorithm
from agentrl.training.command import command
from agentrl.training.loop import train

if TYPE_CHECKING:
    from agentrl.training.experiment import Experiment
    from agentrl.training.rollouts import Played


class RLOOConfig(TrainingConfig):
    """A run of RLOO."""

    algorithm: Literal["rloo"] = "rloo"
    actor: PolicyGradientConfig = PolicyGradientConfig()
    """Policy update."""

    @model_validator(mode="after")
    def _episodes_have_a_baseline(self) -> RLOOConfig:
        self.require_groups()
        self.require_correction(self.actor.importance_cap)
        return self


class RLOO(OnlineAlgorithm):
    """One run, on this rank."""

    def __init__(self, experiment: Experiment, config: RLOOConfig) -> None:
        self.generator, self.config = experiment.generator, config.actor
        self.policy = experiment.policy_learner(config.actor)
        self.parts = {"actor": self.policy}

    def learn(self, played: Played, iteration: int) -> Metrics:
        """One pass of REINFORCE: an episode's advantage stands on each of its tokens."""
        returns, groups = played.table.returns, played.groups
        metrics = self.policy.improve(
            played.segments,
            played.table.of_steps(leave_one_out_advantages(returns, groups)),
            policy_objective(reinforce, self.config),
            epochs=1,
            generator=self.generator("actor", iteration),
        )
        equal = mean_over_ranks(equal_groups(returns, groups))
        return {**metrics, "actor/equal_groups_fraction": equal}


app = command(RLOOConfig, partial(train, RLOO), __doc__)

if __name__ == "__main__":
    app()
