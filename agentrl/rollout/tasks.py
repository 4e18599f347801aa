"""Task sources: which episodes an iteration plays.

A source is pure: the run's seed and the iteration decide the specs, on every machine, so a resumed
run goes on as it would have.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import floor
from typing import Protocol

import numpy as np

from agentrl.config import MAIN, RunConfig, TrainingConfig
from agentrl.rollout.episode import EpisodeSpec
from agentrl.rollout.scripted import draw_specs


class TaskSource(Protocol):
    """Decides which episodes are played."""

    def specs(self, iteration: int) -> list[EpisodeSpec]:
        """An iteration's episodes, those of all ranks, group after group.

        Args:
            iteration: its number, from 1.
        """


@dataclass(frozen=True)
class BalancedTasks:
    """The tasks of one environment, each drawn equally often in an iteration, or once more.

    Attributes:
        tasks: their numbers.
        groups: how many groups an iteration plays.
        samples: episodes of a group.
        seed: of the run.
    """

    tasks: Sequence[int]
    groups: int
    samples: int
    seed: int

    def specs(self, iteration: int) -> list[EpisodeSpec]:
        """An iteration's episodes; see `TaskSource`."""
        return draw_specs(self.tasks, self.groups, _seed(self.seed, iteration), self.samples)


@dataclass(frozen=True)
class MixedTasks:
    """The tasks of several environments, each of which gets its share of an iteration's groups.

    With weights 2 and 1 and 8 groups an iteration, the first environment gets 5 of them or 6, on
    average over the iterations 16 / 3.

    Attributes:
        tasks: numbers of the tasks of each environment, by name.
        weights: of each environment, by name, above 0.
        groups: how many groups an iteration plays, those of all environments together.
        samples: episodes of a group.
        seed: of the run.
    """

    tasks: Mapping[str, Sequence[int]]
    weights: Mapping[str, float]
    groups: int
    samples: int
    seed: int

    def specs(self, iteration: int) -> list[EpisodeSpec]:
        """An iteration's episodes, environment after environment; see `TaskSource`."""
        return [
            EpisodeSpec(spec.task, spec.seed, spec.sample, name)
            for name, count in self.shares(iteration).items()
            for spec in draw_specs(
                self.tasks[name], count, _seed(self.seed, iteration, name), self.samples
            )
        ]

    def shares(self, iteration: int) -> dict[str, int]:
        """How many of an iteration's groups each environment gets: its share, rounded up or down.

        Systematic sampling (Madow 1944): the groups are points one apart on a line, the first at
        random within the first unit, and the line is cut among the environments by weight.
        """
        start = np.random.default_rng([self.seed, iteration]).random()
        total = sum(self.weights.values())
        shares = [self.groups * self.weights[name] / total for name in self.tasks]
        cuts = [0.0, *accumulate(shares)]
        cuts[-1] = float(self.groups)
        counts = [floor(end + start) - floor(begin + start) for begin, end in pairwise(cuts)]
        return dict(zip(self.tasks, counts, strict=True))


def task_source(config: RunConfig, tasks: Mapping[str, Sequence[int]]) -> TaskSource:
    """The source that a configuration describes.

    Args:
        config: of the run.
        tasks: numbers of the training tasks of each of its environments, by name.
    """
    wanted = config.rollout
    groups = wanted.episodes // wanted.group_size
    if len(tasks) == 1:
        return BalancedTasks(tasks[MAIN], groups, wanted.group_size, config.seed)
    mixture = config.mixture if isinstance(config, TrainingConfig) else {}
    weights = {MAIN: 1.0} | {name: each.weight for name, each in mixture.items()}
    return MixedTasks(tasks, weights, groups, wanted.group_size, config.seed)


def _seed(seed: int, iteration: int, name: str = MAIN) -> int:
    """The seed of an environment's draw; that of the main one does not depend on the others."""
    of_name = () if name == MAIN else (zlib.crc32(name.encode()),)
    return int(np.random.SeedSequence([seed, iteration, *of_name]).generate_state(1)[0])
