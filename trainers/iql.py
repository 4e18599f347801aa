"""Implicit Q-learning from episodes that are there already (arXiv 2110.06169).

The critic never values an action that is not in the data: V leans towards the best of them by an
expectile, and the policy imitates them weighted by their advantage::

    deepspeed trainers/archer.py --config wordle.yaml                # leaves episodes behind
    deepspeed trainers/iql.py --config wordle_iql.yaml
    deepspeed trainers/iql.py --config wordle_iql.yaml episodes.type=messages episodes.file=X.jsonl

Read it beside the paper's algorithm 1; utterances are its actions.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, PositiveInt, model_validator

from agentrl.algorithms.policy_gradient import PolicyObjective, reinforce
from agentrl.algorithms.weighting import advantage_weights
from agentrl.config import CriticConfig, OfflineConfig, UpdateConfig
from agentrl.data.segment import segments_of
from agentrl.learners.policy import mean_over_ranks
from agentrl.training.algorithm import Metrics, OfflineAlgorithm
from agentrl.training.checks import check_critic
from agentrl.training.command import command
from agentrl.training.loop import train
from agentrl.training.run import rank_size

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from agentrl.data.replay import Replay
    from agentrl.training.experiment import Experiment


class IQLCriticConfig(CriticConfig):
    """Q and V by expectile regression."""

    expectile: float = Field(0.7, ge=0.5, lt=1.0)
    """0.5 values the policy that made the data; towards 1, V leans to its best actions (the paper:
    0.7 for locomotion, 0.9 where good pieces of bad episodes must be joined)."""


class IQLActorConfig(UpdateConfig):
    """Advantage-weighted imitation."""

    updates: PositiveInt = 10
    """Optimizer steps an iteration."""
    temperature: float = Field(0.3, gt=0.0)
    """In units of the return: an action of this advantage weighs e times as much as one of none
    (the paper: 1/3 for locomotion, 1/10 for navigation)."""
    weight_cap: float = Field(20.0, ge=1.0)
    """Largest weight of an action (the paper's code: 100)."""
    first_iteration: PositiveInt = 1
    """The critic alone learns before this iteration: advantages of a critic that has learned
    nothing imitate everything."""


class IQLConfig(OfflineConfig):
    """A run of implicit Q-learning."""

    algorithm: Literal["iql"] = "iql"
    critic: IQLCriticConfig = IQLCriticConfig()
    """Utterance-level values."""
    actor: IQLActorConfig = IQLActorConfig()
    """Policy update."""

    @model_validator(mode="after")
    def _the_policy_learns(self) -> IQLConfig:
        if self.actor.first_iteration > self.iterations:
            raise ValueError(
                f"actor.first_iteration={self.actor.first_iteration} comes after the last of "
                f"iterations={self.iterations}: the policy would never learn"
            )
        return self


class IQL(OfflineAlgorithm):
    """One run, on this rank.

    Args:
        experiment: the run's set-up.
        config: of the run.
    """

    def __init__(self, experiment: Experiment, config: IQLConfig) -> None:
        self.generator, self.config = experiment.generator, config
        self.policy = experiment.policy_learner(config.actor)
        self.critic = experiment.critic_learner(config.critic)
        self.parts = {"actor": self.policy, "critic": self.critic}

    @classmethod
    def check(cls, config: IQLConfig, tokenizer: PreTrainedTokenizerBase) -> None:
        """The critic's model fits."""
        check_critic(config.critic, config.policy, tokenizer)

    def learn(self, memory: Replay, iteration: int) -> Metrics:
        """Critic, then policy, each from batches of its own."""
        metrics: Metrics = {}
        generator = self.generator("critic", iteration)
        for _ in range(self.config.critic.updates):
            size = rank_size(self.config.critic.batch_size)
            metrics |= self.critic.update(segments_of(memory.draw_episodes(size, generator)))
        if iteration >= self.config.actor.first_iteration:
            generator = self.generator("actor", iteration)
            for _ in range(self.config.actor.updates):
                metrics |= self._extract_policy(memory, generator)
        return metrics

    def _extract_policy(self, memory: Replay, generator: np.random.Generator) -> Metrics:
        """One step that imitates actions by `exp(A / temperature)` (equation 7)."""
        actor = self.config.actor
        size = rank_size(actor.batch_size)
        segments = segments_of(memory.draw_episodes(size, generator))
        advantages = self.critic.advantages(segments)
        weights = advantage_weights(advantages, actor.temperature, actor.weight_cap)
        metrics = self.policy.step(segments, weights, PolicyObjective(reinforce))
        capped = (weights >= actor.weight_cap).float()
        return {
            **metrics,
            "actor/weight_mean": mean_over_ranks(weights),
            "actor/capped_fraction": mean_over_ranks(capped),
        }


app = command(IQLConfig, partial(train, IQL), __doc__)

if __name__ == "__main__":
    app()
