"""REINFORCE with a leave-one-out baseline (RLOO) over whole episodes of a group.

Every task is played several times; an episode's baseline is the mean return of the others.

    deepspeed trainers/rloo.py --config wordle_rloo.yaml
"""

from __future__ import annotations

from functools import partial
from typing import Literal, Self

from pydantic import model_validator

from agentrl.algorithms.leave_one_out import leave_one_out_advantages
from agentrl.algorithms.policy_gradient import reinforce
from agentrl.config import PolicyGradientConfig, TrainingConfig
from agentrl.learners.policy import policy_objective
from agentrl.training.algorithm import OnlineAlgorithm
from agentrl.training.command import command
from agentrl.training.experiment import Experiment
from agentrl.training.loop import train
from agentrl.training.rollouts import Played


class RlooConfig(TrainingConfig):
    """A run of RLOO."""

    algorithm: Literal["rloo"] = "rloo"
    actor: PolicyGradientConfig = PolicyGradientConfig()
    """Policy update: REINFORCE, one pass over the iteration's episodes."""

    @model_validator(mode="after")
    def episodes_have_others(self) -> Self:
        if self.rollout.group_size < 2:
            raise ValueError(
                f"rollout.group_size={self.rollout.group_size}: the baseline of an episode is the "
                f"mean return of the others of its group; set rollout.group_size to 2 or more"
            )
        if self.rollout.staleness and self.actor.importance_cap is None:
            raise ValueError(
                f"rollout.staleness={self.rollout.staleness}: REINFORCE does not correct for "
                f"actions of an earlier policy; set actor.importance_cap=2 or rollout.staleness=0"
            )
        return self


class Rloo(OnlineAlgorithm):
    """One run, on this rank."""

    def __init__(self, experiment: Experiment, config: RlooConfig) -> None:
        self.experiment, self.config = experiment, config
        self.policy = experiment.policy_learner(config.actor)
        self.parts = {"actor": self.policy}

    def learn(self, played: Played, iteration: int) -> dict[str, float]:
        advantages = leave_one_out_advantages(played.table.returns, played.groups)  # [E]
        return self.policy.improve(
            played.segments,
            played.table.of_steps(advantages),  # [M], one for each utterance
            policy_objective(reinforce, self.config.actor),
            epochs=1,
            generator=self.experiment.generator("actor", iteration),
        )


app = command(RlooConfig, partial(train, Rloo), __doc__)

if __name__ == "__main__":
    app()
