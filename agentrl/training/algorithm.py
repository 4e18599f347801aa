"""What an algorithm is to the loops that run it: its parts, and what it learns from episodes.

A trainer's file holds a configuration class, an algorithm class, and the line that makes its
command. The loops (`agentrl.training.loop`) play, store, publish weights, log, checkpoint, evaluate
and report; `agentrl.training.experiment.Experiment` is what they and the algorithm are given.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentrl.data.replay import Replay
from agentrl.learners.policy import PolicyLearner
from agentrl.training.checkpoint import Saved
from agentrl.training.checks import check_plain_sampling
from agentrl.training.rollouts import Played

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Metrics = dict[str, float]
"""``group/name`` to number."""


class Algorithm(ABC):
    """One algorithm in one run, on this rank; made with the experiment and its configuration.

    Attributes:
        policy: whose adapter acts; the loop publishes it to the sampler when it has changed.
        parts: what a checkpoint holds, by name; the policy belongs to them.
    """

    policy: PolicyLearner
    parts: Mapping[str, Saved]

    @classmethod
    def check(cls, config: Any, tokenizer: PreTrainedTokenizerBase) -> None:
        """Find mistakes in the configuration before the run's folder is claimed.

        Args:
            config: of the run.
            tokenizer: of the policy.

        Raises:
            ConfigError: there is one.
        """
        del config, tokenizer

    def begin(self) -> None:
        """Do what comes before the first iteration; a resumed run does not call it."""
        return


class OnlineAlgorithm(Algorithm):
    """An algorithm that learns from what its policy plays."""

    @classmethod
    def check(cls, config: Any, tokenizer: PreTrainedTokenizerBase) -> None:
        """The policy samples from the distribution that is trained; see `Algorithm.check`."""
        del tokenizer
        check_plain_sampling(config)

    @abstractmethod
    def learn(self, played: Played, iteration: int) -> Metrics:
        """Learn from an iteration's episodes.

        Args:
            played: this rank's share of them.
            iteration: its number, from 1.

        Returns:
            Metrics of the iteration.
        """


class OfflineAlgorithm(Algorithm):
    """An algorithm that learns from episodes that are there already."""

    @abstractmethod
    def learn(self, memory: Replay, iteration: int) -> Metrics:
        """Do an iteration's updates.

        Args:
            memory: this rank's share of the episodes, to draw from.
            iteration: its number, from 1.

        Returns:
            Metrics of the iteration.
        """
